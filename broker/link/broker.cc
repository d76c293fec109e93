#include "broker/link/broker.h"

#include <algorithm>

#include "broker/core/limits.h"
#include "broker/link/broker_state.h"
#include "broker/link/log.h"
#include "sys/memory.h"
#include "sys/random.h"

namespace rtsup::broker {
namespace {

constexpr uint64_t kMillisecond = 1'000'000;
constexpr uint64_t kIdleCheckNs = 2 * kMillisecond;
// Longer than any event may take is no shutdown but a hang.
constexpr uint64_t kShutdownLimitMaxMs = 60'000;
// Likewise.
constexpr uint64_t kQuiesceLimitMaxMs = 3'600'000;
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

std::vector<bool> configured(const std::vector<FunctionInfo>& functions,
                             const ConfigChanges& changes) {
  std::vector<bool> configured;
  configured.reserve(functions.size());
  for (const FunctionInfo& function : functions) {
    configured.push_back(changes.contains(function.name));
  }
  return configured;
}

}  // namespace

Result<std::unique_ptr<Broker>> Broker::open(int link, sys::UniqueFd plan_fd,
                                             const std::string& state_folder, Role role) {
  RTSUP_ASSIGN(BasePlanFile plan, BasePlanFile::load(std::move(plan_fd)));
  std::vector<FunctionInfo> functions = functions_of(plan.plan());
  RTSUP_ASSIGN(const ConfigChanges changes, ConfigFile::read(state_folder + "/" + kConfigFile));
  std::unique_ptr<Broker> broker(
      new Broker(std::move(plan), std::move(functions), changes, link, role));
  RTSUP_TRY(broker->assemble(state_folder));
  return broker;
}

Broker::Broker(BasePlanFile plan, std::vector<FunctionInfo> functions, const ConfigChanges& changes,
               int link, Role role)
    : plan_(std::move(plan)),
      functions_(std::move(functions)),
      placement_(plan_.plan(), std::clamp(plan_.plan().shards(), 1U, kShardsMax),
                 configured(functions_, changes)),
      quota_(column<uint32_t>(functions_, &FunctionInfo::calls_per_second)),
      meter_(functions_.size()),
      link_(link, functions_, meter_, *this),
      shards_(placement_),
      role_(role) {}

Broker::~Broker() {
  shards_.stop();
  // Answers what the stores still hold, while there are sessions to answer.
  if (components_) {
    components_->close();
  }
  for (uint32_t i = 0; i < shards_.size(); ++i) {
    services(i).close();
  }
  config_file_.reset();
  quiescence_.reset();
  // Components give back their timers, then the shards their sessions, while those they tell of
  // them still live.
  components_.reset();
  shards_.clear();
  home_.reset();
}

ShardServices& Broker::services(uint32_t shard) noexcept {
  return shard == kHomeShard ? home_services_ : others_[shard - 1]->services;
}

Result<void> Broker::assemble(const std::string& state_folder) {
  RTSUP_TRY(make_shards());
  RTSUP_ASSIGN(access_, Access::compile(plan_.plan()));
  RTSUP_TRY(open_components(state_folder));
  assemble_sequencer();
  RTSUP_TRY(assemble_config(state_folder));
  usage_.emplace(column<std::string>(functions_, &FunctionInfo::name), meter_, *this,
                 home_services_.builder());
  at_home_.emplace(HomeServices{.config = *config_, .sequencer = *sequencer_, .usage = *usage_});
  RTSUP_TRY(assemble_services());
  quiescence_.emplace(
      *home_, shards_,
      [this](bool paused) {
        shards_.run_on_each([&](uint32_t shard) { services(shard).pause(paused); });
      },
      [this] { return is_idle(); });
  return {};
}

Result<void> Broker::make_shards() {
  channel::ShardOptions options;
  options.functions = static_cast<uint32_t>(functions_.size());
  options.shards = placement_.shards();
  if (plan_.plan().spin_cpus() == 0) {
    options.spin_ns = 0;
    options.worker_spin_ns = 0;
  }
  if (plan_.plan().payload_bytes_max() != 0) {
    options.payload_bytes_max = std::min(plan_.plan().payload_bytes_max(), abi::kPayloadBytesMax);
  }
  if (plan_.plan().function_memory_bytes() != 0) {
    options.memory = &memory_.emplace(plan_.plan().function_memory_bytes(), functions_.size());
  }
  RTSUP_ASSIGN(home_, channel::Shard::create(options, home_services_, link_));
  shards_.add_home(*home_);
  for (uint32_t i = 1; i < placement_.shards(); ++i) {
    others_.push_back(std::make_unique<Other>(i, functions_.size(), *home_, link_));
    RTSUP_ASSIGN(auto shard,
                 channel::Shard::create(options, others_.back()->services, others_.back()->relay));
    shards_.add(std::move(shard));
  }
  return {};
}

Result<void> Broker::open_components(const std::string& state_folder) {
  RTSUP_ASSIGN(components_,
               ComponentSet::open(plan_.plan(), state_folder, [this](uint32_t component) {
                 channel::Shard& shard = shards_.at(placement_.of(ComponentIndex{component}));
                 return ComponentSet::Services{.post = shard,
                                               .timers = shard,
                                               .clock = clock_,
                                               .is_successor = role_ == Role::kSuccessor};
               }));
  return {};
}

Result<void> Broker::assemble_services() {
  const ShardServices::Shared shared{.plan = plan_.plan(),
                                     .functions = functions_,
                                     .clock = clock_,
                                     .placement = placement_,
                                     .access = *access_,
                                     .quota = quota_,
                                     .components = *components_,
                                     .shards = reachable_,
                                     .denials = *this};
  RTSUP_TRY(home_services_.assemble(shared, *home_, meter_, &*at_home_));
  for (uint32_t i = 1; i < shards_.size(); ++i) {
    Other& other = *others_[i - 1];
    RTSUP_TRY(other.services.assemble(shared, shards_.at(i), other.refusals, nullptr));
  }
  for (uint32_t i = 0; i < shards_.size(); ++i) {
    reachable_.push_back({.post = &shards_.at(i), .calls = &services(i).calls()});
  }
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
  sequencer_.emplace(plan.tenant()->str(), plan.application()->str(), std::move(rows),
                     home_services_.builder());
}

Result<void> Broker::assemble_config(const std::string& state_folder) {
  RTSUP_ASSIGN(config_file_, ConfigFile::open(state_folder + "/" + kConfigFile, *home_));
  std::vector<ConfigService::Function> rows;
  std::vector<bool> leases;
  for (const FunctionInfo& function : functions_) {
    rows.push_back({.name = function.name, .values = function.config});
    leases.push_back(function.leases);
  }
  config_.emplace(std::move(rows), *config_file_, *home_, home_services_.builder());
  pages_.emplace(*config_, std::move(leases));
  home_->supply(&*pages_);
  return {};
}

Result<void> Broker::run() {
  RTSUP_TRY(link_.serve(*home_, shards_));
  shards_.start();
  home_->run();
  shards_.stop();
  return outcome_;
}

// A forwarded call counts where it came from until its answer is there.
bool Broker::is_idle() const {
  size_t pending = config_->pending() + sequencer_->pending() + home_services_.pending();
  for (uint32_t i = 1; i < shards_.size(); ++i) {
    shards_.run_on(i, [&] { pending += others_[i - 1]->services.pending(); });
  }
  return pending == 0;
}

// What it was sending in parts may be of any shard.
void Broker::session_gone(SessionId session) {
  for (uint32_t i = 0; i < shards_.size(); ++i) {
    shards_.at(i).post([this, i, session] { services(i).session_gone(session); });
  }
}

// From any shard.
void Broker::report(const abi::DenialReport& report) {
  home_->post([this, report] { link_.tell(report); });
}

void Broker::learn(FunctionIndex function, bool on) {
  shards_.run_on_each(
      [this, function, on](uint32_t shard) { services(shard).learn(function, on); });
}

void Broker::add_to(Meter& meter) const {
  link_.add_to(meter);
  for (uint32_t i = 1; i < shards_.size(); ++i) {
    shards_.run_on(i, [&] { meter += others_[i - 1]->refusals; });
  }
}

void Broker::shutdown(uint64_t limit_ms) {
  quiescence_->end();
  shards_.run_on_each([this](uint32_t shard) { services(shard).shut(); });
  end_when_idle(home_->now_ns() + std::min(limit_ms, kShutdownLimitMaxMs) * kMillisecond);
}

void Broker::end_when_idle(uint64_t deadline_ns) {
  // What is still fetched from a worker's memory is no service's yet.
  const bool is_over = is_idle() && shards_.unrest().busy.value == 0;
  if (is_over || home_->now_ns() >= deadline_ns) {
    home_->stop();
    return;
  }
  home_->at(std::min(deadline_ns, home_->now_ns() + kIdleCheckNs),
            [this, deadline_ns] { end_when_idle(deadline_ns); });
}

// ---- another broker takes over ----

void Broker::quiesce(uint64_t limit_ms, uint64_t attempt) {
  quiescence_->end();  // of an attempt whose end was never heard of
  attempt_ = attempt;
  quiescence_->begin(std::min(limit_ms, kQuiesceLimitMaxMs) * kMillisecond,
                     [this](const Quiescence::Outcome& outcome) { hand_over_when_quiet(outcome); });
}

void Broker::hand_over_when_quiet(const Quiescence::Outcome& outcome) {
  if (!outcome.is_quiet) {
    return link_.busy(attempt_, outcome.busy, 0);
  }
  Result<sys::UniqueFd> state = sys::UniqueFd();
  SessionId busy{};
  bool is_idle_still = false;
  shards_.run_alone([&] {
    // The shards were looked at one after the other: only now they are all seen at once.
    busy = shards_.unrest().busy;
    is_idle_still = is_idle() && busy.value == 0;
    if (is_idle_still) {
      Meter readings = meter_;
      add_to(readings);
      state = hand_over_state(state_of_base(), readings);
    }
  });
  if (!is_idle_still || !state) {
    quiescence_->end();
    return link_.busy(attempt_, busy, state ? 0 : abi::pack_error(state.error()));
  }
  link_.quiet(attempt_, outcome.since_ns, std::move(*state));
}

void Broker::resume(uint64_t attempt) {
  if (is_current(attempt)) {
    quiescence_->end();
  }
}

void Broker::hand_over(uint64_t attempt) {
  if (!is_current(attempt)) {
    return;
  }
  shards_.hand_over();
  has_handed_over_ = true;
  link_.handed_over();
  end_when_told();
}

// The supervisor goes by this process's end just as well, but it would wait for that.
void Broker::end_when_told() {
  if (!link_.has_unsent()) {
    home_->stop();
    return;
  }
  home_->at(home_->now_ns() + kIdleCheckNs, [this] { end_when_told(); });
}

void Broker::import(sys::UniqueFd state) {
  outcome_ = take_over(std::move(state));
  if (!outcome_) {
    // What it holds may be a part of it: nobody is to be served from that.
    home_->stop();
    return;
  }
  link_.imported();
}

BrokerState Broker::state_of_base() {
  return {.plan = plan_.plan(), .meter = meter_, .quota = quota_, .components = *components_};
}

Result<void> Broker::take_over(sys::UniqueFd state) {
  RTSUP_ASSIGN(const sys::SealedMemfd file,
               sys::SealedMemfd::adopt(std::move(state), kHandoverBytesMax));
  RTSUP_ASSIGN(const sys::ReadOnlyMapping mapping, file.map());
  Result<void> taken;
  shards_.run_alone([&] { taken = take_over_state(state_of_base(), mapping.bytes()); });
  RTSUP_TRY(taken);
  RTSUP_ASSIGN(ConfigChanges changes, config_file_->read_again());
  config_->replace(std::move(changes));
  // Until kGiven: every function that runs will be there.
  shards_.expect_sessions(true);
  return {};
}

// Nobody is left to serve for. What was acknowledged is on the disk.
void Broker::lost() { home_->stop(); }

}  // namespace rtsup::broker
