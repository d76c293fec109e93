// One act or twin of all, by its name.
#include <cstdlib>
#include <cstring>
#include <string>

#include "tests/offenders/act.h"

namespace rtsup::offenders {
namespace {

std::string_view next_word(std::string_view& rest) {
  const size_t space = rest.find(' ');
  const std::string_view word = rest.substr(0, space);
  rest.remove_prefix(space == std::string_view::npos ? rest.size() : space + 1);
  return word;
}

const Act* find(std::string_view name) {
  for (const std::span<const Act> family : families()) {
    for (const Act& act : family) {
      if (act.name == name) {
        return &act;
      }
    }
  }
  return nullptr;
}

}  // namespace

std::string_view carry_out(std::string_view order) {
  const std::string_view verb = next_word(order);
  const Act* const act = find(next_word(order));
  const auto victim = static_cast<pid_t>(std::strtol(std::string(order).c_str(), nullptr, 10));
  if (act == nullptr || (verb != "act" && verb != "twin")) {
    return "unknown";
  }
  const int refused = verb == "act" ? act->act(victim) : act->twin(victim);
  static std::string said;  // kept: whoever asked reads it until the next order
  const char* const name = ::strerrorname_np(refused);
  said = refused == 0 ? "done" : "refused " + std::string(name == nullptr ? "?" : name);
  return said;
}

}  // namespace rtsup::offenders
