// Act: one forbidden thing that a function may try, its harmless twin, and what must stop it under
// rtsup. The acts know nothing of rtsup; function.cc makes them a function of a base.
// Errors:  an act or twin gives 0 when it was done, else the errno that refused it. An act that is
//          stopped for good never comes back.
// Threads: one at a time in a process, which is of no other use after an act that was done.
#pragma once

#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <span>
#include <string_view>

namespace rtsup::offenders {

enum class By {
  kCall,    // the filter ends the worker, and the system call `detail` is on record
  kErrno,   // the act goes on, refused by the errno `detail`: its reach is empty, or a limit holds
  kEntry,   // the kernel ends the worker at the entry of another architecture, as the cause says
  kMemory,  // the worker is ended for its memory
};

struct Stop {
  By by;
  std::string_view detail;
};

enum class Grant {
  kNative,   // rtsup:native
  kMinimal,  // rtsup:minimal
  kThreads,  // rtsup:native-threads
  kFiles,    // rtsup:native, writing of files and the internet allowed by name
};

struct Act {
  int row;                // the attack that it is a form of; several acts share one
  std::string_view name;  // unique: "ptrace-seize"
  // `victim`: a process outside of the sandbox, by the number that its owner sees.
  int (*act)(pid_t victim);
  int (*twin)(pid_t victim);
  Stop stop;
  Grant grant = Grant::kNative;
};

std::span<const Act> process_acts();    // reaching other processes
std::span<const Act> privilege_acts();  // namespaces, mounts, ids, devices
std::span<const Act> kernel_acts();     // parts of the kernel and ways around a filter
std::span<const Act> code_acts();       // running what was not hashed
std::span<const Act> file_acts();       // paths and descriptors
std::span<const Act> socket_acts();     // sockets and System V
std::span<const Act> resource_acts();   // more than was granted

inline std::array<std::span<const Act>, 7> families() {
  return {process_acts(), privilege_acts(), kernel_acts(),  code_acts(),
          file_acts(),    socket_acts(),    resource_acts()};
}

// Does "act NAME VICTIM" or "twin NAME VICTIM": "done", "refused EPERM", or "unknown".
std::string_view carry_out(std::string_view order);

constexpr Stop by_call(std::string_view call) { return {By::kCall, call}; }
constexpr Stop by_errno(std::string_view name) { return {By::kErrno, name}; }

// The call itself, past the C library, which would take another one or refuse by itself.
template <typename... Arguments>
int call(long number, Arguments... arguments) {
  return ::syscall(number, arguments...) == -1 ? errno : 0;
}

}  // namespace rtsup::offenders
