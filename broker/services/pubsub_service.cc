#include "broker/services/pubsub_service.h"

#include <algorithm>

#include "broker/components/etag.h"
#include "broker/core/table.h"
#include "broker/services/key.h"
#include "schemas/pubsub_generated.h"

namespace rtsup::broker {
namespace {

using abi::Reason;

constexpr uint32_t kIdCharacters = 32;

// A message's payload, to be copied into a session's memory.
class ValuePayload final : public Payload {
 public:
  explicit ValuePayload(const ValueRef& value) noexcept : bytes_(value.bytes()) {}
  size_t size() const noexcept override { return bytes_.size(); }
  void copy(size_t offset, std::span<std::byte> out) const noexcept override {
    const auto from = bytes_.subspan(offset, out.size());
    std::copy(from.begin(), from.end(), out.begin());
  }

 private:
  std::span<const std::byte> bytes_;
};

// What subscribe and unsubscribe share: the topic, when it is one.
std::string_view topic_of(const Call& call) noexcept {
  switch (call.operation().opcode) {
    case abi::op::kPubsubPublish:
      return view(table_of<abi::PubsubPublishRequest>(call).topic());
    case abi::op::kPubsubSubscribe:
      return view(table_of<abi::PubsubSubscribeRequest>(call).topic());
    default:
      return view(table_of<abi::PubsubUnsubscribeRequest>(call).topic());
  }
}

bool is_valid_topic(std::string_view topic) noexcept {
  return !topic.empty() && topic.size() <= kTopicBytesMax && is_utf8_without_nul(topic);
}

}  // namespace

PubsubService::PubsubService(Plan plan, Parts parts)
    : plan_(std::move(plan)),
      parts_(parts),
      regions_(plan_.event_timeouts_ns.size()),
      pending_(kDeliveriesPendingMax, [this] { return Pending(*this); }),
      groups_(kGroupsPendingMax, [this] { return PendingGroup(*this); }),
      lanes_(plan_.event_timeouts_ns.size()) {
  table_.reserve(abi::kMetadataBytesMax);
  for (PubsubBus* const bus : plan_.buses) {
    if (bus != nullptr) {
      bus->observe(this);
    }
  }
}

void PubsubService::handle(Call& call, ComponentIndex component) {
  PubsubBus* const bus =
      component.value < plan_.buses.size() ? plan_.buses[component.value] : nullptr;
  if (bus == nullptr) {
    return answer_failure(call, parts_.builder, Reason::kNotGranted);
  }
  const std::string_view topic = topic_of(call);
  if (!is_valid_topic(topic)) {
    return answer_failure(call, parts_.builder, Reason::kTopicInvalid);
  }
  const FunctionIndex function = call.principal().function;
  switch (call.operation().opcode) {
    case abi::op::kPubsubPublish:
      return publish(call, component, *bus);
    case abi::op::kPubsubSubscribe: {
      if (const Reason reason = bus->subscribe(function, topic); reason != Reason::kNone) {
        return answer_failure(call, parts_.builder, reason);
      }
      auto& builder = parts_.builder.start();
      return call.answer(Status::kOk,
                         parts_.builder.finish(abi::CreatePubsubSubscribeResponse(builder)), {});
    }
    case abi::op::kPubsubUnsubscribe: {
      bus->unsubscribe(function, topic);
      auto& builder = parts_.builder.start();
      return call.answer(Status::kOk,
                         parts_.builder.finish(abi::CreatePubsubUnsubscribeResponse(builder)), {});
    }
    default:
      return answer_failure(call, parts_.builder, Reason::kUnknownOperation);
  }
}

// ---- publishing ----

void PubsubService::publish(Call& call, ComponentIndex component, PubsubBus& bus) {
  const EtagText halves[] = {format_etag(plan_.id_seed), format_etag(++published_)};
  static_assert(sizeof halves == kIdCharacters);
  const std::string_view id_text(halves[0].data(), sizeof halves);
  BusMessage message;
  const Reason reason = make_message(call, component, id_text, message);
  if (reason != Reason::kNone) {
    return answer_failure(call, parts_.builder, reason);
  }
  // The call's table is gone with its answer.
  const std::string_view topic =
      view(flatbuffers::GetRoot<abi::PubsubMessageEvent>(message.table.bytes().data())->topic());
  Publication publication(*this, call, id_text);
  bus.publish(topic, message, publication);
}

// The table that every subscriber gets, and the payload, read once from the publisher's memory:
// both into the memory that the subscribers share, if they do.
Reason PubsubService::make_message(Call& call, ComponentIndex component, std::string_view id,
                                   BusMessage& message) {
  const auto& request = table_of<abi::PubsubPublishRequest>(call);
  if (!is_valid_content_type(view(request.content_type()))) {
    return Reason::kContentTypeInvalid;
  }
  auto& builder = parts_.builder.start();
  const auto metadata = copy_pairs(builder, request.metadata());
  const auto component_at = builder.CreateString(plan_.components[component.value]);
  const auto topic = copy_text(builder, request.topic());
  const auto id_at = builder.CreateString(id.data(), id.size());
  const auto publisher = builder.CreateString(call.principal().name);
  const auto content_type = copy_text(builder, request.content_type());
  const auto table = parts_.builder.finish(
      abi::CreatePubsubMessageEvent(builder, component_at, topic, id_at, publisher,
                                    parts_.clock.unix_ms(), 1, content_type, metadata));
  const size_t size = call.payload().size();
  if (size > kMessageBytesMax) {
    return Reason::kPayloadTooLarge;
  }
  if (Audience* const audience = plan_.buses[component.value]->audience(view(request.topic()));
      audience != nullptr) {
    message = regions_.make(*audience, {.table = table.size(), .payload = size},
                            call.principal().function);
  }
  if (message.table.size() == 0) {
    message = {.table = ValueRef::make(table.size()), .payload = ValueRef::make(size)};
  }
  if (message.table.size() != table.size() || message.payload.size() != size) {
    return Reason::kNoMemory;
  }
  std::copy(table.begin(), table.end(), message.table.fill().begin());
  call.payload().copy(0, message.payload.fill());
  return Reason::kNone;
}

void PubsubService::Publication::published() {
  auto& builder = service_.parts_.builder.start();
  const auto id = builder.CreateString(id_.data(), id_.size());
  call_.answer(Status::kOk,
               service_.parts_.builder.finish(abi::CreatePubsubPublishResponse(builder, id)), {});
}

void PubsubService::Publication::failed(Reason reason, uint32_t retry_after_ms) {
  answer_failure(call_, service_.parts_.builder, reason, retry_after_ms);
}

// ---- delivering ----

// As long as there is an instance with room and a message that is due; the buses take turns.
void PubsubService::deliver(FunctionIndex subscriber) {
  Lane& lane = lanes_[subscriber.value];
  if (lane.way == Lane::Way::kClearing && lane.open == 0) {
    lane.way = Lane::Way::kOpen;
  }
  size_t empty = 0;
  while (empty < plan_.buses.size() && !paused_ && lane.way == Lane::Way::kOpen) {
    PubsubBus* const bus = plan_.buses[lane.turn % plan_.buses.size()];
    ++lane.turn;
    Endpoint* const endpoint = bus == nullptr ? nullptr : parts_.directory.pick(subscriber);
    if (bus != nullptr && endpoint == nullptr) {
      return;
    }
    empty = bus != nullptr && deliver_some(subscriber, *bus, *endpoint) ? 0 : empty + 1;
  }
}

void PubsubService::resume() {
  paused_ = false;
  for (uint32_t i = 0; i < plan_.event_timeouts_ns.size(); ++i) {
    deliver(FunctionIndex{i});
  }
}

// False when there was nothing to deliver, or no room for it after all.
bool PubsubService::deliver_some(FunctionIndex subscriber, PubsubBus& bus, Endpoint& endpoint) {
  Delivery delivery;
  if (!bus.take(subscriber, delivery)) {
    return false;
  }
  if (delivery.is_suspect) [[unlikely]] {
    return deliver_suspect(subscriber, bus, delivery, endpoint);
  }
  const uint32_t room =
      delivery.attempt == 1 ? endpoint.group_room(delivery.message.payload.memory()) : 0;
  return room > 1 ? deliver_group(subscriber, bus, delivery, endpoint, room)
                  : deliver_one(subscriber, bus, delivery, endpoint);
}

// Only where nothing but invocations could end the instance besides: those a handler may depend on.
// Until then all waits, so that what comes later does not get ahead of it for ever.
bool PubsubService::deliver_suspect(FunctionIndex subscriber, PubsubBus& bus,
                                    const Delivery& delivery, Endpoint& endpoint) {
  Lane& lane = lanes_[subscriber.value];
  if (lane.open != 0 || endpoint.has_overdue()) {
    bus.settle(delivery, Settled::kPutBack);
    lane.way = Lane::Way::kClearing;
    --lane.turn;
    return false;
  }
  lane.way = Lane::Way::kAlone;
  const bool is_sent = deliver_one(subscriber, bus, delivery, endpoint);
  if (!is_sent) {
    lane.way = Lane::Way::kOpen;
  }
  return is_sent;
}

void PubsubService::event_over(FunctionIndex subscriber) {
  Lane& lane = lanes_[subscriber.value];
  --lane.open;
  if (lane.way == Lane::Way::kOpen || lane.open != 0) [[likely]] {
    return;
  }
  lane.way = Lane::Way::kOpen;
  parts_.directory.room_later(subscriber);
}

bool PubsubService::deliver_one(FunctionIndex subscriber, PubsubBus& bus, const Delivery& delivery,
                                Endpoint& endpoint) {
  const BusMessage& message = delivery.message;
  const bool is_first = delivery.attempt == 1;
  const ValuePayload payload(message.payload);
  const Event event{.opcode = abi::op::kEventMessage,
                    .metadata = is_first ? message.table.bytes() : table_with_attempt(delivery),
                    .payload = &payload,
                    .value = &message.payload,
                    .table = is_first ? &message.table : nullptr,
                    .deadline_ns = deadline_of(subscriber),
                    .depth = 1};
  Pending* const pending = pending_.take();
  if (pending != nullptr) {
    pending->bus = &bus;
    pending->subscriber = subscriber;
    pending->delivery = delivery;
    Lane& lane = lanes_[subscriber.value];
    ++lane.open;  // it may be answered before send() returns
    if (endpoint.send(event, *pending)) {
      return true;
    }
    --lane.open;
    pending->delivery = {};
    pending_.give(pending);
  }
  bus.settle(delivery, Settled::kPutBack);
  return false;
}

// `first` and what follows it in the same memory, up to `room` messages.
bool PubsubService::deliver_group(FunctionIndex subscriber, PubsubBus& bus, Delivery& first,
                                  Endpoint& endpoint, uint32_t room) {
  PendingGroup* const group = groups_.take();
  if (group == nullptr) {
    return deliver_one(subscriber, bus, first, endpoint);
  }
  const std::span<Delivery> places(group->deliveries);
  group->count =
      1 + bus.take_more(first, places.subspan(1, std::min<size_t>(room, places.size()) - 1));
  if (group->count == 1) {
    groups_.give(group);
    return deliver_one(subscriber, bus, first, endpoint);
  }
  group->bus = &bus;
  group->subscriber = subscriber;
  group->deliveries[0] = std::move(first);
  std::array<EventGroup::Item, abi::kGroupMessagesMax> items;
  for (size_t i = 0; i < group->count; ++i) {
    const BusMessage& message = group->deliveries[i].message;
    items[i] = {message.table.bytes(), message.payload.bytes()};
  }
  ++open_groups_;
  ++lanes_[subscriber.value].open;
  if (endpoint.send_group({.items = std::span(items).first(group->count),
                           .memory = group->deliveries[0].message.payload.memory(),
                           .deadline_ns = deadline_of(subscriber)},
                          *group)) {
    return true;
  }
  --open_groups_;
  --lanes_[subscriber.value].open;
  for (size_t i = group->count; i > 0; --i) {
    bus.settle(group->deliveries[i - 1], Settled::kPutBack);
  }
  group->released();
  return false;
}

// The stored table is that of the first attempt.
std::span<const std::byte> PubsubService::table_with_attempt(const Delivery& delivery) {
  const auto stored = delivery.message.table.bytes();
  table_.assign(stored.begin(), stored.end());
  auto* const table = flatbuffers::GetMutableRoot<flatbuffers::Table>(table_.data());
  table->SetField<uint32_t>(abi::PubsubMessageEvent::VT_ATTEMPT, delivery.attempt, 0);
  return table_;
}

void PubsubService::Pending::answered(Status status, std::span<const std::byte> metadata,
                                      const Payload& /*payload*/) {
  PubsubBus& own_bus = *bus;
  PubsubService& service = *service_;
  const FunctionIndex function = subscriber;
  const Delivery settled = std::exchange(delivery, {});
  service.pending_.give(this);
  if (service.closed_) {
    return;
  }
  // A function's own refusal says why; the transport's word for a session that is gone does not.
  settle_one(own_bus, settled, status, status == Status::kUnavailable && metadata.empty());
  service.event_over(function);
}

void PubsubService::gave_up(FunctionIndex subscriber, const BusMessage& message,
                            uint32_t attempts) {
  if (parts_.denials != nullptr) {
    const auto& table =
        *flatbuffers::GetRoot<abi::PubsubMessageEvent>(message.table.bytes().data());
    parts_.denials->gave_up(subscriber, view(table.component()), view(table.topic()), attempts);
  }
}

void PubsubService::settle_one(PubsubBus& bus, const Delivery& delivery, Status status,
                               bool ended) {
  bus.settle(delivery, status == Status::kOk ? Settled::kDone
                       : ended               ? Settled::kEnded
                                             : Settled::kAgain);
}

// What the worker says less of than there is was not acknowledged.
void PubsubService::PendingGroup::answered(Status status, std::span<const std::byte> metadata,
                                           const Payload& /*payload*/) {
  --service_->open_groups_;
  if (service_->closed_) {
    return;
  }
  const bool has_table = status == Status::kOk && !metadata.empty();
  const bool ended = status == Status::kUnavailable && metadata.empty();
  const auto* const statuses =
      has_table ? flatbuffers::GetRoot<abi::PubsubMessagesReply>(metadata.data())->statuses()
                : nullptr;
  for (uint32_t i = 0; i < count; ++i) {
    Status own = status;
    if (has_table) {
      const bool is_ok = i < statuses->size() && statuses->Get(i) == 0;
      own = is_ok ? Status::kOk : Status::kUnknown;
    }
    settle_one(*bus, deliveries[i], own, ended);
  }
  service_->event_over(subscriber);
}

void PubsubService::PendingGroup::released() {
  for (size_t i = 0; i < count; ++i) {
    deliveries[i] = {};
  }
  count = 0;
  service_->groups_.give(this);
}

}  // namespace rtsup::broker
