// PubsubService: the building block `pubsub`: publishing, subscribing, and delivering each message
// as an event to an instance of each subscribing function. Runs after the service boundary has
// granted the call.
// Owns:    a fixed number of publications and deliveries under way. Buses, directory, timers,
//          builder and clock must outlive it.
// Units:   a delivery ends with the subscriber's event timeout.
// Errors:  abi/reasons.inc, "Requests" and "Pubsub".
// Threads: the shard's only.
//
// At least once while the base lives: a message whose event is not answered with OK comes again
// (PubsubBus). Order: of one topic, as published, when the function handles one event at a time and
// acknowledges each.
//
// A suspect, which was open when an instance ended, goes alone: the function gets no other message
// of any bus until it is answered. So only the message that ended an instance is given up for it.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "broker/access/denials.h"
#include "broker/components/pubsub_bus.h"
#include "broker/core/answer.h"
#include "broker/core/call.h"
#include "broker/core/endpoint.h"
#include "broker/core/limits.h"
#include "broker/core/pool.h"
#include "broker/core/post.h"
#include "broker/core/wall_clock.h"
#include "broker/services/topic_regions.h"

namespace rtsup::broker {

class PubsubService final : public Directory::Observer, public PubsubBus::Observer {
 public:
  struct Parts {
    Directory& directory;
    const Timers& timers;
    AnswerBuilder& builder;
    const WallClock& clock;
    Denials* denials = nullptr;  // nullptr: nobody asks what was given up
  };
  // `buses`: one per component of the plan; nullptr for one that is no bus. `components`: their
  // names. `event_timeouts_ns`: of each function of the plan. `id_seed`: makes the ids of this run
  // unlike those of others.
  struct Plan {
    std::vector<PubsubBus*> buses;
    std::vector<std::string> components;
    std::vector<uint64_t> event_timeouts_ns;
    uint64_t id_seed = 0;
  };
  PubsubService(Plan plan, Parts parts);
  PubsubService(const PubsubService&) = delete;
  PubsubService& operator=(const PubsubService&) = delete;

  void handle(Call& call, ComponentIndex component);
  void room(FunctionIndex function) override { deliver(function); }
  // What waits for it waits on.
  void down(FunctionIndex /*function*/) override {}
  // At the end of the turn, with what else comes until then.
  void due(FunctionIndex subscriber) override { parts_.directory.room_later(subscriber); }
  void gave_up(FunctionIndex subscriber, const BusMessage& message, uint32_t attempts) override;
  // The buses may go before the sessions: nothing is settled from now on.
  void close() noexcept { closed_ = true; }
  // While it is paused, what is published waits, and what is under delivery is settled.
  void pause() noexcept { paused_ = true; }
  void resume();
  // Deliveries under way.
  size_t pending() const noexcept { return pending_.taken() + open_groups_; }
  const TopicRegions& regions() const noexcept { return regions_; }

 private:
  // A message on its way to an instance.
  class Pending final : public EventSink {
   public:
    explicit Pending(PubsubService& service) : service_(&service) {}
    void answered(Status status, std::span<const std::byte> metadata,
                  const Payload& payload) override;
    PubsubBus* bus = nullptr;
    FunctionIndex subscriber;
    Delivery delivery;

   private:
    PubsubService* service_;
  };
  // Messages that are on their way as one event. Their bytes are held here until the worker reads
  // them no longer.
  class PendingGroup final : public EventSink {
   public:
    explicit PendingGroup(PubsubService& service) : service_(&service) {}
    void answered(Status status, std::span<const std::byte> metadata,
                  const Payload& payload) override;
    void released() override;
    PubsubBus* bus = nullptr;
    FunctionIndex subscriber;
    std::array<Delivery, abi::kGroupMessagesMax> deliveries;
    size_t count = 0;

   private:
    PubsubService* service_;
  };
  // A publication: answers its call.
  class Publication final : public PublishSink {
   public:
    Publication(PubsubService& service, Call& call, std::string_view id)
        : service_(service), call_(call), id_(id) {}
    void published() override;
    void failed(abi::Reason reason, uint32_t retry_after_ms) override;

   private:
    PubsubService& service_;
    Call& call_;
    std::string_view id_;
  };

  // What is under delivery to a function's instances.
  struct Lane {
    enum class Way : uint8_t {
      kOpen,
      kClearing,  // a suspect waits until nothing is under delivery
      kAlone      // a suspect is
    };
    Way way = Way::kOpen;
    uint32_t open = 0;  // events
    size_t turn = 0;    // whose turn it is among the buses
  };

  void publish(Call& call, ComponentIndex component, PubsubBus& bus);
  abi::Reason make_message(Call& call, ComponentIndex component, std::string_view id,
                           BusMessage& message);
  std::span<const std::byte> table_with_attempt(const Delivery& delivery);
  void deliver(FunctionIndex subscriber);
  bool deliver_some(FunctionIndex subscriber, PubsubBus& bus, Endpoint& endpoint);
  bool deliver_suspect(FunctionIndex subscriber, PubsubBus& bus, const Delivery& delivery,
                       Endpoint& endpoint);
  bool deliver_one(FunctionIndex subscriber, PubsubBus& bus, const Delivery& delivery,
                   Endpoint& endpoint);
  bool deliver_group(FunctionIndex subscriber, PubsubBus& bus, Delivery& first, Endpoint& endpoint,
                     uint32_t room);
  void event_over(FunctionIndex subscriber);
  static void settle_one(PubsubBus& bus, const Delivery& delivery, Status status, bool ended);
  uint64_t deadline_of(FunctionIndex subscriber) const {
    return parts_.timers.now_ns() + plan_.event_timeouts_ns[subscriber.value];
  }

  const Plan plan_;
  const Parts parts_;
  TopicRegions regions_;
  Pool<Pending> pending_;
  Pool<PendingGroup> groups_;
  size_t open_groups_ = 0;        // that nobody has answered; others only hold their memory
  std::vector<std::byte> table_;  // the event under construction; reserved once
  bool closed_ = false;
  bool paused_ = false;
  uint64_t published_ = 0;
  std::vector<Lane> lanes_;  // by function
};

}  // namespace rtsup::broker
