// FilterCache: the seccomp programs of policies and daemons: compiled once, verified, kept by
// digest.
// Owns:    the programs. A span of one lasts as long as the cache.
// Errors:  kSeccompCompile as sys/seccomp.h says; kSeccompVerify when the compiled program and the
//          rules differ for any system call, architecture or boundary value: number = the call.
//          Such a policy must not be used.
// Threads: one at a time.
#pragma once

#include <linux/filter.h>

#include <map>
#include <optional>
#include <span>
#include <string>

#include "abi/filter_rule.h"
#include "sys/seccomp.h"

namespace rtsup::supervisor {

class FilterCache {
 public:
  // `key`: the policy's digest, or a daemon's name.
  Result<std::span<const sock_filter>> get(const std::string& key, const abi::FilterSpec& spec,
                                           sys::DefaultAction default_action);

  // What the last verification found, in words.
  [[nodiscard]] const std::string& difference() const noexcept { return difference_; }

 private:
  std::string difference_;
  std::map<std::string, sys::FilterProgram> programs_;
};

}  // namespace rtsup::supervisor
