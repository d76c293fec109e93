// Broker: everything of rtsup-broker, put together: shard, link, components, services. Built in the
// order in which the parts need each other.
// Owns:    all of it.
// Errors:  start(): of the plan, a component, a system call; the process can only say so and end.
// Threads: the one that calls run(); components have threads of their own.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "broker/channel/shard.h"
#include "broker/core/call_handler.h"
#include "broker/core/memory_budget.h"
#include "broker/link/base_plan.h"
#include "broker/link/component_set.h"
#include "broker/link/link.h"
#include "broker/services/dispatcher.h"
#include "broker/services/event_rooms.h"
#include "broker/services/page_supply.h"

namespace rtsup::broker {

class Broker final : public CallHandler, public LinkEvents {
 public:
  // Opens everything and takes no command yet: what comes after it needs neither files nor threads.
  // `link` stays the caller's.
  static Result<std::unique_ptr<Broker>> open(int link, sys::UniqueFd plan,
                                              const std::string& state_folder);
  ~Broker() override;
  Broker(const Broker&) = delete;
  Broker& operator=(const Broker&) = delete;

  // Says kServing and serves until the supervisor asks for the end, or is gone.
  Result<void> run();

  void handle(Call& call) override { dispatcher_->handle(call); }
  void handle_long(Call& call) override { dispatcher_->handle_long(call); }
  void fetched(Call& call) override { dispatcher_->fetched(call); }
  void shutdown(uint64_t limit_ms) override;
  void lost() override;

 private:
  Broker(BasePlanFile plan, std::vector<FunctionInfo> functions, int link);
  Result<void> assemble(const std::string& state_folder);
  void assemble_sequencer();
  Result<void> assemble_config(const std::string& state_folder);
  void end_when_idle(uint64_t deadline_ns);

  BasePlanFile plan_;
  const std::vector<FunctionInfo> functions_;
  const SystemWallClock clock_;
  AnswerBuilder builder_;
  Meter meter_;
  std::optional<MemoryBudget> memory_;
  Link link_;
  std::unique_ptr<channel::Shard> shard_;
  std::optional<ComponentSet> components_;
  std::optional<Access> access_;
  std::optional<StateService> state_;
  std::optional<InvokeService> invoke_;
  std::optional<PubsubService> pubsub_;
  std::optional<EventRooms> rooms_;
  std::unique_ptr<ConfigFile> config_file_;
  std::optional<ConfigService> config_;
  std::optional<PageSupply> pages_;
  std::optional<SequencerService> sequencer_;
  std::optional<UsageService> usage_;
  std::optional<Dispatcher> dispatcher_;
};

}  // namespace rtsup::broker
