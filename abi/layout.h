// The shared-memory layout of a session, version 1. Frozen: documented in docs/formats/channel.md.
//
// Two regions with one writer each. *Up* is written by the worker and mapped read-only by the base;
// *down* the other way round. Indices count frames from 0 and never wrap in practice (64 bits); the
// slot is index & (kRingFrames - 1). An index stands in the region of the side that advances it:
//
//   up:    request_tail   the worker has published so many frames
//          down_head      the worker has copied so many frames of down: frees ring slots of down
//          asleep         1 while a thread of the worker sleeps, or is about to, on down.wake_word
//          released[]     generation up to which lease i of down's arena was given back
//   down:  response_tail  the base has published so many frames
//          up_head        the base has copied so many frames of up: frees ring slots of up
//          wake_word      futex word of the worker's sleepers; the base adds 1 and wakes them
//          hot            1 while the base polls this session without a doorbell
//          ending         1 once the base asks the worker to leave, after destroying its function
//          handed_over    1 once the base has answered all it took up and will take up no more: a
//                         new attach message follows (since 1.2)
//   shard: asleep         1 while the base's shard sleeps, or is about to, in epoll_wait
//          owner          the shard's thread id; without one the base is dead (since 1.1)
//
// Orders. The writer stores an index with release or stronger, after the frame and its bytes; the
// reader loads it with acquire. released[] likewise: release after the last read of the lease.
//
// Doorbells. The worker rings (writes 1 to the eventfd) after publishing iff shard.asleep ||
// !down.hot. The base wakes after publishing iff up.asleep. Publishing store, flag load, flag store
// and re-check are all seq_cst on both sides, so one of the two always sees the other (Dekker's
// pattern). At most one thread of a worker sleeps on wake_word.
//
// Memory of up's frames: the ranges of a request stay the base's until its answer was taken up; the
// ranges of a response until up_head has passed its frame. A worker has at most kRingFrames
// unanswered requests; one more is a flood and ends the session.
//
// Windows: 1..kWindowsMax are written by the worker, the next kWindowsMax by the base, and the next
//          kTopicWindowsMax (since 1.2) by the base for all subscribers of a topic. A range in one
//          of the last needs no lease: it holds until the event is answered. An empty range is all
//          zero.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace rtsup::abi {

inline constexpr uint16_t kAbiMajor = 1;
inline constexpr uint16_t kAbiMinor = 3;

inline constexpr uint64_t kUpMagic = 0x3150555055535452;     // "RTSUPUP1", little-endian
inline constexpr uint64_t kDownMagic = 0x314e574450555354;   // "TSUPDWN1"
inline constexpr uint64_t kShardMagic = 0x3144525350555354;  // "TSUPSRD1"

inline constexpr uint32_t kRingFrames =
    64;                                  // a power of two; at most so many frames unread each way
inline constexpr uint32_t kLeases = 64;  // parts of down's arena that a worker may hold at a time
inline constexpr uint32_t kHeaderBytes = 4096;
inline constexpr uint32_t kRegionBytes = 128 * 1024;
inline constexpr uint32_t kWindowsMax =
    8;  // attached windows of a session, each direction; window 0 apart
// Memory of topics that one session is ever given (since 1.2).
inline constexpr uint32_t kTopicWindowsMax = 16;
inline constexpr uint16_t kTopicMinor = 2;
// Of one call or event; a base may be set to less, and grants less to a worker of little memory.
inline constexpr uint32_t kPayloadBytesMax = 64 * 1024 * 1024;
// One attached window: the largest payload and its table.
inline constexpr uint32_t kWindowBytesMax = kPayloadBytesMax + 1024 * 1024;
inline constexpr uint32_t kInlineBytesMax =
    32 * 1024;  // metadata and payload together; beyond it a window is used
inline constexpr uint32_t kMetadataBytesMax = 64 * 1024;  // the largest table of any operation

// A range of bytes in one of the sender's windows. Window 0 is the region itself, counted from its
// first byte.
struct Range {
  uint32_t window = 0;
  uint32_t offset = 0;
  uint32_t length = 0;
  uint32_t reserved = 0;
};

