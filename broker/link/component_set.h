// ComponentSet: the components that the plan asks for, opened. One place knows which type is made
// by which class.
// Owns:    the stores, buses and sequencers.
// Errors:  open(): of the component, logged with its name; kUnimplemented for a type that this
//          build does not know; kInvalidArgument for settings or file names that are none.
// Threads: the shard's. close() may block: only at shutdown.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "abi/base/result.h"
#include "broker/components/pubsub_bus.h"
#include "broker/components/sequencer.h"
#include "broker/components/state_store.h"
#include "broker/core/post.h"
#include "broker/core/wall_clock.h"
#include "broker/handover/movable.h"

namespace rtsup::plan {
struct BasePlan;
struct Component;
}  // namespace rtsup::plan

namespace rtsup::broker {

class ComponentSet {
 public:
  struct Services {
    Post& post;
    Timers& timers;
    const WallClock& clock;
    bool is_successor = false;  // of a broker that still serves: nothing is migrated
  };
  // `services_of`: what the component at that position uses.
  static Result<ComponentSet> open(const plan::BasePlan& plan, const std::string& state_folder,
                                   const std::function<Services(uint32_t)>& services_of);

  // In the plan's order; nullptr for a component of another kind.
  std::vector<StateStore*> stores() const;
  std::vector<PubsubBus*> buses() const;
  Sequencer* sequencer(size_t component) const noexcept { return rows_[component].sequencer.get(); }
  // nullptr: it holds nothing that a broker would hand over.
  Movable* movable(size_t component) const noexcept { return rows_[component].movable; }
  void close();

 private:
  // One of the three.
  struct Row {
    std::unique_ptr<StateStore> store;
    std::unique_ptr<PubsubBus> bus;
    std::unique_ptr<Sequencer> sequencer;
    Movable* movable = nullptr;  // the same object
  };
  static Result<Row> open_one(const plan::BasePlan& plan, uint32_t index, const std::string& folder,
                              const Services& services);
  std::vector<Row> rows_;
};

}  // namespace rtsup::broker
