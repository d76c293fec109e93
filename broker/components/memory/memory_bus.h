// MemoryBus: component pubsub.memory: messages in the broker's own memory, gone when it ends,
// unless it is replaced as planned.
// Owns:    a fixed number of queue entries, allocated at start; a message's bytes are shared by the
//          queues that it waits in. Timers must outlive it.
// Units:   limits in broker/core/limits.h.
// Errors:  SUBSCRIBER_FULL, BUS_FULL (a subscriber has its share, and what is common is taken),
//          NO_MEMORY, TOO_MANY_SUBSCRIPTIONS. A refused message is in no queue.
// Threads: the shard's only.
//
// Order: messages of one topic leave in the order in which they were published. One that comes
// again stands before those that were published after it.
//
// A queue holds at most kPinnedBytesMax of shared memory: what is published beyond it waits there
// as a copy of its own, so that a slow subscriber does not keep the others from sharing.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "broker/components/pubsub_bus.h"
#include "broker/core/fair_shares.h"
#include "broker/core/limits.h"
#include "broker/core/pool.h"
#include "broker/core/post.h"
#include "broker/handover/movable.h"

namespace rtsup::broker {

class MemoryBus final : public PubsubBus, public Movable {
 public:
  MemoryBus(size_t function_count, Timers& timers);
  ~MemoryBus() override;
  MemoryBus(const MemoryBus&) = delete;
  MemoryBus& operator=(const MemoryBus&) = delete;

  void publish(std::string_view topic, const BusMessage& message, PublishSink& sink) override;
  Audience* audience(std::string_view topic) override;
  abi::Reason subscribe(FunctionIndex subscriber, std::string_view topic) override;
  void unsubscribe(FunctionIndex subscriber, std::string_view topic) override;
  bool take(FunctionIndex subscriber, Delivery& delivery) override;
  size_t take_more(const Delivery& like, std::span<Delivery> more) override;
  void settle(const Delivery& delivery, Settled how) override;
  void observe(Observer* observer) override { observer_ = observer; }

  // Subscriptions and what waits for them; nothing may be under delivery (memory_handover.cc).
  void hand_over(HandoverWriter& writer) const override;
  Result<void> take_over(HandoverRecord& record) override;
  Result<void> taken_over() override;

  // Entries in use, of all queues.
  [[nodiscard]] size_t entries() const noexcept { return entries_.taken(); }
  // Messages given up after the last attempt.
  [[nodiscard]] uint64_t given_up() const noexcept { return given_up_; }

 private:
  struct Subscription;
  struct Entry {
    BusMessage message;
    Subscription* subscription = nullptr;
    Entry* next = nullptr;  // behind it in its queue
    uint64_t order = 0;     // counts publications
    uint64_t due_ns = 0;    // while it waits for another attempt
    uint32_t attempt = 0;
    uint32_t deadly = 0;  // attempts that ended the instance; all but the first of them alone
    size_t bytes = 0;     // of the message
    size_t pinned = 0;    // of them in shared memory
  };
  // One function's queue of one topic.
  struct Subscription {
    std::string topic;
    FunctionIndex function;
    Entry* first = nullptr;
    Entry* last = nullptr;
    size_t count = 0;  // waiting, under delivery and waiting for another attempt
    size_t bytes = 0;
    size_t pinned_bytes = 0;  // of shared memory
    bool closed = false;      // unsubscribed; goes with its last entry
  };
  using Subscriptions = std::vector<Subscription*>;
  struct Topic {
    Subscriptions subscriptions;
    Audience audience;
  };

  [[nodiscard]] abi::Reason check_room(const Subscriptions& subscribers, size_t bytes) const;
  [[nodiscard]] bool is_full(const Subscriptions& subscribers, size_t bytes) const;
  static size_t pinned_bytes(const BusMessage& message) noexcept;
  static void forget_memory(Audience& audience) noexcept;
  Subscription* find(FunctionIndex subscriber, std::string_view topic) const;
  void push(Subscription& subscription, const BusMessage& message);
  void give_turn(const Subscription& subscription);
  static void take_first(Subscription& subscription, Delivery& delivery);
  void insert(Subscription& subscription, Entry& entry);
  void free_entry(Entry& entry);
  void drop_if_over(Subscription& subscription);
  void wait(Entry& entry);
  void arm();
  void run_due();
  void tell();
  Result<void> take_subscription(HandoverRecord& record);
  Result<void> take_message(HandoverRecord& record);
  Result<void> take_queued(HandoverRecord& record);

  Timers& timers_;
  Observer* observer_ = nullptr;
  Pool<Entry> entries_;
  std::list<Subscription> subscriptions_;
  std::map<std::string, Topic, std::less<>> topics_;  // only those with subscribers
  std::vector<Subscriptions> functions_;
  std::vector<size_t> turns_;        // by function: whose turn it is
  std::vector<Entry*> waiting_;      // for another attempt; a heap, the earliest first
  std::vector<FunctionIndex> told_;  // by tell(), each once
  uint64_t timer_ = 0;
  uint64_t timer_due_ns_ = 0;
  uint64_t published_ = 0;
  uint64_t given_up_ = 0;
  // Of the subscribers, whose queues they are in.
  FairShares entry_shares_;
  FairShares byte_shares_;
  // Only while it takes over, in the order in which they came.
  Subscriptions taken_subscriptions_;
  std::vector<BusMessage> taken_messages_;
};

}  // namespace rtsup::broker
