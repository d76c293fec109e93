#include "fields.h"

#include <charconv>

namespace shop {
namespace {

constexpr size_t kNameMax = 32;
constexpr size_t kDigitsMax = 9;

bool in_name(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

// Takes tokens from the front of a text.
class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}

  bool take(char wanted) {
    take_while(is_blank);
    if (rest_.empty() || rest_.front() != wanted) {
      return false;
    }
    rest_.remove_prefix(1);
    return true;
  }
  std::optional<std::string> take_name() {
    if (!take('"')) {
      return std::nullopt;
    }
    const std::string_view name = take_while(in_name);
    if (name.empty() || name.size() > kNameMax || !take('"')) {
      return std::nullopt;
    }
    return std::string(name);
  }
  std::optional<long> take_number() {
    take_while(is_blank);
    const std::string_view digits = take_while(is_digit);
    long number = 0;
    if (digits.empty() || digits.size() > kDigitsMax) {
      return std::nullopt;
    }
    std::from_chars(digits.data(), digits.data() + digits.size(), number);
    return number;
  }
  bool next_is_text() {
    take_while(is_blank);
    return !rest_.empty() && rest_.front() == '"';
  }
  bool at_end() {
    take_while(is_blank);
    return rest_.empty();
  }

 private:
  std::string_view take_while(bool (*wanted)(char)) {
    size_t length = 0;
    while (length < rest_.size() && wanted(rest_[length])) {
      ++length;
    }
    const std::string_view taken = rest_.substr(0, length);
    rest_.remove_prefix(length);
    return taken;
  }
  std::string_view rest_;
};

}  // namespace

std::optional<Fields> Fields::parse(std::string_view text) {
  Fields fields;
  Reader reader(text);
  if (!reader.take('{')) {
    return std::nullopt;
  }
  if (reader.take('}')) {
    return reader.at_end() ? std::optional(fields) : std::nullopt;
  }
  do {
    const auto key = reader.take_name();
    if (!key || !reader.take(':')) {
      return std::nullopt;
    }
    if (reader.next_is_text()) {
      const auto value = reader.take_name();
      if (!value) {
        return std::nullopt;
      }
      fields.texts_[*key] = *value;
    } else {
      const auto value = reader.take_number();
      if (!value) {
        return std::nullopt;
      }
      fields.numbers_[*key] = *value;
    }
  } while (reader.take(','));
  if (!reader.take('}') || !reader.at_end()) {
    return std::nullopt;
  }
  return fields;
}

std::string Fields::text(std::string_view key) const {
  const auto found = texts_.find(key);
  return found == texts_.end() ? std::string() : found->second;
}

std::optional<long> Fields::number(std::string_view key) const {
  const auto found = numbers_.find(key);
  return found == numbers_.end() ? std::nullopt : std::optional<long>(found->second);
}

}  // namespace shop
