// Files of the machine, by path and by descriptors that nobody meant to hand on.
#include <fcntl.h>
#include <sys/stat.h>

#include <cstdio>

#include "tests/offenders/act.h"

namespace rtsup::offenders {
namespace {

constexpr int kDescriptorsLooked = 1024;

int open_path(const char* path, int flags) {
  const long file = ::syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC);
  return file < 0 ? errno : ::close(static_cast<int>(file));
}
int open_library(pid_t /*victim*/) {
  return open_path("/lib/x86_64-linux-gnu/libc.so.6", O_RDONLY);
}

int open_of(pid_t victim, const char* file) {
  char path[64];
  (void)std::snprintf(path, sizeof path, "/proc/%d/%s", victim, file);
  return open_path(path, O_RDONLY);
}

template <const char* kPath, int kFlags>
int open_fixed(pid_t /*victim*/) {
  return open_path(kPath, kFlags);
}

constexpr char kOwnMemory[] = "/proc/self/mem";
constexpr char kOwnProgram[] = "/proc/self/exe";
constexpr char kOwnMaps[] = "/proc/self/maps";
constexpr char kMemory[] = "/dev/mem";
constexpr char kDisk[] = "/dev/vda";
constexpr char kSymbols[] = "/proc/kallsyms";
constexpr char kSettings[] = "/sys/kernel/notes";
constexpr char kCorePattern[] = "/proc/sys/kernel/core_pattern";
constexpr char kSysrq[] = "/proc/sysrq-trigger";
constexpr char kHelper[] = "/sys/kernel/uevent_helper";
constexpr char kReleaseAgent[] = "/sys/fs/cgroup/memory/release_agent";
constexpr char kGroup[] = "/sys/fs/cgroup/cgroup.procs";
constexpr char kUsers[] = "../../../../../../etc/passwd";

// A folder or file among the descriptors from 3 on.
int use_what_was_left_open(pid_t /*victim*/) {
  for (int fd = 3; fd < kDescriptorsLooked; ++fd) {
    struct stat found {};
    if (::fstat(fd, &found) == 0 && (S_ISDIR(found.st_mode) || S_ISREG(found.st_mode))) {
      return 0;
    }
  }
  return EBADF;
}
// ... and out of it.
int climb_from_descriptor(pid_t /*victim*/) {
  for (int fd = 0; fd < kDescriptorsLooked; ++fd) {
    if (::syscall(SYS_openat, fd, kUsers, O_RDONLY | O_CLOEXEC) >= 0) {
      return 0;
    }
    if (errno != EBADF && errno != ENOTDIR) {
      return errno;
    }
  }
  return ENOTDIR;
}
int use_standard_output(pid_t /*victim*/) {
  struct stat found {};
  return ::fstat(STDOUT_FILENO, &found) == 0 ? 0 : errno;
}

constexpr Act kActs[] = {
    {3, "victims-memory", [](pid_t v) { return open_of(v, "mem"); }, open_library,
     by_errno("ENOENT")},
    {3, "victims-environment", [](pid_t v) { return open_of(v, "environ"); }, open_library,
     by_errno("ENOENT")},
    {3, "victims-maps", [](pid_t v) { return open_of(v, "maps"); }, open_library,
     by_errno("ENOENT")},
    {3, "victims-root", [](pid_t v) { return open_of(v, "root/"); }, open_library,
     by_errno("ENOENT")},
    {3, "own-maps", open_fixed<kOwnMaps, O_RDONLY>, open_library, by_errno("ENOENT")},
    {13, "victims-namespace", [](pid_t v) { return open_of(v, "ns/mnt"); }, open_library,
     by_errno("ENOENT")},
    {23, "own-memory", open_fixed<kOwnMemory, O_RDWR>, open_library, by_call("openat")},
    {23, "own-memory-where-writing-is-allowed", open_fixed<kOwnMemory, O_RDWR>, open_library,
     by_errno("ENOENT"), Grant::kFiles},
    {26, "own-program", open_fixed<kOwnProgram, O_WRONLY>, open_library, by_call("openat")},
    {33, "memory-device", open_fixed<kMemory, O_RDONLY>, open_library, by_errno("ENOENT")},
    {33, "disk-device", open_fixed<kDisk, O_RDONLY>, open_library, by_errno("ENOENT")},
    {35, "release-agent", open_fixed<kReleaseAgent, O_WRONLY>, open_library, by_errno("ENOENT"),
     Grant::kFiles},
    {35, "core-pattern", open_fixed<kCorePattern, O_WRONLY>, open_library, by_errno("ENOENT"),
     Grant::kFiles},
    {35, "sysrq", open_fixed<kSysrq, O_WRONLY>, open_library, by_errno("ENOENT"), Grant::kFiles},
    {35, "uevent-helper", open_fixed<kHelper, O_WRONLY>, open_library, by_errno("ENOENT"),
     Grant::kFiles},
    {36, "leave-group", open_fixed<kGroup, O_WRONLY>, open_library, by_errno("ENOENT"),
     Grant::kFiles},
    {38, "left-open", use_what_was_left_open, use_standard_output, by_errno("EBADF")},
    {39, "climb-from-descriptor", climb_from_descriptor, use_standard_output, by_errno("ENOTDIR")},
    {39, "climb-from-folder", open_fixed<kUsers, O_RDONLY>, open_library, by_errno("ENOENT")},
    {46, "kernel-symbols", open_fixed<kSymbols, O_RDONLY>, open_library, by_errno("ENOENT")},
    {46, "kernel-notes", open_fixed<kSettings, O_RDONLY>, open_library, by_errno("ENOENT")},
};

}  // namespace

std::span<const Act> file_acts() { return kActs; }

}  // namespace rtsup::offenders
