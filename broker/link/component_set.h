// ComponentSet: the components that the plan asks for, opened. One place knows which type is made
// by which class.
// Owns:    the stores.
// Errors:  open(): of the component, logged with its name; kUnimplemented for a type that this
//          build does not know; kInvalidArgument for settings or file names that are none.
// Threads: the shard's. close() may block: only at shutdown.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "abi/base/result.h"
#include "broker/components/state_store.h"
#include "broker/core/post.h"
#include "broker/core/wall_clock.h"

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
  };
  static Result<ComponentSet> open(const plan::BasePlan& plan, const std::string& state_folder,
                                   Services services);

  // In the plan's order.
  std::vector<StateStore*> stores() const;
  void close();

 private:
  std::vector<std::unique_ptr<StateStore>> stores_;
};

}  // namespace rtsup::broker
