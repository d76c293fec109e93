// Reading of fields: each function checks one value, adds a Mistake that says what was expected,
// and returns nothing then.
// Threads: one at a time per Mistakes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "manifest/json_node.h"
#include "manifest/mistakes.h"
#include "manifest/suggest.h"

namespace rtsup::manifest {

// Names that are valid, and names that a later version gives a meaning: those are refused as "not
// supported yet", so that a key that is accepted is always one that is enforced.
struct Vocabulary {
  Names known;
  Names later;
};

// False when the node is no object. Every member that the vocabulary does not know is a mistake.
bool check_object(const Node& node, const Vocabulary& keys, Mistakes& mistakes);
// The member, or a mistake at the object.
const Node* required(const Node& object, std::string_view name, Mistakes& mistakes);

bool check_array(const Node& node, Mistakes& mistakes);
std::optional<std::string> read_text(const Node& node, Mistakes& mistakes);
// `what` names the thing in messages: "kind", "restart".
std::optional<std::string> read_word(const Node& node, std::string_view what,
                                     const Vocabulary& words, Mistakes& mistakes);

struct IntegerRange {
  int64_t min = 0;
  int64_t max = 0;
};
std::optional<int64_t> read_integer(const Node& node, IntegerRange range, Mistakes& mistakes);

struct UnitRange {
  uint64_t min = 0;
  uint64_t max = 0;
  std::string_view text;  // "4MiB to 1TiB"
};
std::optional<uint64_t> read_bytes(const Node& node, const UnitRange& range, Mistakes& mistakes);
std::optional<uint64_t> read_duration_ns(const Node& node, const UnitRange& range,
                                         Mistakes& mistakes);

// "unknown key "x"; did you mean "y"?" or "not supported yet".
std::string unknown_message(std::string_view what, std::string_view word, const Vocabulary& words);

}  // namespace rtsup::manifest
