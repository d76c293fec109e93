// What the base sends through the session socket (SOCK_SEQPACKET, one datagram = one message + its
// descriptors as SCM_RIGHTS, in the order of `items`). First attach and re-attach are the same
// message. The worker can send nothing: the base's end is shut for reading. Frozen with ABI 1:
// docs/formats/channel.md.
#pragma once

#include <cstdint>

namespace rtsup::abi {

inline constexpr uint64_t kSessionMagic = 0x3153455350555354;  // "TSUPSES1"
inline constexpr int kSessionFd =
    3;  // where a worker finds the session socket (also in RTSUP_SESSION_FD)
inline constexpr const char* kSessionFdVariable = "RTSUP_SESSION_FD";

enum class SessionVerb : uint32_t {
  kAttach =
      1,  // items: up, down, shard, doorbell (in any order; unknown kinds are closed and ignored)
  kWindow = 2,  // items: one window
};

enum class ItemKind : uint32_t {
  kUp = 1,
  kDown = 2,
  kShard = 3,
  kDoorbell = 4,
  kWindowUp = 5,    // writable for the worker
  kWindowDown = 6,  // read-only for the worker
  kRuntimePage = 7,
  kTopic = 8,  // read-only for the worker; offered like kWindowDown (since 1.2)
};

struct SessionItem {
  ItemKind kind;
  uint32_t window;  // number of the window, 0 otherwise
  uint64_t bytes;   // size of the mapping; 0 for the doorbell
};

inline constexpr uint32_t kSessionItemsMax = 8;

struct SessionMessage {
  uint64_t magic;
  uint16_t abi_major;
  uint16_t abi_minor;
  SessionVerb verb;
  uint64_t epoch;
  uint32_t session;
  uint32_t item_count;
  SessionItem items[kSessionItemsMax];
};
static_assert(sizeof(SessionMessage) == 32 + 16 * kSessionItemsMax);

}  // namespace rtsup::abi
