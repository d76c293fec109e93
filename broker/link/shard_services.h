// ShardServices: what one shard needs to serve calls: the services over the components that it
// owns, and the way to the other shards.
// Owns:    the services. Shard, components and whatever is shared must outlive it.
// Threads: its shard's, once that serves; before that the one that assembles it.
#pragma once

#include <optional>
#include <vector>

#include "broker/channel/shard.h"
#include "broker/core/call_handler.h"
#include "broker/core/placement.h"
#include "broker/link/base_plan.h"
#include "broker/link/component_set.h"
#include "broker/services/dispatcher.h"
#include "broker/services/event_rooms.h"
#include "broker/services/forwarder.h"

namespace rtsup::broker {

class ShardServices final : public CallHandler {
 public:
  // The same for all shards.
  struct Shared {
    const plan::BasePlan& plan;
    const std::vector<FunctionInfo>& functions;
    const WallClock& clock;
    const Placement& placement;
    const Access& access;
    Quota& quota;
    const ComponentSet& components;
    const std::vector<Forwarder::Shard>& shards;
    DenialSink& denials;  // of any thread
  };
  explicit ShardServices(uint32_t number) : number_(number) {}
  // `refusals`: where the service boundary's are counted. `home`: nullptr on another shard.
  Result<void> assemble(const Shared& shared, channel::Shard& shard, Meter& refusals,
                        const HomeServices* home);

  void handle(Call& call) override { dispatcher_->handle(call); }
  void handle_long(Call& call) override { dispatcher_->handle_long(call); }
  void fetched(Call& call) override { dispatcher_->fetched(call); }
  [[nodiscard]] GrantedCalls& calls() noexcept { return *dispatcher_; }
  // From now on every new call is refused.
  void shut() noexcept { dispatcher_->shut(); }
  // Tells of what the function uses from now on, or no more.
  void learn(FunctionIndex function, bool on) { uses_->learn(function, on); }
  // Messages wait, or go on.
  void pause(bool paused);
  // Nothing of the session comes any more.
  void session_gone(SessionId session) { streams_->session_gone(session); }
  // Calls that are under way.
  [[nodiscard]] size_t pending() const noexcept;
  // Components may go before the sessions.
  void close() noexcept;
  [[nodiscard]] AnswerBuilder& builder() noexcept { return builder_; }

 private:
  Result<void> assemble_pubsub(const Shared& shared, channel::Shard& shard);

  const uint32_t number_;
  AnswerBuilder builder_;
  std::optional<Denials> denials_;
  std::optional<Uses> uses_;
  std::optional<StateService> state_;
  std::optional<StateStreams> streams_;
  std::optional<InvokeService> invoke_;
  std::optional<PubsubService> pubsub_;
  std::optional<EventRooms> rooms_;
  std::optional<Forwarder> forwarder_;
  std::optional<Dispatcher> dispatcher_;
};

}  // namespace rtsup::broker
