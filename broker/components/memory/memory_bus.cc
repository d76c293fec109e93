#include "broker/components/memory/memory_bus.h"

#include <algorithm>
#include <utility>

namespace rtsup::broker {
namespace {

using abi::Reason;

constexpr uint32_t kRetryAfterMs = 20;

constexpr auto kLater = [](const auto* a, const auto* b) { return a->due_ns > b->due_ns; };

}  // namespace

MemoryBus::MemoryBus(size_t function_count, Timers& timers)
    : timers_(timers),
      entries_(kBusEntriesMax, [] { return Entry(); }),
      functions_(function_count),
      turns_(function_count, 0),
      entry_shares_(kBusEntriesMax, function_count),
      byte_shares_(kBusBytesMax, function_count) {
  waiting_.reserve(kBusEntriesMax);
  told_.reserve(function_count);
}

MemoryBus::~MemoryBus() {
  if (timer_ != 0) {
    timers_.cancel(timer_);
  }
}

void MemoryBus::publish(std::string_view topic, const BusMessage& message, PublishSink& sink) {
  const auto found = topics_.find(topic);
  if (found == topics_.end()) {
    return sink.published();
  }
  const Subscriptions& subscribers = found->second.subscriptions;
  const Reason full = check_room(subscribers, message.table.size() + message.payload.size());
  if (full != Reason::kNone) {
    return sink.failed(full, kRetryAfterMs);
  }
  BusMessage copy;
  const size_t pinned = pinned_bytes(message);
  const auto needs_copy = [pinned](const Subscription* subscription) {
    return pinned != 0 && subscription->pinned_bytes + pinned > kPinnedBytesMax;
  };
  if (std::any_of(subscribers.begin(), subscribers.end(), needs_copy)) {
    copy = {ValueRef::copy_of(message.table.bytes()), ValueRef::copy_of(message.payload.bytes())};
    if (copy.table.size() != message.table.size() ||
        copy.payload.size() != message.payload.size()) {
      return sink.failed(Reason::kNoMemory, kRetryAfterMs);
    }
  }
  ++published_;
  for (Subscription* const subscription : subscribers) {
    push(*subscription, needs_copy(subscription) ? copy : message);
    told_.push_back(subscription->function);
  }
  sink.published();
  tell();
}

// What it takes of shared memory.
size_t MemoryBus::pinned_bytes(const BusMessage& message) noexcept {
  return (message.payload.memory() == nullptr ? 0 : message.payload.size()) +
         (message.table.memory() == nullptr ? 0 : message.table.size());
}

Audience* MemoryBus::audience(std::string_view topic) {
  const auto found = topics_.find(topic);
  return found == topics_.end() ? nullptr : &found->second.audience;
}

// Who comes must not see what was published before, nor who leaves what is published from now on.
void MemoryBus::forget_memory(Audience& audience) noexcept {
  if (audience.memory != nullptr) {
    audience.memory->retire();
    audience.memory = nullptr;
  }
  audience.unchanged = 0;
}

void MemoryBus::tell() {
  for (const FunctionIndex function : told_) {
    observer_->due(function);
  }
  told_.clear();
}

// All or nothing: what was acknowledged must reach every subscriber.
Reason MemoryBus::check_room(const Subscriptions& subscribers, size_t bytes) const {
  const bool full = std::any_of(subscribers.begin(), subscribers.end(),
                                [bytes](const Subscription* subscription) {
                                  return subscription->count >= kQueueMessagesMax ||
                                         subscription->bytes + bytes > kQueueBytesMax;
                                });
  if (full) {
    return Reason::kSubscriberFull;
  }
  return is_full(subscribers, bytes) ? Reason::kBusFull : Reason::kNone;
}

// Each of them is another function.
bool MemoryBus::is_full(const Subscriptions& subscribers, size_t bytes) const {
  size_t entries_beyond = 0;
  size_t bytes_beyond = 0;
  for (const Subscription* const subscription : subscribers) {
    entries_beyond += entry_shares_.beyond(subscription->function.value, 1);
    bytes_beyond += byte_shares_.beyond(subscription->function.value, bytes);
  }
  return entries_beyond > entry_shares_.common_left() || bytes_beyond > byte_shares_.common_left();
}

MemoryBus::Subscription* MemoryBus::find(FunctionIndex subscriber, std::string_view topic) const {
  const Subscriptions& own = functions_[subscriber.value];
  const auto found = std::find_if(
      own.begin(), own.end(),
      [topic](const Subscription* subscription) { return subscription->topic == topic; });
  return found == own.end() ? nullptr : *found;
}

Reason MemoryBus::subscribe(FunctionIndex subscriber, std::string_view topic) {
  if (find(subscriber, topic) != nullptr) {
    return Reason::kNone;
  }
  Subscriptions& own = functions_[subscriber.value];
  if (own.size() >= kSubscriptionsMax) {
    return Reason::kTooManySubscriptions;
  }
  Subscription& made = subscriptions_.emplace_back();
  made.topic = topic;
  made.function = subscriber;
  own.push_back(&made);
  Topic& shared = topics_[made.topic];
  shared.subscriptions.push_back(&made);
  forget_memory(shared.audience);
  return Reason::kNone;
}

void MemoryBus::unsubscribe(FunctionIndex subscriber, std::string_view topic) {
  Subscription* const subscription = find(subscriber, topic);
  if (subscription == nullptr) {
    return;
  }
  subscription->closed = true;
  std::erase(functions_[subscriber.value], subscription);
  const auto of_topic = topics_.find(topic);
  std::erase(of_topic->second.subscriptions, subscription);
  forget_memory(of_topic->second.audience);
  if (of_topic->second.subscriptions.empty()) {
    topics_.erase(of_topic);
  }
  while (subscription->first != nullptr) {
    Entry& entry = *subscription->first;
    subscription->first = entry.next;
    free_entry(entry);
  }
  subscription->last = nullptr;
  const auto theirs = std::remove_if(waiting_.begin(), waiting_.end(), [&](Entry* entry) {
    const bool is_theirs = entry->subscription == subscription;
    if (is_theirs) {
      free_entry(*entry);
    }
    return is_theirs;
  });
  waiting_.erase(theirs, waiting_.end());
  std::make_heap(waiting_.begin(), waiting_.end(), kLater);
  drop_if_over(*subscription);
}

void MemoryBus::push(Subscription& subscription, const BusMessage& message) {
  Entry& entry = *entries_.take();  // check_room() has counted them
  entry.message = message;
  entry.subscription = &subscription;
  entry.next = nullptr;
  entry.order = published_;
  entry.attempt = 0;
  entry.deadly = 0;
  (subscription.last == nullptr ? subscription.first : subscription.last->next) = &entry;
  subscription.last = &entry;
  ++subscription.count;
  entry.bytes = message.table.size() + message.payload.size();
  entry.pinned = pinned_bytes(message);
  subscription.bytes += entry.bytes;
  subscription.pinned_bytes += entry.pinned;
  entry_shares_.take(subscription.function.value, 1);
  byte_shares_.take(subscription.function.value, entry.bytes);
}

// At its place by publication: only what was taken together with it can stand before.
void MemoryBus::insert(Subscription& subscription, Entry& entry) {
  Entry** place = &subscription.first;
  while (*place != nullptr && (*place)->order < entry.order) {
    place = &(*place)->next;
  }
  entry.next = *place;
  *place = &entry;
  if (entry.next == nullptr) {
    subscription.last = &entry;
  }
}

bool MemoryBus::take(FunctionIndex subscriber, Delivery& delivery) {
  const Subscriptions& own = functions_[subscriber.value];
  size_t& turn = turns_[subscriber.value];
  for (size_t i = 0; i < own.size(); ++i) {
    Subscription& subscription = *own[(turn + i) % own.size()];
    if (subscription.first == nullptr) {
      continue;
    }
    turn = (turn + i + 1) % own.size();
    take_first(subscription, delivery);
    return true;
  }
  return false;
}

// What goes alone waits for what is under delivery: other topics must not come first each time.
void MemoryBus::give_turn(const Subscription& subscription) {
  const Subscriptions& own = functions_[subscription.function.value];
  turns_[subscription.function.value] =
      static_cast<size_t>(std::find(own.begin(), own.end(), &subscription) - own.begin());
}

void MemoryBus::take_first(Subscription& subscription, Delivery& delivery) {
  Entry& entry = *subscription.first;
  subscription.first = entry.next;
  subscription.last = entry.next == nullptr ? nullptr : subscription.last;
  entry.next = nullptr;
  ++entry.attempt;
  delivery = {.message = entry.message,
              .attempt = entry.attempt,
              .is_suspect = entry.deadly != 0,
              .token = &entry};
}

size_t MemoryBus::take_more(const Delivery& like, std::span<Delivery> more) {
  Subscription& subscription = *static_cast<Entry*>(like.token)->subscription;
  const SharedMemory* const memory = like.message.payload.memory().get();
  size_t taken = 0;
  while (taken < more.size() && subscription.first != nullptr) {
    const Entry& entry = *subscription.first;
    if (entry.attempt != 0 || entry.message.payload.memory().get() != memory) {
      break;
    }
    take_first(subscription, more[taken++]);
  }
  return taken;
}

void MemoryBus::settle(const Delivery& delivery, Settled how) {
  Entry& entry = *static_cast<Entry*>(delivery.token);  // it never leaves the broker
  Subscription& subscription = *entry.subscription;
  if (how == Settled::kPutBack && !subscription.closed) {
    --entry.attempt;
    insert(subscription, entry);
    if (entry.deadly != 0) {
      give_turn(subscription);
    }
    return;
  }
  entry.deadly += how == Settled::kEnded ? 1 : 0;
  const bool again = how != Settled::kDone && !subscription.closed;
  if (again && entry.attempt < kDeliveriesMax && entry.deadly < kDeadlyDeliveriesMax) {
    return wait(entry);
  }
  given_up_ += again ? 1 : 0;
  if (again && observer_ != nullptr) {
    observer_->gave_up(subscription.function, entry.message, entry.attempt);
  }
  free_entry(entry);
  drop_if_over(subscription);
}

void MemoryBus::free_entry(Entry& entry) {
  Subscription& subscription = *entry.subscription;
  --subscription.count;
  subscription.bytes -= entry.bytes;
  subscription.pinned_bytes -= entry.pinned;
  entry_shares_.give(subscription.function.value, 1);
  byte_shares_.give(subscription.function.value, entry.bytes);
  entry.message = {};
  entries_.give(&entry);
}

void MemoryBus::drop_if_over(Subscription& subscription) {
  if (subscription.closed && subscription.count == 0) {
    subscriptions_.remove_if([&](const Subscription& other) { return &other == &subscription; });
  }
}

// ---- another attempt ----

void MemoryBus::wait(Entry& entry) {
  entry.due_ns =
      timers_.now_ns() + std::min(kRedeliveryNsMax, kRedeliveryNs << (entry.attempt - 1));
  waiting_.push_back(&entry);
  std::push_heap(waiting_.begin(), waiting_.end(), kLater);
  arm();
}

void MemoryBus::arm() {
  if (waiting_.empty() || (timer_ != 0 && timer_due_ns_ <= waiting_.front()->due_ns)) {
    return;
  }
  if (timer_ != 0) {
    timers_.cancel(timer_);
  }
  timer_due_ns_ = waiting_.front()->due_ns;
  timer_ = timers_.at(timer_due_ns_, [this] { run_due(); });
}

void MemoryBus::run_due() {
  timer_ = 0;
  const uint64_t now = timers_.now_ns();
  while (!waiting_.empty() && waiting_.front()->due_ns <= now) {
    std::pop_heap(waiting_.begin(), waiting_.end(), kLater);
    Entry& entry = *waiting_.back();
    waiting_.pop_back();
    insert(*entry.subscription, entry);
    const FunctionIndex function = entry.subscription->function;
    if (std::find(told_.begin(), told_.end(), function) == told_.end()) {
      told_.push_back(function);
    }
  }
  arm();
  tell();
}

}  // namespace rtsup::broker
