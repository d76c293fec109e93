// Broker: everything of rtsup-broker, put together: shards, link, components, services. Built in
// the order in which the parts need each other.
// Owns:    all of it.
// Errors:  start(): of the plan, a component, a system call; the process can only say so and end.
// Threads: the one that calls run(), which is the home shard's; other shards and components have
//          threads of their own.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "broker/channel/shard.h"
#include "broker/core/memory_budget.h"
#include "broker/link/base_plan.h"
#include "broker/link/broker_state.h"
#include "broker/link/component_set.h"
#include "broker/link/link.h"
#include "broker/link/quiescence.h"
#include "broker/link/shard_services.h"
#include "broker/link/shard_set.h"
#include "broker/services/page_supply.h"

namespace rtsup::broker {

class Broker final : public LinkEvents, public LiveMeters, private DenialSink {
 public:
  // kSuccessor: of a broker that still serves, and is to be taken over from.
  enum class Role : bool { kFirst, kSuccessor };
  // Opens everything and takes no command yet: what comes after it needs neither files nor threads.
  // `link` stays the caller's.
  static Result<std::unique_ptr<Broker>> open(int link, sys::UniqueFd plan,
                                              const std::string& state_folder, Role role);
  ~Broker() override;
  Broker(const Broker&) = delete;
  Broker& operator=(const Broker&) = delete;

  // Says kServing and serves until the supervisor asks for the end, or is gone. The error: it could
  // not take over.
  Result<void> run();
  // Another one serves in its place. Files, databases and regions are that one's now: the process
  // leaves them as they are, without any of the tidying up that would disturb it.
  [[nodiscard]] bool has_handed_over() const noexcept { return has_handed_over_; }

  void shutdown(uint64_t limit_ms) override;
  void quiesce(uint64_t limit_ms, uint64_t attempt) override;
  void resume(uint64_t attempt) override;
  void hand_over(uint64_t attempt) override;
  void import(sys::UniqueFd state) override;
  void learn(FunctionIndex function, bool on) override;
  void session_gone(SessionId session) override;
  void lost() override;
  void add_to(Meter& meter) const override;

 private:
  void report(const abi::DenialReport& report) override;
  Broker(BasePlanFile plan, std::vector<FunctionInfo> functions, const ConfigChanges& changes,
         int link, Role role);
  // What another shard has beside its loop.
  struct Other {
    Other(uint32_t number, size_t functions, Post& home, channel::SessionObserver& observer)
        : services(number), refusals(functions), relay(home, observer) {}
    ShardServices services;
    Meter refusals;
    ObserverRelay relay;
  };

  Result<void> assemble(const std::string& state_folder);
  Result<void> make_shards();
  Result<void> open_components(const std::string& state_folder);
  Result<void> assemble_services();
  void assemble_sequencer();
  Result<void> assemble_config(const std::string& state_folder);
  void end_when_idle(uint64_t deadline_ns);
  void end_when_told();
  [[nodiscard]] bool is_idle() const;
  [[nodiscard]] ShardServices& services(uint32_t shard) noexcept;
  // A command may be late, and meet the next attempt.
  [[nodiscard]] bool is_current(uint64_t attempt) const noexcept {
    return attempt == attempt_ || attempt == 0;
  }
  void hand_over_when_quiet(const Quiescence::Outcome& outcome);
  BrokerState state_of_base();
  Result<void> take_over(sys::UniqueFd state);

  BasePlanFile plan_;
  const std::vector<FunctionInfo> functions_;
  const SystemWallClock clock_;
  const Placement placement_;
  Quota quota_;
  Meter meter_;
  std::optional<MemoryBudget> memory_;
  Link link_;
  ShardServices home_services_{kHomeShard};
  std::unique_ptr<channel::Shard> home_;
  std::vector<std::unique_ptr<Other>> others_;
  ShardSet shards_;
  std::vector<Forwarder::Shard> reachable_;  // the shards, as they reach each other
  std::optional<ComponentSet> components_;
  std::optional<Access> access_;
  std::unique_ptr<ConfigFile> config_file_;
  std::optional<ConfigService> config_;
  std::optional<PageSupply> pages_;
  std::optional<SequencerService> sequencer_;
  std::optional<UsageService> usage_;
  std::optional<HomeServices> at_home_;
  std::optional<Quiescence> quiescence_;
  uint64_t attempt_ = 0;  // the last to be quiet
  Result<void> outcome_;
  bool has_handed_over_ = false;
  const Role role_;
};

}  // namespace rtsup::broker
