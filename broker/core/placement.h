// Placement: which shard owns which function and which component of a plan. What must share a
// thread is kept together, the rest is spread.
// Owns:    two tables, worked out once.
// Units:   shards are numbered from 0; 0 is home: configuration, sequencers, runtime pages and the
//          operator's sessions are there.
// Threads: any once made.
#pragma once

#include <cstdint>
#include <vector>

#include "abi/base/ids.h"

namespace rtsup::plan {
struct BasePlan;
}

namespace rtsup::broker {

inline constexpr uint32_t kHomeShard = 0;
inline constexpr uint32_t kShardsMax = 16;

class Placement {
 public:
  // A function with a runtime page (configuration, a sequencer) is at home. Who may subscribe to a
  // pubsub component is where it is. A state component is where most of its functions are.
  // `configured`: by function, whether the operator has given it a value; what is missing is false.
  // `shards`: at least 1. The plan has passed the verifier; grants that point nowhere are ignored.
  Placement(const plan::BasePlan& plan, uint32_t shards, const std::vector<bool>& configured = {});

  [[nodiscard]] uint32_t shards() const noexcept { return shards_; }
  [[nodiscard]] uint32_t of(FunctionIndex function) const noexcept {
    return functions_[function.value];
  }
  [[nodiscard]] uint32_t of(ComponentIndex component) const noexcept {
    return components_[component.value];
  }

 private:
  void place_stores(const plan::BasePlan& plan);

  const uint32_t shards_;
  std::vector<uint32_t> functions_;
  std::vector<uint32_t> components_;
};

}  // namespace rtsup::broker
