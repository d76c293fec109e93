#include "manifest/json_node.h"

namespace rtsup::manifest {

const Node* Node::find(std::string_view name) const noexcept {
  for (const Member& member : members) {
    if (member.name == name) {
      return &member.value;
    }
  }
  return nullptr;
}

std::string_view kind_name(Node::Kind kind) noexcept {
  switch (kind) {
    case Node::Kind::kNull:
      return "null";
    case Node::Kind::kBoolean:
      return "a boolean";
    case Node::Kind::kInteger:
      return "an integer";
    case Node::Kind::kReal:
      return "a number";
    case Node::Kind::kString:
      return "a string";
    case Node::Kind::kArray:
      return "an array";
    case Node::Kind::kObject:
      return "an object";
  }
  return "a value";
}

std::string child_pointer(std::string_view parent, std::string_view name) {
  std::string pointer(parent);
  pointer += '/';
  for (const char c : name) {
    if (c == '~') {
      pointer += "~0";
    } else if (c == '/') {
      pointer += "~1";
    } else {
      pointer += c;
    }
  }
  return pointer;
}

std::string origin_of(const Node& node) {
  return node.document->label + ':' + std::to_string(node.at.line);
}

}  // namespace rtsup::manifest
