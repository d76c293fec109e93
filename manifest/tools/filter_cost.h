// Filter cost: what a policy's compiled filter costs each system call, worked out by running it
// here.
// Units:   BPF instructions.
// Threads: any.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "manifest/tools/policy_book.h"

namespace rtsup::manifest {

struct FilterCost {
  size_t program = 0;      // instructions in all; the kernel takes 4096
  uint32_t worst = 0;      // instructions of the slowest call, whatever its arguments
  std::string worst_call;  // which that is
  uint32_t typical = 0;    // the median of the calls that it allows
  size_t allowed = 0;      // calls that it allows, at least with some arguments
  size_t constant = 0;  // of these, calls that the kernel's bitmap answers: no instruction at all
};

// `program` is what the rules were compiled to.
FilterCost cost_of(std::span<const sock_filter> program, const std::vector<RuleDraft>& rules,
                   uint32_t audit_arch);

}  // namespace rtsup::manifest
