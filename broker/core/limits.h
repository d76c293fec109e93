// Limits of the broker's services, each with its reason. The channel's own stand in abi/layout.h.
#pragma once

#include <cstddef>
#include <cstdint>

#include "abi/layout.h"

namespace rtsup::broker {

// Longer keys make poor index entries, and a bulk request of 64 KiB must hold many.
inline constexpr size_t kKeyBytesMax = 1024;
// One payload. Larger ones belong in files.
inline constexpr size_t kValueBytesMax = abi::kPayloadBytesMax;
// Payloads that are copied without giving way to other sessions: a fraction of a millisecond.
inline constexpr size_t kCopiedAtOnceMax = 1024 * 1024;
// Those that go from one worker's memory straight into another's. In parts they are copied twice.
inline constexpr size_t kPassedAtOnceMax = 8 * 1024 * 1024;
// All values of one bulk call together: one payload, which must fit a window with room to spare.
inline constexpr size_t kBulkValueBytesMax = 8 * 1024 * 1024;
static_assert(kBulkValueBytesMax <= abi::kPayloadBytesMax);
inline constexpr size_t kBulkItemsMax = 512;
// Values in parts. One part is what is copied at once; all parts of a value but the last have it.
inline constexpr size_t kUploadPartBytes = 1024 * 1024;
static_assert(kUploadPartBytes <= kCopiedAtOnceMax);
// One such value: what a function may be sent in parts, and still name the length of in a table.
inline constexpr uint64_t kLongValueBytesMax = uint64_t{1} << 30;
inline constexpr size_t kUploadPartsMax = kLongValueBytesMax / kUploadPartBytes;
// Of a session, at a time.
inline constexpr size_t kUploadsMax = 4;
// An upload that nobody names for so long is given up.
inline constexpr uint64_t kUploadSilenceNs = 60'000'000'000;
// What an upload is counted with while it is open, beside its parts.
inline constexpr size_t kUploadRecordBytes = 4096;
inline constexpr size_t kContentTypeBytesMax = 255;
inline constexpr int64_t kTtlMsMax =
    int64_t{100} * 365 * 24 * 3600 * 1000;  // keeps sums far from overflow
// Requests of all sessions that may wait for components at a time; each costs 48 bytes, allocated
// at start.
inline constexpr size_t kStatePendingMax = 8192;

// Values of one sequencer.next: far more than anybody numbers at once, and far from overflow.
inline constexpr uint64_t kSequenceCountMax = 1'000'000;
// Requests of all sessions that may wait for sequencers at a time.
inline constexpr size_t kSequencerPendingMax = 4096;

// Calls that wait for a free instance of one function. Beyond it waiting only burns the caller's
// deadline.
inline constexpr size_t kInvokeQueueMax = 256;
// Invocations of all functions under way or waiting.
inline constexpr size_t kInvokePendingMax = 8192;
// Calls of one shard that another one has. Beyond it they are refused.
inline constexpr size_t kForwardedPendingMax = 4096;
// How deep events may nest. A caller that hides its depth is bounded by the event slots that each
// level occupies, and by its own deadline, which every level inherits.
inline constexpr uint32_t kInvokeDepthMax = 16;

// Topics are names, and stand in every message's table.
inline constexpr size_t kTopicBytesMax = 255;
// Of one function and component: each is looked at when the function has room for a message.
inline constexpr size_t kSubscriptionsMax = 64;
// What may wait for one subscriber of one topic. Beyond it publishing is refused.
inline constexpr size_t kQueueMessagesMax = 1024;
inline constexpr size_t kQueueBytesMax = 16 * 1024 * 1024;
// One message: it waits in the broker's memory, and is copied at once, for each subscriber.
inline constexpr size_t kMessageBytesMax = 8 * 1024 * 1024;
static_assert(kQueueBytesMax >= 2 * kMessageBytesMax && kMessageBytesMax <= kPassedAtOnceMax);
// Of a component: entries of all queues, 64 bytes each, allocated at start; bytes counted once for
// each queue they wait in. Divided among the subscribers (fair_shares.h).
inline constexpr size_t kBusEntriesMax = 16'384;
inline constexpr size_t kBusBytesMax = 64 * 1024 * 1024;
// Memory that the subscribers of a topic share (services/topic_regions.h). Smaller messages fit a
// few cache lines and are copied; larger ones would leave too few others room.
inline constexpr uint32_t kTopicRegionBytes = 2 * 1024 * 1024;
inline constexpr size_t kSharedBytesMin = 1024;
inline constexpr size_t kSharedBytesMax = kTopicRegionBytes / 8;
// How much of it one subscriber's queue may hold. Beyond it that subscriber gets copies.
inline constexpr size_t kPinnedBytesMax = kTopicRegionBytes / 4;
static_assert(kSharedBytesMax <= kPinnedBytesMax);
// How much of all of it one publisher's messages may fill. Beyond it they are copied.
inline constexpr size_t kPublisherSharedBytesMax = 2 * size_t{kTopicRegionBytes};
// Of all components, those included that a worker may still have mapped.
inline constexpr uint32_t kTopicRegionsMax = 32;
// Of one publisher, at most. Besides, they are divided among the functions (fair_shares.h), as long
// as there are enough of them.
inline constexpr uint32_t kPublisherRegionsMax = kTopicRegionsMax / 2;
// Messages between a change of a topic's subscribers and its first region; four times as many
// before each further one, so that who comes and goes makes few of them.
inline constexpr uint32_t kTopicSettledMessages = 4;
// Deliveries of one message to one subscriber, about half a minute in all.
inline constexpr uint32_t kDeliveriesMax = 10;
// Those of them that ended the instance: fewer than make a function `failed`.
inline constexpr uint32_t kDeadlyDeliveriesMax = 3;
// The wait before the second delivery; twice as long before each further one, up to the most.
inline constexpr uint64_t kRedeliveryNs = 100'000'000;
inline constexpr uint64_t kRedeliveryNsMax = 10'000'000'000;
// Messages under delivery, of all functions.
inline constexpr size_t kDeliveriesPendingMax = 8192;
// Groups of them, 1 KiB each. Beyond it messages go one by one.
inline constexpr size_t kGroupsPendingMax = 512;

}  // namespace rtsup::broker
