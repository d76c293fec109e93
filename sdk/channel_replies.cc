// The answers of ChannelTransport to events: memory to build them in, and their way into the ring.
#include <algorithm>

#include "abi/shared_copy.h"
#include "sdk/channel_transport.h"
#include "sys/clock.h"
#include "sys/futex.h"

namespace rtsup::sdk {
namespace {

// A room's handle: 1, the epoch's place, the window, the offset, the length.
constexpr uint32_t kHandleBits = 27;  // enough for kWindowBytesMax
static_assert(abi::kWindowBytesMax < 1U << kHandleBits);

uint64_t now_ns() noexcept { return static_cast<uint64_t>(sys::monotonic_ns()); }

uint32_t place_of(uint64_t handle) noexcept { return (handle >> 58) & 0x1F; }

UpRange range_of(uint64_t handle) noexcept {
  constexpr uint64_t kMask = (1U << kHandleBits) - 1;
  return {static_cast<uint32_t>((handle >> 54) & 0xF),
          static_cast<uint32_t>((handle >> kHandleBits) & kMask),
          static_cast<uint32_t>(handle & kMask)};
}

}  // namespace

std::optional<ChannelTransport::Memory> ChannelTransport::take_memory(uint32_t bytes,
                                                                      uint64_t deadline_ns,
                                                                      Keep keep) noexcept {
  for (;;) {
    if (UpMemory::needs_window(bytes) && ensure_window(bytes, deadline_ns).status != Status::kOk) {
      return std::nullopt;
    }
    {
      const std::lock_guard lock(mutex_);
      collect();
      ChannelEpoch& epoch = current();
      if (const auto taken = epoch.take(bytes)) {
        epoch.rooms += keep == Keep::kRoom ? 1 : 0;
        return Memory{*taken, epoch.memory.address(*taken), epoch.place};
      }
    }
    const uint64_t now = now_ns();
    if (now >= deadline_ns || closed_.load()) {
      return std::nullopt;
    }
    flush();  // what was begun may hold it
    pause(std::min(deadline_ns, now + kRoomPollNs));
  }
}

ReplyRoom ChannelTransport::reply_room(size_t bytes) noexcept {
  if (bytes == 0 || bytes > abi::kPayloadBytesMax) {
    return {};
  }
  const auto memory =
      take_memory(static_cast<uint32_t>(bytes), now_ns() + kDefaultTimeoutNs, Keep::kRoom);
  if (!memory) {
    return {};
  }
  const UpRange& range = memory->range;
  const uint64_t handle = uint64_t{1} << 63 | uint64_t{memory->place} << 58 |
                          uint64_t{range.window} << 54 | uint64_t{range.offset} << kHandleBits |
                          range.length;
  return {.bytes = {memory->address, bytes}, .handle = handle};
}

void ChannelTransport::drop_room(const ReplyRoom& room) noexcept {
  if (room.handle == 0) {
    return;
  }
  const std::lock_guard lock(mutex_);
  ChannelEpoch& epoch = *epochs_[place_of(room.handle)];
  epoch.memory.give(range_of(room.handle));
  --epoch.rooms;
  if (&epoch != &current()) {
    retire_unheld();
  }
}

void ChannelTransport::reply(const Event& event, Status status, Bytes metadata,
                             const ReplyRoom& room, size_t payload_bytes) noexcept {
  if (event.group != 0) {
    drop_room(room);  // nobody reads it
    return reply_message(event, status);
  }
  if (!publish_answer({.correlation = event.context.correlation,
                       .session = event.context.session,
                       .status = status,
                       .metadata = metadata,
                       .payload = range_of(room.handle),
                       .payload_bytes = static_cast<uint32_t>(payload_bytes),
                       .rooms = room.handle != 0 ? 1U : 0U})) {
    drop_room(room);
  }
  release(event.lease);
  end_event(event.place);  // last: until here it keeps the epoch
}

void ChannelTransport::end_event(uint32_t place) noexcept {
  ChannelEpoch* const epoch = epochs_[place].get();
  // Every read of the event's bytes comes before, the look at the current epoch after: seq_cst.
  // Partner: is_held()'s load after move_to()'s store. One of the two sees the other, so that the
  // last one retires what is old.
  epoch->events.fetch_sub(1);
  if (epoch != current_.load()) {  // it may be unmapped, and its place taken, from now on
    const std::lock_guard lock(mutex_);
    retire_unheld();
  }
}

bool ChannelTransport::publish_answer(const Reply& reply) noexcept {
  abi::Frame frame;
  frame.kind = abi::FrameKind::kResponse;
  frame.correlation = reply.correlation;
  frame.status = static_cast<uint8_t>(reply.status);
  if (reply.payload_bytes != 0) {
    frame.payload = {reply.payload.window, reply.payload.offset, reply.payload_bytes, 0};
  }
  Memory table;
  if (!reply.metadata.empty()) {
    const auto taken =
        take_memory(static_cast<uint32_t>(reply.metadata.size()), now_ns() + kDefaultTimeoutNs);
    if (taken && epochs_[taken->place]->serial != reply.session) {
      const std::lock_guard lock(mutex_);
      give(*taken);
      return false;
    }
    if (taken) {
      table = *taken;
      abi::copy_once(taken->address, reply.metadata.data(), reply.metadata.size());
      frame.metadata = {table.range.window, table.range.offset, table.range.length, 0};
    } else {
      frame.status = static_cast<uint8_t>(Status::kResourceExhausted);
      frame.payload = {};
    }
  }
  for (;;) {
    ChannelEpoch* in = nullptr;
    if (try_publish_answer(reply, frame, table, in)) {
      if (in != nullptr) {
        ring(*in);  // the event keeps it
      }
      return in != nullptr;
    }
    if (closed_.load() || stopping_.load()) {
      return false;
    }
    flush();
    // Not wait(): the leader itself comes here with the answer to a window offer.
    sys::futex_wait(progress_, progress_.load(), kRoomPollNs);
  }
}

bool ChannelTransport::try_publish_answer(const Reply& reply, abi::Frame& frame,
                                          const Memory& table, ChannelEpoch*& in) noexcept {
  const std::lock_guard lock(mutex_);
  ChannelEpoch& epoch = current();
  if (epoch.serial != reply.session) {
    return true;  // what it took lies in an epoch that is over
  }
  epoch.look_at_up_head();
  if (!epoch.has_ring_room()) {
    return epoch.is_over();
  }
  epoch.memory.give_after(epoch.tail, table.range);
  epoch.memory.give_after(epoch.tail, reply.payload);
  epoch.rooms -= reply.rooms;
  copied_ += reply.payload_bytes;
  publish(epoch, frame);
  announce(epoch);
  in = &epoch;
  return true;
}

}  // namespace rtsup::sdk
