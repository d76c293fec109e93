#include "broker/core/placement.h"

#include <algorithm>
#include <numeric>
#include <string_view>

#include "schemas/plan_generated.h"

namespace rtsup::broker {
namespace {

template <typename Vector>
uint32_t size_of(const Vector* vector) noexcept {
  return vector == nullptr ? 0 : vector->size();
}

// Sets that are joined until each holds what must stay together. Element 0 is home, then come the
// functions, then the components.
class Groups {
 public:
  Groups(const plan::BasePlan& plan, const std::vector<bool>& configured)
      : functions_(plan.functions()->size()),
        components_(plan.components()->size()),
        parents_(1 + functions_ + components_) {
    std::iota(parents_.begin(), parents_.end(), 0U);
    for (uint32_t i = 0; i < functions_; ++i) {
      add(*(*plan.functions())[i], i);
      if (i < configured.size() && configured[i]) {
        join(1 + i, 0);
      }
    }
  }
  [[nodiscard]] size_t size() const noexcept { return parents_.size(); }
  [[nodiscard]] uint32_t home() const noexcept { return find(0); }
  [[nodiscard]] uint32_t of_function(uint32_t index) const noexcept { return find(1 + index); }
  [[nodiscard]] uint32_t of_component(uint32_t index) const noexcept {
    return find(1 + functions_ + index);
  }

 private:
  void add(const plan::Function& function, uint32_t index) {
    const uint32_t at = 1 + index;
    if (size_of(function.config()) > 0) {
      join(at, 0);
    }
    for (uint32_t i = 0; i < size_of(function.sequencer()); ++i) {
      join(at, 0);
      join_component((*function.sequencer())[i]->component(), 0);
    }
    for (uint32_t i = 0; i < size_of(function.pubsub()); ++i) {
      const plan::PubsubGrant& grant = *(*function.pubsub())[i];
      if (size_of(grant.subscribe()) > 0) {
        join_component(grant.component(), at);
      }
    }
  }
  void join_component(uint32_t component, uint32_t with) {
    if (component < components_) {
      join(1 + functions_ + component, with);
    }
  }
  void join(uint32_t one, uint32_t other) { parents_[find(one)] = find(other); }
  [[nodiscard]] uint32_t find(uint32_t element) const noexcept {
    while (parents_[element] != element) {
      element = parents_[element];
    }
    return element;
  }

  const uint32_t functions_;
  const uint32_t components_;
  std::vector<uint32_t> parents_;
};

struct Members {
  uint32_t group = 0;
  uint32_t functions = 0;
};

// Groups with functions, without home's, the largest first, in the plan's order where they are
// alike.
std::vector<Members> sizes_of(const Groups& groups, uint32_t functions) {
  std::vector<Members> sizes;
  for (uint32_t i = 0; i < functions; ++i) {
    const uint32_t group = groups.of_function(i);
    if (group == groups.home()) {
      continue;
    }
    const auto known = std::find_if(sizes.begin(), sizes.end(),
                                    [group](const Members& row) { return row.group == group; });
    (known == sizes.end() ? sizes.emplace_back(Members{group, 0}) : *known).functions += 1;
  }
  std::stable_sort(sizes.begin(), sizes.end(), [](const Members& one, const Members& other) {
    return one.functions > other.functions;
  });
  return sizes;
}

bool is_store(const plan::Component& component) noexcept {
  return std::string_view(component.type()->c_str()).substr(0, 6) == "state.";
}

uint32_t position(const std::vector<uint32_t>& counts, std::vector<uint32_t>::const_iterator at) {
  return static_cast<uint32_t>(at - counts.begin());
}

}  // namespace

Placement::Placement(const plan::BasePlan& plan, uint32_t shards,
                     const std::vector<bool>& configured)
    : shards_(shards),
      functions_(plan.functions()->size(), kHomeShard),
      components_(plan.components()->size(), kHomeShard) {
  const Groups groups(plan, configured);
  const auto functions = static_cast<uint32_t>(functions_.size());
  std::vector<uint32_t> shard_of(groups.size(), kHomeShard);
  std::vector<uint32_t> counts(shards_);
  for (uint32_t i = 0; i < functions; ++i) {
    counts[kHomeShard] += groups.of_function(i) == groups.home() ? 1 : 0;
  }
  for (const Members& members : sizes_of(groups, functions)) {
    const uint32_t shard = position(counts, std::min_element(counts.begin(), counts.end()));
    shard_of[members.group] = shard;
    counts[shard] += members.functions;
  }
  for (uint32_t i = 0; i < functions; ++i) {
    functions_[i] = shard_of[groups.of_function(i)];
  }
  for (uint32_t i = 0; i < components_.size(); ++i) {
    components_[i] = shard_of[groups.of_component(i)];
  }
  place_stores(plan);
}

void Placement::place_stores(const plan::BasePlan& plan) {
  std::vector<std::vector<uint32_t>> users(components_.size(), std::vector<uint32_t>(shards_));
  for (uint32_t i = 0; i < functions_.size(); ++i) {
    const auto* const grants = (*plan.functions())[i]->state();
    for (uint32_t at = 0; at < size_of(grants); ++at) {
      const uint32_t component = (*grants)[at]->component();
      if (component < users.size() && is_store(*(*plan.components())[component])) {
        ++users[component][functions_[i]];
      }
    }
  }
  for (uint32_t i = 0; i < components_.size(); ++i) {
    const auto largest = std::max_element(users[i].begin(), users[i].end());
    if (*largest > 0) {
      components_[i] = position(users[i], largest);
    }
  }
}

}  // namespace rtsup::broker
