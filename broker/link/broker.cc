#include "broker/link/broker.h"

#include <algorithm>

#include "broker/core/limits.h"
#include "sys/random.h"

namespace rtsup::broker {
namespace {

constexpr uint64_t kMillisecond = 1'000'000;
constexpr uint64_t kIdleCheckNs = 2 * kMillisecond;
// Longer than any event may take is no shutdown but a hang.
constexpr uint64_t kShutdownLimitMaxMs = 60'000;
// In the state folder. A database's name does not begin with a dot, so that none is called so.
constexpr const char* kConfigFile = ".config";

template <typename T, typename Member>
std::vector<T> column(const std::vector<FunctionInfo>& functions, Member member) {
  std::vector<T> values;
  values.reserve(functions.size());
  for (const FunctionInfo& function : functions) {
    values.push_back(function.*member);
  }
  return values;
}

std::vector<std::string> names_of(const plan::BasePlan& plan) {
  std::vector<std::string> names;
  for (const auto* component : *plan.components()) {
    names.push_back(component->name()->str());
  }
  return names;
}

}  // namespace

Result<std::unique_ptr<Broker>> Broker::open(int link, sys::UniqueFd plan_fd,
                                             const std::string& state_folder) {
  RTSUP_ASSIGN(BasePlanFile plan, BasePlanFile::load(std::move(plan_fd)));
  std::vector<FunctionInfo> functions = functions_of(plan.plan());
  std::unique_ptr<Broker> broker(new Broker(std::move(plan), std::move(functions), link));
  RTSUP_TRY(broker->assemble(state_folder));
  return broker;
}

Broker::Broker(BasePlanFile plan, std::vector<FunctionInfo> functions, int link)
    : plan_(std::move(plan)),
      functions_(std::move(functions)),
      meter_(functions_.size()),
      link_(link, functions_, meter_, *this) {}

Broker::~Broker() {
  // Answers what the stores still hold, while there are sessions to answer.
  if (components_) {
    components_->close();
  }
  if (pubsub_) {
    pubsub_->close();
  }
  config_file_.reset();
  // Components give back their timers, then the shard its sessions, while those it tells of them
  // still live.
  components_.reset();
  shard_.reset();
}

Result<void> Broker::assemble(const std::string& state_folder) {
  const plan::BasePlan& plan = plan_.plan();
  channel::ShardOptions options;
  options.functions = static_cast<uint32_t>(functions_.size());
  if (plan.spin_cpus() == 0) {
    options.spin_ns = 0;
    options.worker_spin_ns = 0;
  }
  if (plan.payload_bytes_max() != 0) {
    options.payload_bytes_max = std::min(plan.payload_bytes_max(), abi::kPayloadBytesMax);
  }
  if (plan.function_memory_bytes() != 0) {
    options.memory = &memory_.emplace(plan.function_memory_bytes(), functions_.size());
  }
  RTSUP_ASSIGN(shard_, channel::Shard::create(options, *this, link_));
  RTSUP_ASSIGN(access_, Access::compile(plan));
  RTSUP_ASSIGN(components_,
               ComponentSet::open(plan, state_folder,
                                  {.post = *shard_, .timers = *shard_, .clock = clock_}));
  state_.emplace(plan.tenant()->str(), plan.application()->str(), components_->stores(), builder_,
                 clock_);
  invoke_.emplace(column<uint64_t>(functions_, &FunctionInfo::event_timeout_ns), *shard_, *shard_,
                  builder_);
  RTSUP_ASSIGN(const uint64_t id_seed, sys::random_u64());
  pubsub_.emplace(
      PubsubService::Plan{
          .buses = components_->buses(),
          .components = names_of(plan),
          .event_timeouts_ns = column<uint64_t>(functions_, &FunctionInfo::event_timeout_ns),
          .id_seed = id_seed},
      PubsubService::Parts{
          .directory = *shard_, .timers = *shard_, .builder = builder_, .clock = clock_});
  rooms_.emplace(*invoke_, *pubsub_);
  shard_->observe(&*rooms_);
  assemble_sequencer();
  RTSUP_TRY(assemble_config(state_folder));
  usage_.emplace(column<std::string>(functions_, &FunctionInfo::name), meter_, link_, builder_);
  dispatcher_.emplace(Dispatcher::Parts{
      .access = *access_,
      .quota = Quota(column<uint32_t>(functions_, &FunctionInfo::calls_per_second)),
      .meter = meter_,
      .timers = *shard_,
      .builder = builder_,
      .state = *state_,
      .invoke = *invoke_,
      .pubsub = *pubsub_,
      .config = *config_,
      .sequencer = *sequencer_,
      .usage = *usage_});
  return {};
}

void Broker::assemble_sequencer() {
  const plan::BasePlan& plan = plan_.plan();
  std::vector<SequencerService::Component> rows;
  for (uint32_t i = 0; i < plan.components()->size(); ++i) {
    const plan::Component& component = *(*plan.components())[i];
    rows.push_back({.name = component.name()->str(),
                    .sequencer = components_->sequencer(i),
                    .lease = std::min(component.lease(), kSequenceCountMax)});
  }
  sequencer_.emplace(plan.tenant()->str(), plan.application()->str(), std::move(rows), builder_);
}

Result<void> Broker::assemble_config(const std::string& state_folder) {
  RTSUP_ASSIGN(config_file_, ConfigFile::open(state_folder + "/" + kConfigFile, *shard_));
  std::vector<ConfigService::Function> rows;
  std::vector<bool> leases;
  for (const FunctionInfo& function : functions_) {
    rows.push_back({.name = function.name, .values = function.config});
    leases.push_back(function.leases);
  }
  config_.emplace(std::move(rows), *config_file_, *shard_, builder_);
  pages_.emplace(*config_, std::move(leases));
  shard_->supply(&*pages_);
  return {};
}

Result<void> Broker::run() {
  RTSUP_TRY(link_.serve(*shard_));
  shard_->run();
  return {};
}

void Broker::shutdown(uint64_t limit_ms) {
  dispatcher_->shut();
  end_when_idle(shard_->now_ns() + std::min(limit_ms, kShutdownLimitMaxMs) * kMillisecond);
}

void Broker::end_when_idle(uint64_t deadline_ns) {
  const bool idle = state_->pending() == 0 && invoke_->pending() == 0 && pubsub_->pending() == 0 &&
                    config_->pending() == 0 && sequencer_->pending() == 0;
  if (idle || shard_->now_ns() >= deadline_ns) {
    shard_->stop();
    return;
  }
  shard_->at(std::min(deadline_ns, shard_->now_ns() + kIdleCheckNs),
             [this, deadline_ns] { end_when_idle(deadline_ns); });
}

// Nobody is left to serve for. What was acknowledged is on the disk.
void Broker::lost() { shard_->stop(); }

}  // namespace rtsup::broker
