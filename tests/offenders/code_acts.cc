// Running what was not hashed: memory made executable, code that writes itself, other programs.
#include <elf.h>
#include <fcntl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>

#include <cstdlib>
#include <cstring>

#include "tests/offenders/act.h"

namespace rtsup::offenders {
namespace {

constexpr size_t kPage = 4096;
constexpr unsigned char kReturnSeven[] = {0xb8, 7, 0, 0, 0, 0xc3};  // mov eax, 7; ret
constexpr const char* kShell = "/bin/sh";
constexpr const char* kLinker = "/lib64/ld-linux-x86-64.so.2";

void* map(int prot, int flags, int fd = -1) { return ::mmap(nullptr, kPage, prot, flags, fd, 0); }

// What was written there runs.
int run(void* code) {
  const int seven = reinterpret_cast<int (*)()>(code)();
  return seven == 7 ? 0 : ENOEXEC;
}

int write_memory(pid_t /*victim*/) {
  void* const page = map(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
  if (page == MAP_FAILED) {
    return errno;
  }
  std::memcpy(page, kReturnSeven, sizeof kReturnSeven);
  return ::mprotect(page, kPage, PROT_READ) == 0 && ::munmap(page, kPage) == 0 ? 0 : errno;
}

int map_writable_code(pid_t /*victim*/) {
  void* const page = map(PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS);
  if (page == MAP_FAILED) {
    return errno;
  }
  std::memcpy(page, kReturnSeven, sizeof kReturnSeven);
  return run(page);
}
int map_nameless_code(pid_t /*victim*/) {
  return map(PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS) == MAP_FAILED ? errno : 0;
}
int map_shared_code(pid_t /*victim*/) {
  return map(PROT_READ | PROT_EXEC, MAP_SHARED | MAP_ANONYMOUS) == MAP_FAILED ? errno : 0;
}

int write_then_execute(pid_t /*victim*/) {
  void* const page = map(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
  if (page == MAP_FAILED) {
    return errno;
  }
  std::memcpy(page, kReturnSeven, sizeof kReturnSeven);
  const int refused = call(SYS_mprotect, page, kPage, PROT_READ | PROT_EXEC);
  return refused != 0 ? refused : run(page);
}
int protect_by_key(pid_t /*victim*/) {
  void* const page = map(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
  return call(SYS_pkey_mprotect, page, kPage, PROT_READ | PROT_EXEC, -1);
}

// Its own text, made writable: "I am what I write".
int rewrite_itself(pid_t /*victim*/) {
  const auto own = reinterpret_cast<uintptr_t>(&rewrite_itself) & ~(kPage - 1);
  return call(SYS_mprotect, own, kPage, PROT_READ | PROT_WRITE | PROT_EXEC);
}

int write_then_map(pid_t /*victim*/) {
  const long file = ::syscall(SYS_memfd_create, "code", MFD_CLOEXEC);
  if (file < 0 || ::write(static_cast<int>(file), kReturnSeven, sizeof kReturnSeven) < 0) {
    return errno;
  }
  void* const page = map(PROT_READ | PROT_EXEC, MAP_PRIVATE, static_cast<int>(file));
  return page == MAP_FAILED ? errno : run(page);
}
// The same by a file of its own, where a policy gives it a folder.
int write_file_then_map(pid_t /*victim*/) {
  const int file = ::open("/app/scratch/code", O_RDWR | O_CREAT | O_CLOEXEC, 0700);
  if (file < 0 || ::write(file, kReturnSeven, sizeof kReturnSeven) < 0) {
    return errno;
  }
  void* const page = map(PROT_READ | PROT_EXEC, MAP_PRIVATE, file);
  return page == MAP_FAILED ? errno : run(page);
}
int write_file(pid_t /*victim*/) {
  const int file = ::open("/app/scratch/code", O_RDWR | O_CREAT | O_CLOEXEC, 0700);
  if (file < 0 || ::write(file, kReturnSeven, sizeof kReturnSeven) < 0) {
    return errno;
  }
  return ::close(file);
}

// A program that says "done" in this one's place, and how it is called.
constexpr const char* kEcho = "/bin/echo";
char* const kNothing[] = {nullptr};
char* const* sayer(const char* first, const char* second = nullptr) {
  static char* arguments[4];
  size_t count = 0;
  for (const char* const word : {"offender", first, second}) {
    if (word != nullptr) {
      arguments[count++] = const_cast<char*>(word);  // execve() takes them so, and changes none
    }
  }
  return arguments;
}

int execute_memory(pid_t /*victim*/) {
  const long file = ::syscall(SYS_memfd_create, "program", MFD_CLOEXEC);
  const int echo = file < 0 ? -1 : ::open(kEcho, O_RDONLY | O_CLOEXEC);
  if (echo < 0) {
    return errno;
  }
  char bytes[kPage];
  for (ssize_t got = 0; (got = ::read(echo, bytes, sizeof bytes)) > 0;) {
    (void)!::write(static_cast<int>(file), bytes, static_cast<size_t>(got));
  }
  return call(SYS_execveat, file, "", sayer("done"), kNothing, AT_EMPTY_PATH);
}
int execute_descriptor(pid_t /*victim*/) {
  const int echo = ::open(kEcho, O_RDONLY | O_CLOEXEC);
  return call(SYS_execveat, echo, "", sayer("done"), kNothing, AT_EMPTY_PATH);
}

int attach_code(pid_t /*victim*/) {
  const auto attach = [](long segment) {
    return ::syscall(SYS_shmat, segment, nullptr, SHM_EXEC) == -1 ? errno : 0;
  };
  const int refused = attach(-1);
  return refused != EINVAL ? refused : attach(::shmget(IPC_PRIVATE, kPage, IPC_CREAT | 0700));
}
int exchange_pages(pid_t /*victim*/) {
  void* const pages =
      ::mmap(nullptr, 2 * kPage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  return pages == MAP_FAILED ? errno : call(SYS_remap_file_pages, pages, kPage, 0, 1, 0);
}

constexpr Act kActs[] = {
    {22, "map-writable-code", map_writable_code, write_memory, by_call("mmap")},
    {22, "map-nameless-code", map_nameless_code, write_memory, by_call("mmap")},
    {22, "map-shared-code", map_shared_code, write_memory, by_call("mmap")},
    {22, "write-then-execute", write_then_execute, write_memory, by_call("mprotect")},
    {22, "protect-by-key", protect_by_key, write_memory, by_call("pkey_mprotect")},
    {22, "attach-code", attach_code, write_memory, by_call("shmat")},
    {22, "remap-pages", exchange_pages, write_memory, by_call("remap_file_pages")},
    {22, "rewrite-itself", rewrite_itself, write_memory, by_call("mprotect")},
    {22, "write-then-map", write_then_map, write_memory, by_call("memfd_create")},
    {22, "write-file-then-map", write_file_then_map, write_file, by_errno("EPERM"), Grant::kFiles},
    {24, "execute-memory", execute_memory, write_memory, by_call("memfd_create")},
    {24, "execute-descriptor", execute_descriptor, write_memory, by_call("execveat")},
    {25, "shell",
     [](pid_t) { return call(SYS_execve, kShell, sayer("-c", "echo done"), kNothing); },
     write_memory, by_call("execve")},
    {25, "linker", [](pid_t) { return call(SYS_execve, kLinker, sayer(kEcho, "done"), kNothing); },
     write_memory, by_call("execve")},
};

}  // namespace

std::span<const Act> code_acts() { return kActs; }

}  // namespace rtsup::offenders
