// Fields: a flat JSON object, such as {"user": "ada", "add": "apple", "count": 2}, as the functions
// of this example send it to each other. Texts are names, [a-z0-9-]{1,32}; numbers are whole, from
// 0 to 999999999. Anything else is refused, so that nothing needs escaping when it is written back.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace shop {

class Fields {
 public:
  // Nothing when `text` is not such an object.
  static std::optional<Fields> parse(std::string_view text);

  // Empty when there is no such text.
  std::string text(std::string_view key) const;
  std::optional<long> number(std::string_view key) const;

 private:
  std::map<std::string, std::string, std::less<>> texts_;
  std::map<std::string, long, std::less<>> numbers_;
};

}  // namespace shop
