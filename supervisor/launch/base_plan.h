// build_base_plan: what the broker is told once, at its start (schemas/plan.fbs).
// Threads: any; pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "manifest/model.h"

namespace rtsup::supervisor {

// `spin_cpus`: how many CPUs workers may spin on; 0 = never.
std::vector<std::byte> build_base_plan(const manifest::Manifest& manifest, uint32_t spin_cpus);

}  // namespace rtsup::supervisor
