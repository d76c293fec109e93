// What must hold of every outcome of load_manifest, whatever was written.
// Threads: any.
#pragma once

#include <sys/syscall.h>

#include <algorithm>

#include "manifest/limits.h"
#include "manifest/load.h"
#include "tests/fuzz/require.h"

namespace rtsup::fuzz {

// Calls that no policy may hand to a function: a list of its own, shorter than the product's.
inline constexpr int kNever[] = {
    SYS_ptrace, SYS_mount, SYS_umount2,      SYS_pivot_root,     SYS_bpf,        SYS_init_module,
    SYS_reboot, SYS_setns, SYS_finit_module, SYS_io_uring_setup, SYS_kexec_load, SYS_keyctl};

inline void check_filter(const abi::FilterSpec& filter) {
  for (const abi::FilterRule& rule : filter.rules) {
    const bool is_never =
        std::find(std::begin(kNever), std::end(kNever), rule.call) != std::end(kNever);
    RTSUP_REQUIRE(!is_never || rule.errno_value != 0, "WRONG ACCEPT: a call that none may have");
    for (const abi::ArgumentTest& test : rule.tests) {
      RTSUP_REQUIRE(test.index < 6 && (test.value & ~test.mask) == 0, "a test that can not hold");
    }
  }
}

inline void check_manifest(const manifest::Manifest& loaded) {
  RTSUP_REQUIRE(!loaded.functions.empty() && loaded.functions.size() <= manifest::kFunctionsMax,
                "WRONG ACCEPT: no function, or too many");
  for (const manifest::Function& function : loaded.functions) {
    check_filter(function.policy.security.filter);
    for (const manifest::StateGrant& grant : function.policy.services.state) {
      RTSUP_REQUIRE(grant.component < loaded.components.size(), "a grant of no component");
    }
    for (const uint32_t callee : function.policy.services.invoke) {
      RTSUP_REQUIRE(callee < loaded.functions.size(), "a grant of no function");
    }
    for (const manifest::PathGrant& path : function.policy.security.paths) {
      RTSUP_REQUIRE(path.target.starts_with('/') && path.target.find("/../") == std::string::npos,
                    "WRONG ACCEPT: a path that leaves its place");
    }
  }
}

inline void check_outcome(const manifest::LoadOutcome& outcome) {
  RTSUP_REQUIRE(outcome.manifest.has_value() == outcome.mistakes.empty(),
                "a manifest in spite of mistakes, or neither");
  RTSUP_REQUIRE(outcome.mistakes.size() <= manifest::kMistakesMax + 1, "mistakes without end");
  for (const manifest::Mistake& mistake : outcome.mistakes) {
    RTSUP_REQUIRE(to_line(mistake).find('\n') == std::string::npos, "a mistake of two lines");
  }
  if (outcome.manifest) {
    check_manifest(*outcome.manifest);
  }
}

}  // namespace rtsup::fuzz
