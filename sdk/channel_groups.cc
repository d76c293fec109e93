// Groups of messages in ChannelTransport: handed out one by one, answered with one frame.
#include <algorithm>

#include "abi/operation.h"
#include "sdk/channel_transport.h"
#include "sdk/client.h"
#include "sys/clock.h"

namespace rtsup::sdk {

// One that can not be handed out is answered.
void ChannelTransport::open_group(const Event& event) noexcept {
  const auto free = std::find_if(groups_.begin(), groups_.end(),
                                 [](const MessageGroup& group) { return group.count == 0; });
  const auto* const table =
      event.metadata.empty()
          ? nullptr
          : flatbuffers::GetRoot<abi::PubsubMessagesEvent>(event.metadata.data());
  const uint32_t count = table == nullptr ? 0 : table->messages()->size();
  if (free == groups_.end() || count == 0 || count > abi::kGroupMessagesMax) {
    reply(event, Status::kUnimplemented, {}, {}, 0);
    return;
  }
  *free = {.event = event, .window = table->window(), .count = count};
  free->statuses.fill(static_cast<uint8_t>(Status::kUnknown));
  opened_ = &*free;
  // Relaxed: a figure, changed by this thread alone.
  events_taken_.store(events_taken_.load(std::memory_order_relaxed) + count - 1,
                      std::memory_order_relaxed);
}

// False when there is none, or the base that asked is gone: nobody waits for the rest.
bool ChannelTransport::take_message(Event& event) noexcept {
  if (opened_ == nullptr) {
    return false;
  }
  MessageGroup& group = *opened_;
  const ChannelEpoch& epoch = *epochs_[group.event.place];  // kept by the group's event
  if (&epoch != &current()) {
    drop_messages();
    return false;
  }
  const uint32_t item = group.next++;
  opened_ = group.next == group.count ? nullptr : opened_;
  const abi::PubsubMessagePlace& place =
      *flatbuffers::GetRoot<abi::PubsubMessagesEvent>(group.event.metadata.data())
           ->messages()
           ->Get(item);
  event = group.event;
  event.opcode = abi::op::kEventMessage;
  event.lease = 0;
  const uint64_t now = static_cast<uint64_t>(sys::monotonic_ns());
  event.timeout_ns = event.context.deadline_ns - std::min(now, event.context.deadline_ns);
  event.group = static_cast<uint16_t>(&group - groups_.data() + 1);
  event.item = static_cast<uint16_t>(item);
  event.metadata = resolve(epoch, {group.window, place.table_offset(), place.table_length(), 0});
  event.payload = resolve(epoch, {group.window, place.payload_offset(), place.payload_length(), 0});
  return true;
}

// Those of the group that was opened and that the function has not begun.
void ChannelTransport::drop_messages() noexcept {
  MessageGroup& group = *std::exchange(opened_, nullptr);
  group.is_whole = false;
  group.done += group.count - group.next;
  if (group.done == group.count) {
    end_group(group);
  }
}

void ChannelTransport::reply_message(const Event& event, Status status) noexcept {
  MessageGroup& group = groups_[event.group - 1];
  group.statuses[event.item] = static_cast<uint8_t>(status);
  group.is_whole = group.is_whole && status == Status::kOk;
  ++group.done;
  if (group.done == group.count) {
    end_group(group);
  }
}

// Its answer goes nowhere when the base that asked is gone.
void ChannelTransport::end_group(MessageGroup& group) noexcept {
  const Event event = group.event;
  if (group.is_whole) {
    group.count = 0;
    reply(event, Status::kOk, {}, {}, 0);
    return;
  }
  Builder& builder = fresh_builder();
  const auto statuses = builder.CreateVector(group.statuses.data(), group.count);
  builder.Finish(abi::CreatePubsubMessagesReply(builder, statuses));
  group.count = 0;
  reply(event, Status::kOk, std::as_bytes(std::span(builder.GetBufferPointer(), builder.GetSize())),
        {}, 0);
}

}  // namespace rtsup::sdk
