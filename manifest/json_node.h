// Node: one value of a JSON text, with its place in the file. An own small tree, because nlohmann's
// keeps no positions and lets the last of two equal keys win.
// Owns:    its children; `document` is borrowed and must outlive the node.
// Units:   lines and columns from 1, columns in bytes.
// Threads: one at a time; constant once parsed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace rtsup::manifest {

struct Position {
  uint32_t line = 0;
  uint32_t column = 0;
};

struct Member;
struct Document;

struct Node {
  enum class Kind : uint8_t { kNull, kBoolean, kInteger, kReal, kString, kArray, kObject };

  Kind kind = Kind::kNull;
  bool boolean = false;
  int64_t integer = 0;          // kInteger
  double real = 0;              // kInteger and kReal
  bool beyond_int64 = false;    // kReal: a whole number of 2^63 to 2^64-1; `integer` has its bits
  std::string text;             // kString
  std::vector<Node> items;      // kArray
  std::vector<Member> members;  // kObject, in the order written, names unique
  Position at;
  std::string pointer;  // JSON pointer (RFC 6901)
  const Document* document = nullptr;

  // The member's value; nullptr when there is none or this is no object.
  const Node* find(std::string_view name) const noexcept;
};

struct Member {
  std::string name;
  Position at;  // of the key
  Node value;
};

// "an object", "a string": for messages.
std::string_view kind_name(Node::Kind kind) noexcept;

// Appends "/name" with ~ and / escaped.
std::string child_pointer(std::string_view parent, std::string_view name);

struct Document {
  std::string path;   // as it was opened: what mistakes call it
  std::string label;  // short, for origins: "cart.json", "rtsup:small"
  Node root;
};

// "cart.json:12": where a value stands, for people.
std::string origin_of(const Node& node);

}  // namespace rtsup::manifest
