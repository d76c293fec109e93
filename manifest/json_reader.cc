#include "manifest/json_reader.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "manifest/limits.h"

namespace rtsup::manifest {
namespace {

using Json = nlohmann::json;

// Reads a text and counts what was read: nlohmann's SAX events carry no positions, but when one
// arrives the parser has read exactly up to the end of the event's token (one byte further for a
// number).
class CountingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  CountingIterator(const char* at, size_t* offset) : at_(at), offset_(offset) {}
  reference operator*() const { return *at_; }
  CountingIterator& operator++() {
    ++at_;
    ++*offset_;
    return *this;
  }
  CountingIterator operator++(int) {
    CountingIterator before = *this;
    ++*this;
    return before;
  }
  friend bool operator==(const CountingIterator& a, const CountingIterator& b) {
    return a.at_ == b.at_;
  }

 private:
  const char* at_;
  size_t* offset_;
};

// From byte offsets to lines and columns.
class Lines {
 public:
  explicit Lines(const std::string& text) {
    for (size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '\n') {
        starts_.push_back(i + 1);
      }
    }
  }
  Position at(size_t offset) const {
    const auto next = std::upper_bound(starts_.begin(), starts_.end(), offset);
    const auto line = static_cast<size_t>(next - starts_.begin());
    return {static_cast<uint32_t>(line), static_cast<uint32_t>(offset - starts_[line - 1] + 1)};
  }

 private:
  std::vector<size_t> starts_{0};
};

