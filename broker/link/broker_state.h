// What a broker hands over beside its sessions: meters, quotas, and what components hold in memory.
// The file's format stands in docs/formats/handover.md.
// Owns:    nothing; the parts are the broker's.
// Errors:  hand_over_state(): of the file. take_over_state(): of the file, or kFailedPrecondition
//          at step kHandover: it belongs to another base or plan. The parts are then of no use: the
//          process can only end.
// Threads: the shard's only, while nothing is under way.
#pragma once

#include <span>

#include "broker/access/quota.h"
#include "broker/link/component_set.h"
#include "broker/meter/meter.h"
#include "sys/fd.h"

namespace rtsup::broker {

struct BrokerState {
  const plan::BasePlan& plan;
  Meter& meter;
  Quota& quota;
  const ComponentSet& components;
};

// A sealed memory file. `readings`: the meter with what living sessions have used.
Result<sys::UniqueFd> hand_over_state(const BrokerState& state, const Meter& readings);
// Into a broker that has served nobody yet.
Result<void> take_over_state(const BrokerState& state, std::span<const std::byte> file);

}  // namespace rtsup::broker
