#include "manifest/fields.h"

#include <algorithm>

#include "manifest/units.h"

namespace rtsup::manifest {
namespace {

bool contains(const Names& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool expect(const Node& node, Node::Kind kind, Mistakes& mistakes) {
  if (node.kind == kind) {
    return true;
  }
  mistakes.add(node, "expected " + std::string(kind_name(kind)) + ", found " +
                         std::string(kind_name(node.kind)));
  return false;
}

template <typename Parse>
std::optional<uint64_t> read_unit(const Node& node, const UnitRange& range,
                                  std::string_view example, Parse parse, Mistakes& mistakes) {
  const std::optional<uint64_t> value =
      node.kind == Node::Kind::kString ? parse(node.text) : std::nullopt;
  if (!value) {
    mistakes.add(node, "expected " + std::string(example) + ", found " +
                           (node.kind == Node::Kind::kString ? quote(node.text)
                                                             : std::string(kind_name(node.kind))));
    return std::nullopt;
  }
  if (*value < range.min || *value > range.max) {
    mistakes.add(node, quote(node.text) + " is out of range: " + std::string(range.text));
    return std::nullopt;
  }
  return value;
}

}  // namespace

std::string unknown_message(std::string_view what, std::string_view word, const Vocabulary& words) {
  std::string message(what);
  if (contains(words.later, word)) {
    return message + ' ' + quote(word) + " is not supported yet";
  }
  return "unknown " + message + ' ' + quote(word) + suggestion(word, words.known);
}

bool check_object(const Node& node, const Vocabulary& keys, Mistakes& mistakes) {
  if (!expect(node, Node::Kind::kObject, mistakes)) {
    return false;
  }
  for (const Member& member : node.members) {
    if (!contains(keys.known, member.name)) {
      mistakes.add(member, unknown_message("key", member.name, keys));
    }
  }
  return true;
}

const Node* required(const Node& object, std::string_view name, Mistakes& mistakes) {
  const Node* const found = object.find(name);
  if (found == nullptr) {
    mistakes.add(object, "the key " + quote(name) + " is missing");
  }
  return found;
}

bool check_array(const Node& node, Mistakes& mistakes) {
  return expect(node, Node::Kind::kArray, mistakes);
}

std::optional<std::string> read_text(const Node& node, Mistakes& mistakes) {
  if (!expect(node, Node::Kind::kString, mistakes)) {
    return std::nullopt;
  }
  // Left for a later version; taken literally now, it would change its meaning then.
  if (node.text.find("${") != std::string::npos) {
    mistakes.add(node, "substitution (\"${...}\") is not supported yet");
    return std::nullopt;
  }
  return node.text;
}

std::optional<std::string> read_word(const Node& node, std::string_view what,
                                     const Vocabulary& words, Mistakes& mistakes) {
  if (!expect(node, Node::Kind::kString, mistakes)) {
    return std::nullopt;
  }
  if (!contains(words.known, node.text)) {
    mistakes.add(node, unknown_message(what, node.text, words));
    return std::nullopt;
  }
  return node.text;
}

std::optional<int64_t> read_integer(const Node& node, IntegerRange range, Mistakes& mistakes) {
  if (!expect(node, Node::Kind::kInteger, mistakes)) {
    return std::nullopt;
  }
  if (node.integer < range.min || node.integer > range.max) {
    mistakes.add(node, std::to_string(node.integer) + " is out of range: " +
                           std::to_string(range.min) + " to " + std::to_string(range.max));
    return std::nullopt;
  }
  return node.integer;
}

std::optional<uint64_t> read_bytes(const Node& node, const UnitRange& range, Mistakes& mistakes) {
  return read_unit(node, range, "a size such as \"64MiB\" (B, KiB, MiB, GiB, TiB)", parse_bytes,
                   mistakes);
}

std::optional<uint64_t> read_duration_ns(const Node& node, const UnitRange& range,
                                         Mistakes& mistakes) {
  return read_unit(node, range, "a time such as \"500ms\" (us, ms, s, m, h)", parse_duration_ns,
                   mistakes);
}

}  // namespace rtsup::manifest
