#include "manifest/mistakes.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "manifest/limits.h"

namespace rtsup::manifest {
namespace {

constexpr size_t kQuotedBytesMax = 120;

void append_escaped(std::string& out, char c) {
  constexpr char kHex[] = "0123456789abcdef";
  const auto byte = static_cast<unsigned char>(c);
  if (c == '"' || c == '\\') {
    out += '\\';
    out += c;
  } else if (byte < 0x20 || byte >= 0x7f) {
    out += "\\x";
    out += kHex[byte >> 4];
    out += kHex[byte & 15];
  } else {
    out += c;
  }
}

}  // namespace

void Mistakes::add(const Node& node, std::string message) {
  add(node.document->path, node.at, node.pointer, std::move(message));
}

void Mistakes::add(const Member& member, std::string message) {
  add(member.value.document->path, member.at, member.value.pointer, std::move(message));
}

void Mistakes::add(std::string file, Position at, std::string pointer, std::string message) {
  Mistake mistake{std::move(file), at.line, at.column, std::move(pointer), std::move(message)};
  // A policy that several functions use is read once for each; what is wrong with it is said once.
  const auto same = [&mistake](const Mistake& other) {
    return std::tie(other.file, other.line, other.column, other.message) ==
           std::tie(mistake.file, mistake.line, mistake.column, mistake.message);
  };
  if (std::any_of(list_.begin(), list_.end(), same)) {
    return;
  }
  if (list_.size() >= kMistakesMax) {
    ++dropped_;
    return;
  }
  list_.push_back(std::move(mistake));
}

std::vector<Mistake> Mistakes::take() {
  std::stable_sort(list_.begin(), list_.end(), [](const Mistake& a, const Mistake& b) {
    return std::tie(a.file, a.line, a.column) < std::tie(b.file, b.line, b.column);
  });
  if (dropped_ != 0) {
    list_.push_back(
        {list_.back().file, 0, 0, "", "and " + std::to_string(dropped_) + " more mistakes"});
    dropped_ = 0;
  }
  return std::exchange(list_, {});
}

std::string quote(std::string_view text) {
  std::string out = "\"";
  for (const char c : text.substr(0, kQuotedBytesMax)) {
    append_escaped(out, c);
  }
  if (text.size() > kQuotedBytesMax) {
    out += "...";
  }
  out += '"';
  return out;
}

std::string to_line(const Mistake& mistake) {
  std::string line = mistake.file;
  if (mistake.line != 0) {
    line += ':' + std::to_string(mistake.line) + ':' + std::to_string(mistake.column);
  }
  line += ": ";
  if (!mistake.pointer.empty()) {
    const std::string pointer = quote(mistake.pointer);
    line += pointer.substr(1, pointer.size() - 2) + ": ";
  }
  return line + mistake.message;
}

}  // namespace rtsup::manifest
