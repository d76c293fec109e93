// Parts of the kernel that no function needs, and ways around a filter.
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/fanotify.h>
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <cstdint>

#include "tests/offenders/act.h"

namespace rtsup::offenders {
namespace {

constexpr uint64_t kHigh = 1ULL << 32;

int who_am_i(pid_t /*victim*/) { return call(SYS_getpid); }
int what_kernel(pid_t /*victim*/) {
  char names[6 * 65];
  return call(SYS_uname, names);
}
int wait_for_nothing(pid_t /*victim*/) { return call(SYS_poll, nullptr, 0, 0); }
int rename_itself(pid_t /*victim*/) { return call(SYS_prctl, PR_SET_NAME, "twin", 0, 0, 0); }
// There is no terminal, and asking is no offence.
int ask_for_terminal(pid_t /*victim*/) {
  return ::isatty(STDIN_FILENO) == 0 && errno != ENOSYS ? 0 : errno;
}

int run_a_thread(pid_t /*victim*/) {
  pthread_t thread{};
  const auto body = [](void*) -> void* { return nullptr; };
  const int refused = ::pthread_create(&thread, nullptr, body, nullptr);
  return refused != 0 ? refused : ::pthread_join(thread, nullptr);
}
int clone3_user(pid_t /*victim*/) {
  clone_args arguments{};
  arguments.flags = CLONE_NEWUSER;
  const long child = ::syscall(SYS_clone3, &arguments, sizeof arguments);
  if (child == 0) {
    ::_exit(0);
  }
  return child == -1 ? errno : 0;
}

int negative(long result) { return result < 0 ? static_cast<int>(-result) : 0; }

// 20 is getpid of i386, and writev of x86-64.
int call_as_i386(pid_t /*victim*/) {
  long result = 20;
  asm volatile("int $0x80" : "+a"(result) : : "memory", "r8", "r9", "r10", "r11");
  return negative(static_cast<int32_t>(result));
}
int call_as_x32(pid_t /*victim*/) { return call(0x40000000L | SYS_getpid); }

// The page that every process has at this address: getcpu(), where no instruction is a syscall.
int call_by_page(pid_t /*victim*/) {
  unsigned processor = 0;
  const auto getcpu = reinterpret_cast<long (*)(unsigned*, unsigned*, void*)>(0xffffffffff600800);
  return negative(getcpu(&processor, nullptr, nullptr));
}

// A filter that allows everything, and hears of nothing.
sock_filter allow_all[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
const sock_fprog kFilter{.len = 1, .filter = allow_all};

int stack_filter(pid_t /*victim*/) {
  return call(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &kFilter);
}
int set_up_ring(pid_t /*victim*/) {
  io_uring_params parameters{};
  return call(SYS_io_uring_setup, 1, &parameters);
}
int load_program(pid_t /*victim*/) {
  const bpf_insn leave[] = {
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
      {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
  bpf_attr attributes{};
  attributes.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
  attributes.insn_cnt = 2;
  attributes.insns = reinterpret_cast<uintptr_t>(leave);
  attributes.license = reinterpret_cast<uintptr_t>("GPL");
  return call(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof attributes);
}
int count_events(pid_t /*victim*/) {
  perf_event_attr attributes{};
  attributes.type = PERF_TYPE_SOFTWARE;
  attributes.config = PERF_COUNT_SW_TASK_CLOCK;
  attributes.size = sizeof attributes;
  attributes.exclude_kernel = 1;
  return call(SYS_perf_event_open, &attributes, 0, -1, -1, 0);
}
int leave_key(pid_t /*victim*/) {
  return call(SYS_add_key, "user", "rtsup-offender", "k", 1, KEY_SPEC_SESSION_KEYRING);
}
int ask_for_key(pid_t victim) {
  const int refused = call(SYS_request_key, "user", "rtsup-offender", nullptr, 0);
  const bool none = refused == ENOKEY && leave_key(victim) == 0;
  return none ? call(SYS_request_key, "user", "rtsup-offender", nullptr, 0) : refused;
}
int watch_folder(pid_t /*victim*/) {
  const int folder = ::open("/tmp", O_RDONLY | O_CLOEXEC);
  return call(SYS_fcntl, folder < 0 ? 0 : folder, F_NOTIFY, 1);
}
int read_log(pid_t /*victim*/) {
  char text[64];
  return call(SYS_syslog, 3, text, sizeof text);
}

template <int kOption>
int set_option(pid_t /*victim*/) {
  return call(SYS_prctl, kOption, 0, 0, 0, 0);
}

constexpr Act kActs[] = {
    {9, "io-uring", set_up_ring, wait_for_nothing, by_call("io_uring_setup")},
    {12, "clone3", clone3_user, run_a_thread, by_errno("ENOSYS"), Grant::kThreads},
    {16, "i386-call", call_as_i386, who_am_i, {By::kEntry, "another architecture"}},
    {17, "x32-call", call_as_x32, who_am_i, {By::kEntry, "another architecture"}},
    {18, "vsyscall", call_by_page, who_am_i, by_call("getcpu"), Grant::kMinimal},
    {19, "ioctl-high-bits", [](pid_t) { return call(SYS_ioctl, 0, kHigh | TIOCSTI, "x"); },
     ask_for_terminal, by_call("ioctl")},
    {19, "socket-high-bits",
     [](pid_t) { return call(SYS_socket, kHigh | AF_VSOCK, SOCK_STREAM, 0); }, wait_for_nothing,
     by_call("socket"), Grant::kFiles},
    {20, "type-into-terminal", [](pid_t) { return call(SYS_ioctl, 0, TIOCSTI, "x"); },
     ask_for_terminal, by_call("ioctl")},
    {20, "take-terminal", [](pid_t) { return call(SYS_ioctl, 0, TIOCSCTTY, 0); }, ask_for_terminal,
     by_call("ioctl")},
    {20, "draw-on-console", [](pid_t) { return call(SYS_ioctl, 0, TIOCLINUX, "x"); },
     ask_for_terminal, by_call("ioctl")},
    {21, "personality", [](pid_t) { return call(SYS_personality, 0x0440000); }, what_kernel,
     by_call("personality")},
    {27, "bpf", load_program, wait_for_nothing, by_call("bpf")},
    {27, "userfaultfd", [](pid_t) { return call(SYS_userfaultfd, O_CLOEXEC | 1); },
     wait_for_nothing, by_call("userfaultfd")},
    {27, "perf-event", count_events, wait_for_nothing, by_call("perf_event_open")},
    {28, "add-key", leave_key, wait_for_nothing, by_call("add_key")},
    {28, "keyctl",
     [](pid_t) { return call(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 1); },
     wait_for_nothing, by_call("keyctl")},
    {28, "request-key", ask_for_key, wait_for_nothing, by_call("request_key")},
    {29, "stack-filter", stack_filter, rename_itself, by_call("seccomp")},
    {30, "prctl-parent-death", set_option<PR_SET_PDEATHSIG>, rename_itself, by_call("prctl")},
    {30, "prctl-dumpable", set_option<PR_SET_DUMPABLE>, rename_itself, by_call("prctl")},
    {30, "prctl-memory-map", set_option<PR_SET_MM>, rename_itself, by_call("prctl")},
    {30, "prctl-seccomp",
     [](pid_t) { return call(SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &kFilter, 0, 0); },
     rename_itself, by_call("prctl")},
    {30, "prctl-bounding-set", set_option<PR_CAPBSET_DROP>, rename_itself, by_call("prctl")},
    {30, "prctl-high-bits",
     [](pid_t) { return call(SYS_prctl, kHigh | PR_SET_DUMPABLE, 0, 0, 0, 0); }, rename_itself,
     by_call("prctl")},
    {45, "inotify", [](pid_t) { return call(SYS_inotify_init1, 0); }, wait_for_nothing,
     by_call("inotify_init1")},
    {45, "fanotify",
     [](pid_t) { return call(SYS_fanotify_init, FAN_CLASS_NOTIF | FAN_REPORT_FID, O_RDONLY); },
     wait_for_nothing, by_call("fanotify_init")},
    {45, "dnotify", watch_folder, wait_for_nothing, by_call("fcntl")},
    {46, "kernel-log", read_log, what_kernel, by_call("syslog")},
};

}  // namespace

std::span<const Act> kernel_acts() { return kActs; }

}  // namespace rtsup::offenders
