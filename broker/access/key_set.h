// KeySet: which keys one rule set grants: exact keys, prefixes ("cart/*") or every key ("*"). A
// star elsewhere is an ordinary character. Compiled once; a decision allocates nothing and takes a
// number of steps that the key's bytes cannot inflate.
// Threads: any once built.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace rtsup::broker {

class KeySet {
 public:
  void add(std::string_view pattern);
  // Sorts and drops what another pattern covers; call it once after the last add() and before
  // contains().
  void compile();
  bool contains(std::string_view key) const noexcept;

 private:
  const std::string* prefix_of(std::string_view key) const noexcept;

  bool every_ = false;
  std::vector<std::string> exact_;     // sorted
  std::vector<std::string> prefixes_;  // sorted, none is a prefix of another
};

}  // namespace rtsup::broker
