// Fixed-size records that a process under launch writes to its status socket (SOCK_SEQPACKET with
// SO_PASSCRED at the supervisor's end, so that each record carries its writer's true pid). Internal
// to one build.
#pragma once

#include <cstdint>

#include "abi/base/error.h"

namespace rtsup::abi {

inline constexpr uint32_t kLaunchMagic = 0x3148434c;  // "LCH1"

enum class LaunchVerb : uint32_t {
  kSpawned = 1,   // launcher: pid = host pid of the new process namespace's init (a child of the
                  // supervisor); 0 = it is the writer
  kFailed = 2,    // anybody: error says which step of the lockdown table failed
  kParked = 3,    // a daemon waits for GO; its credentials say which pid it is
  kFiltered = 4,  // the filter is on; its credentials say which pid it is, number = descriptor of
                  // the listener in it; a notification follows, in which it waits
  kExited = 5,    // init: the function's process ended; number = its wait status
};

struct LaunchRecord {
  uint32_t magic;
  LaunchVerb verb;
  int32_t pid;
  uint32_t reserved;
  Error error;
  int64_t number;
  uint8_t reserved1[24];
};
static_assert(sizeof(LaunchRecord) == 64);

// Where a host finds what it needs: 0 to 2 are the standard streams, 3 is kSessionFd.
inline constexpr int kHostStatusFd = 4;
inline constexpr int kHostPlanFd = 5;

// What the supervisor sends to a zygote to have a copy made of it, with as many descriptors: the
// copy gives each the number that the supervisor knows it by, so that the plan means the same to
// both.
inline constexpr uint32_t kZygoteMagic = 0x3147595a;  // "ZYG1"
inline constexpr int kZygoteCommandFd = 3;
inline constexpr uint32_t kZygoteFdsMax = 16;

struct ZygoteCommand {
  uint32_t magic;
  uint32_t count;
  int32_t plan_fd;
  int32_t status_fd;
  int32_t cgroup_fd;    // the v2 group that the copy is born in; -1 = none
  uint32_t namespaces;  // CLONE_NEW* flags: what the copy does not share with the zygote
  int32_t numbers[kZygoteFdsMax];
};
static_assert(sizeof(ZygoteCommand) == 88);

// What the supervisor then sends down the copy's status socket, once they are made: the v1 groups
// to join, as `count` descriptors open on their `tasks` files.
inline constexpr uint32_t kGroupsMagic = 0x31505247;  // "GRP1"
inline constexpr uint32_t kGroupFdsMax = 8;

struct GroupsCommand {
  uint32_t magic;
  uint32_t count;
};
static_assert(sizeof(GroupsCommand) == 8);

// The call that a host makes once its filter is on, so that the supervisor sees the filter at work:
// it is in no group and no policy can allow it, so it always comes back as a notification. Answered
// with kProbeAnswer, never executed.
inline constexpr uint64_t kProbeCookie = 0x7274737570707262;  // personality(kProbeCookie)
inline constexpr int64_t kProbeAnswer = 0x52545355;

}  // namespace rtsup::abi
