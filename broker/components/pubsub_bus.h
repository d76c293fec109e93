// PubsubBus: what a component of the building block `pubsub` does: keeps each message for every
// subscriber of its topic until the subscriber has settled it. The service delivers; the bus never
// looks into a message.
// Owns:    the messages that wait or are under delivery.
// Errors:  reasons from abi/reasons.inc, "Pubsub", "Requests" and "State".
// Threads: the shard's only; an implementation that works elsewhere comes back through Post.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "abi/base/ids.h"
#include "abi/reason.h"
#include "broker/core/value.h"

namespace rtsup::broker {

struct BusMessage {
  ValueRef table;    // the event's table; `attempt` in it is the first's
  ValueRef payload;  // what was published
};

// A topic that has subscribers, and the memory that they share: messages published while exactly
// they were subscribed lie there, and nothing else. The bus forgets it with every change of who
// subscribes.
struct Audience {
  std::shared_ptr<SharedMemory> memory;
  uint32_t made = 0;       // of them so far
  uint32_t unchanged = 0;  // messages since the subscribers changed, as the service counts them
};

// A message that a subscriber has taken; settle() ends it.
struct Delivery {
  BusMessage message;
  uint32_t attempt = 0;  // 1 = the first
  // It was under delivery when an instance ended: only one that goes alone tells who was to blame.
  bool is_suspect = false;
  void* token = nullptr;  // the bus's own
};

enum class Settled : uint8_t {
  kDone,     // acknowledged: it is gone
  kAgain,    // not acknowledged: it comes again later, unless that was the last attempt
  kEnded,    // likewise, and the instance ended: a suspect from now on, and given up sooner
  kPutBack,  // never delivered: it is the next one, at once, and the attempt does not count
};

// Who publishes: gets exactly one of the two.
class PublishSink {
 public:
  virtual ~PublishSink() = default;
  // It is in the queue of every subscriber.
  virtual void published() = 0;
  // It is in none.
  virtual void failed(abi::Reason reason, uint32_t retry_after_ms) = 0;
};

class PubsubBus {
 public:
  class Observer {
   public:
    virtual ~Observer() = default;
    // There may be something to take for the function. Never called from within take() or settle().
    virtual void due(FunctionIndex subscriber) = 0;
    // Within settle(): the message was not acknowledged and will not come again. Then it goes.
    virtual void gave_up(FunctionIndex /*subscriber*/, const BusMessage& /*message*/,
                         uint32_t /*attempts*/) {}
  };

  virtual ~PubsubBus() = default;
  virtual void publish(std::string_view topic, const BusMessage& message, PublishSink& sink) = 0;
  // nullptr: nobody has subscribed. Valid until somebody subscribes or unsubscribes.
  virtual Audience* audience(std::string_view topic) = 0;
  // kNone also when it had subscribed before. Messages published before are not for it.
  virtual abi::Reason subscribe(FunctionIndex subscriber, std::string_view topic) = 0;
  virtual void unsubscribe(FunctionIndex subscriber, std::string_view topic) = 0;
  // The next message for the function, oldest of its topic first and topics in turn. False: none is
  // due now.
  virtual bool take(FunctionIndex subscriber, Delivery& delivery) = 0;
  // More of the same topic, as long as they lie in the same shared memory as `like`, which was
  // taken, and were never delivered: no suspects. How many were written into `more`.
  virtual size_t take_more(const Delivery& like, std::span<Delivery> more) = 0;
  virtual void settle(const Delivery& delivery, Settled how) = 0;
  // One observer, which must outlive the bus.
  virtual void observe(Observer* observer) = 0;
};

}  // namespace rtsup::broker