bool is_number_byte(char c) {
  return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

class TreeBuilder : public nlohmann::json_sax<Json> {
 public:
  TreeBuilder(Document& document, const std::string& text, Mistakes& mistakes)
      : document_(document), text_(text), lines_(text), mistakes_(mistakes) {}

  size_t* offset() { return &offset_; }

  bool null() override { return put(make(Node::Kind::kNull, offset_ - 4)); }
  bool boolean(bool value) override {
    Node node = make(Node::Kind::kBoolean, offset_ - (value ? 4 : 5));
    node.boolean = value;
    return put(std::move(node));
  }
  bool number_integer(number_integer_t value) override {
    Node node = make(Node::Kind::kInteger, number_start());
    node.integer = value;
    node.real = static_cast<double>(value);
    return put(std::move(node));
  }
  bool number_unsigned(number_unsigned_t value) override {
    if (value <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return number_integer(static_cast<int64_t>(value));
    }
    // No 64-bit number with a sign: seccomp's masks are such, and must stay exact.
    Node node = make(Node::Kind::kReal, number_start());
    node.real = static_cast<double>(value);
    node.integer = static_cast<int64_t>(value);
    node.beyond_int64 = true;
    return put(std::move(node));
  }
  bool number_float(number_float_t value, const string_t& /*text*/) override {
    Node node = make(Node::Kind::kReal, number_start());
    node.real = value;
    return put(std::move(node));
  }
  bool string(string_t& value) override {
    Node node = make(Node::Kind::kString, string_start());
    node.text = std::move(value);
    return check_text(node.text, node.at) && put(std::move(node));
  }
  bool binary(binary_t& /*value*/) override { return false; }

  bool start_object(size_t /*elements*/) override { return open(Node::Kind::kObject); }
  bool end_object() override { return close(); }
  bool start_array(size_t /*elements*/) override { return open(Node::Kind::kArray); }
  bool end_array() override { return close(); }

  bool key(string_t& value) override {
    key_at_ = lines_.at(string_start());
    key_ = std::move(value);
    return check_text(key_, key_at_);
  }

  bool parse_error(size_t position, const std::string& /*last_token*/,
                   const nlohmann::detail::exception& exception) override {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: syntax error while ...;
    // last read: '...'": what stands between the place and the raw bytes of the file.
    std::string message = exception.what();
    if (const size_t colon = message.find(": "); colon != std::string::npos) {
      message.erase(0, colon + 2);
    }
    if (const size_t raw = message.find("; last read: '"); raw != std::string::npos) {
      message.erase(raw);
    }
    return fail(lines_.at(std::min(position == 0 ? 0 : position - 1, text_.size())), message);
  }

 private:
  Node make(Node::Kind kind, size_t start) const {
    Node node;
    node.kind = kind;
    node.at = lines_.at(start);
    node.document = &document_;
    if (!open_.empty()) {
      const Node& parent = open_.back();
      node.pointer = parent.kind == Node::Kind::kArray
                         ? child_pointer(parent.pointer, std::to_string(parent.items.size()))
                         : child_pointer(parent.pointer, key_);
    }
    return node;
  }

  // Inside a string every quote has a backslash before it; before the opening quote none can stand.
  size_t string_start() const {
    size_t i = offset_ - 2;
    while (text_[i] != '"' || is_escaped(i)) {
      --i;
    }
    return i;
  }
  bool is_escaped(size_t quote) const {
    size_t backslashes = 0;
    while (backslashes < quote && text_[quote - 1 - backslashes] == '\\') {
      ++backslashes;
    }
    return backslashes % 2 == 1;
  }
  // The parser has looked one byte further than the number, unless the text ends with it.
  size_t number_start() const {
    size_t end = offset_;
    if (end > 0 && !is_number_byte(text_[end - 1])) {
      --end;
    }
    while (end > 0 && is_number_byte(text_[end - 1])) {
      --end;
    }
    return end;
  }

  bool open(Node::Kind kind) {
    Node node = make(kind, offset_ - 1);
    if (open_.size() >= kDepthMax) {
      return fail(node.at, "nested deeper than " + std::to_string(kDepthMax) + " levels");
    }
    keys_.push_back(key_);
    keys_at_.push_back(key_at_);
    open_.push_back(std::move(node));
    return true;
  }
  bool close() {
    Node node = std::move(open_.back());
    open_.pop_back();
    key_ = std::move(keys_.back());
    keys_.pop_back();
    key_at_ = keys_at_.back();
    keys_at_.pop_back();
    return put(std::move(node));
  }

  bool put(Node node) {
    if (++nodes_ > kNodesMax) {
      return fail(node.at, "more than " + std::to_string(kNodesMax) + " values");
    }
    if (open_.empty()) {
      document_.root = std::move(node);
      return true;
    }
    Node& parent = open_.back();
    if (parent.kind == Node::Kind::kArray) {
      parent.items.push_back(std::move(node));
      return true;
    }
    return put_member(parent, std::move(node));
  }
  bool put_member(Node& parent, Node node) {
    const auto same = [this](const Member& member) { return member.name == key_; };
    const auto first = std::find_if(parent.members.begin(), parent.members.end(), same);
    if (first != parent.members.end()) {
      mistakes_.add(document_.path, key_at_, node.pointer,
                    "the key " + quote(key_) + " stands twice; first in line " +
                        std::to_string(first->at.line));
      return true;
    }
    if (parent.members.size() >= kMembersMax) {
      return fail(node.at, "more than " + std::to_string(kMembersMax) + " keys in one object");
    }
    parent.members.push_back({key_, key_at_, std::move(node)});
    return true;
  }

  bool check_text(const std::string& text, Position at) {
    if (text.size() > kTextBytesMax) {
      return fail(at, "a string longer than " + std::to_string(kTextBytesMax) + " bytes");
    }
    if (text.find('\0') != std::string::npos) {
      return fail(at, "a string with a zero byte in it");
    }
    return true;
  }
  bool fail(Position at, std::string message) {
    mistakes_.add(document_.path, at, "", std::move(message));
    return false;
  }

  Document& document_;
  const std::string& text_;
  Lines lines_;
  Mistakes& mistakes_;
  size_t offset_ = 0;
  size_t nodes_ = 0;
  std::string key_;
  Position key_at_;
  std::vector<Node> open_;         // the values around the present one
  std::vector<std::string> keys_;  // their keys
  std::vector<Position> keys_at_;
};

}  // namespace

std::unique_ptr<Document> read_json(const std::string& path, const std::string& label,
                                    const std::string& text, Mistakes& mistakes) {
  auto document = std::make_unique<Document>();
  document->path = path;
  document->label = label;
  TreeBuilder builder(*document, text, mistakes);
  const CountingIterator begin(text.data(), builder.offset());
  const CountingIterator end(text.data() + text.size(), builder.offset());
  const bool read = Json::sax_parse(begin, end, &builder, Json::input_format_t::json,
                                    /*strict=*/true, /*ignore_comments=*/true);
  return read ? std::move(document) : nullptr;
}

}  // namespace rtsup::manifest
