// Denial: one line of STATE/denials/FUNCTION.jsonl (docs/formats/denials.md), read again.
// Owns:    plain values. `path`, `component` and `target` are bytes of a function's own: escape
//          them wherever they are shown.
// Errors:  read_denial(): nothing for a line that is none, is cut, or is of a newer version.
// Threads: any.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rtsup::supervisor {

struct Denial {
  std::string time;
  std::string boundary;  // "security", "channel", "service", "resource"
  std::string application;
  std::string manifest;  // path of it
  std::string function;
  std::string policy;  // as the manifest names it; "inline"
  std::string policy_digest;
  uint64_t instance = 0;
  // security
  std::string call;  // its name
  int64_t number = -1;
  bool native = true;  // of this machine's architecture
  std::array<uint64_t, 6> arguments{};
  std::string rule;  // "none": no rule names the call; "arguments": those that do want others
  int64_t thread = 0;
  uint64_t instruction = 0;
  std::optional<uint64_t> stack_pointer;
  std::optional<std::string> path;  // as it was seen
  bool path_is_cut = false;
  bool enforced = true;  // false: it was made all the same, in complain mode or to be learned
  // the others
  std::string operation;  // "state.get", "memory"
  std::string reason;     // "NOT_GRANTED", "RANGE"
  std::string component;
  std::string target;
  uint64_t target_bytes = 0;  // what is longer than `target` was cut
  uint64_t targets = 1;
  bool known = true;  // the manifest has what was asked for
  uint64_t count = 1;
  uint64_t unlisted = 0;
  uint64_t limit = 0;  // 0: the record names none
};

std::optional<Denial> read_denial(std::string_view line);
// The lines of a file that are records, oldest first.
std::vector<Denial> read_denials(std::string_view text);

// Denials that differ in nothing but when and how often have the same.
std::string kind_of(const Denial& denial);

}  // namespace rtsup::supervisor