enum class FrameKind : uint8_t {
  kRequest = 1,   // worker to base: an ABI call; base to worker: an event
  kResponse = 2,  // the single answer, with the correlation of the request
  kRelease = 3,   // reserved
};

inline constexpr uint32_t kNoLease = 0xFFFFFFFF;

// One frame: two cache lines. Everything in it is little-endian; reserved bytes are zero.
struct Frame {
  uint64_t sequence = 0;  // equals the ring index at which it was published
  uint64_t correlation =
      0;  // chosen by the requester, unique among its unanswered requests; echoed by the answer
  uint16_t opcode = 0;
  FrameKind kind = FrameKind::kRequest;
  uint8_t status = 0;         // rtsup::Status of an answer
  uint32_t lease = kNoLease;  // down only: index of the lease that holds metadata and payload
  uint64_t timeout_ns = 0;  // from publication on; 0 = the default, or what is left of the parent's
  Range metadata;           // a flatbuffer: the operation's table, or Failure when status is not OK
  Range payload;            // bytes that nobody parses
  uint8_t trace_id[16] = {};  // W3C trace context; all zero = none
  uint8_t span_id[8] = {};
  uint8_t trace_flags = 0;
  uint8_t reserved0[3] = {};
  uint32_t lease_generation = 0;  // what the worker stores into up.released[lease] to give it back
  uint64_t parent =
      0;  // worker to base: correlation of the event during which this call is made; 0 = none
  uint8_t reserved1[24] = {};
};
static_assert(sizeof(Frame) == 128);
static_assert(offsetof(Frame, metadata) == 32 && offsetof(Frame, trace_id) == 64);

inline constexpr size_t kLine = 64;
using SharedU32 = std::atomic<uint32_t>;
using SharedU64 = std::atomic<uint64_t>;
static_assert(SharedU32::is_always_lock_free && SharedU64::is_always_lock_free);

struct UpHeader {
  uint64_t magic;
  uint32_t bytes;      // of the whole region
  uint16_t abi_major;  // the SDK's, written before attached_epoch
  uint16_t abi_minor;
  SharedU64 attached_epoch;  // the worker's acknowledgement: the attach message's epoch, once both
                             // regions are prefaulted
  alignas(kLine) SharedU64 request_tail;
  alignas(kLine) SharedU64 down_head;
  alignas(kLine) SharedU32 asleep;
  alignas(kLine) SharedU32 released[kLeases];
};
static_assert(sizeof(UpHeader) <= kHeaderBytes);

struct DownHeader {
  uint64_t magic;
  uint32_t bytes;
  uint16_t abi_major;
  uint16_t abi_minor;
  uint64_t epoch;
  SharedU32 spin_budget_ns;  // how long the worker may spin before it sleeps; 0 = never
  // seq_cst, before asleep is read; partner: the worker's load after it set asleep
  SharedU32 ending;
  // seq_cst, after up_head and the last answer; partner: the worker's load before it publishes.
  SharedU32 handed_over;
  alignas(kLine) SharedU64 response_tail;
  alignas(kLine) SharedU64 up_head;
  alignas(kLine) SharedU32 wake_word;
  alignas(kLine) SharedU32 hot;
};
static_assert(sizeof(DownHeader) <= kHeaderBytes);

struct ShardPage {
  uint64_t magic;
  uint64_t epoch;
  alignas(kLine) SharedU32 asleep;
  // A futex word of the robust kind: bits 0 to 29 are the thread's id while it lives.
  alignas(kLine) SharedU32 owner;
};
inline constexpr uint32_t kOwnerIdMask = 0x3FFFFFFF;  // FUTEX_TID_MASK
inline constexpr uint32_t kOwnerDied = 0x40000000;    // FUTEX_OWNER_DIED, set by the kernel
static_assert(sizeof(ShardPage) <= kHeaderBytes);

inline constexpr uint32_t kRingOffset = kHeaderBytes;
inline constexpr uint32_t kArenaOffset = kHeaderBytes + kRingFrames * uint32_t{sizeof(Frame)};
static_assert((kRingFrames & (kRingFrames - 1)) == 0 && kArenaOffset < kRegionBytes);

}  // namespace rtsup::abi
