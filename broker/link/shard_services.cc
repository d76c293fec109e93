#include "broker/link/shard_services.h"

#include "sys/random.h"

namespace rtsup::broker {
namespace {

std::vector<std::string> names_of(const plan::BasePlan& plan) {
  std::vector<std::string> names;
  for (const auto* component : *plan.components()) {
    names.push_back(component->name()->str());
  }
  return names;
}

std::vector<uint64_t> event_timeouts_of(const std::vector<FunctionInfo>& functions) {
  std::vector<uint64_t> timeouts;
  timeouts.reserve(functions.size());
  for (const FunctionInfo& function : functions) {
    timeouts.push_back(function.event_timeout_ns);
  }
  return timeouts;
}

// Those of other shards left out.
template <typename Component>
std::vector<Component*> own(std::vector<Component*> all, const Placement& placement,
                            uint32_t number) {
  for (uint32_t i = 0; i < all.size(); ++i) {
    all[i] = placement.of(ComponentIndex{i}) == number ? all[i] : nullptr;
  }
  return all;
}

}  // namespace

Result<void> ShardServices::assemble(const Shared& shared, channel::Shard& shard, Meter& refusals,
                                     const HomeServices* home) {
  denials_.emplace(shared.functions.size(), shard, shared.denials);
  builder_.observe(&*denials_);
  uses_.emplace(shared.functions.size(), shared.denials);
  state_.emplace(shared.plan.tenant()->str(), shared.plan.application()->str(),
                 own(shared.components.stores(), shared.placement, number_), builder_,
                 shared.clock);
  streams_.emplace(
      shared.plan.tenant()->str() + "/" + shared.plan.application()->str() + "/",
      own(shared.components.stores(), shared.placement, number_),
      StateStreams::Parts{.builder = builder_, .clock = shared.clock, .timers = shard});
  invoke_.emplace(event_timeouts_of(shared.functions), shard, shard, builder_);
  RTSUP_TRY(assemble_pubsub(shared, shard));
  rooms_.emplace(*invoke_, *pubsub_);
  shard.observe(&*rooms_);
  if (shared.placement.shards() > 1) {
    forwarder_.emplace(shared.shards, shared.placement, number_, builder_);
  }
  dispatcher_.emplace(Dispatcher::Parts{.access = shared.access,
                                        .quota = shared.quota,
                                        .meter = refusals,
                                        .timers = shard,
                                        .builder = builder_,
                                        .state = *state_,
                                        .invoke = *invoke_,
                                        .pubsub = *pubsub_,
                                        .home = home,
                                        .forwarder = forwarder_ ? &*forwarder_ : nullptr,
                                        .streams = &*streams_,
                                        .uses = &*uses_});
  return {};
}

Result<void> ShardServices::assemble_pubsub(const Shared& shared, channel::Shard& shard) {
  RTSUP_ASSIGN(const uint64_t id_seed, sys::random_u64());
  pubsub_.emplace(
      PubsubService::Plan{.buses = own(shared.components.buses(), shared.placement, number_),
                          .components = names_of(shared.plan),
                          .event_timeouts_ns = event_timeouts_of(shared.functions),
                          .id_seed = id_seed},
      PubsubService::Parts{.directory = shard,
                           .timers = shard,
                           .builder = builder_,
                           .clock = shared.clock,
                           .denials = &*denials_});
  return {};
}

void ShardServices::pause(bool paused) {
  if (paused) {
    pubsub_->pause();
  } else {
    pubsub_->resume();
  }
}

size_t ShardServices::pending() const noexcept {
  return state_->pending() + streams_->pending() + invoke_->pending() + pubsub_->pending() +
         (forwarder_ ? forwarder_->pending() : 0);
}

void ShardServices::close() noexcept {
  if (streams_) {
    streams_->close();
  }
  if (pubsub_) {
    pubsub_->close();
  }
}

}  // namespace rtsup::broker
