#include "manifest/tools/call_text.h"

#include <algorithm>
#include <charconv>
#include <vector>

#include "manifest/mistakes.h"
#include "manifest/suggest.h"
#include "manifest/syscalls.h"

namespace rtsup::manifest {
namespace {

constexpr std::string_view kSpace = " \t\r\n";

std::string_view trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(kSpace);
  return begin == std::string_view::npos
             ? std::string_view()
             : text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

bool is_word(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
}

// Behind the string that begins at `at`.
size_t behind_string(std::string_view text, size_t at) {
  for (size_t i = at + 1; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      return i + 1;
    }
  }
  return text.size();
}

// The arguments between the parentheses, split at the commas that stand in nothing else; ends at
// the closing parenthesis or with the text.
struct Split {
  std::vector<std::string_view> parts;
  bool closed = false;
};
Split split_arguments(std::string_view text) {
  Split split;
  size_t begin = 0;
  int depth = 0;
  size_t i = 0;
  const auto end_part = [&](size_t end) {
    split.parts.push_back(trimmed(text.substr(begin, end - begin)));
    begin = end + 1;
  };
  while (i < text.size()) {
    const char c = text[i];
    if (c == '"') {
      i = behind_string(text, i);
      continue;
    }
    if (c == ')' && depth == 0) {
      split.closed = true;
      break;
    }
    if (c == ',' && depth == 0) {
      end_part(i);
    }
    depth += c == '(' || c == '[' || c == '{' ? 1 : 0;
    depth -= (c == ')' || c == ']' || c == '}') && depth > 0 ? 1 : 0;
    ++i;
  }
  end_part(i);
  if (split.parts.size() == 1 && split.parts[0].empty()) {
    split.parts.clear();
  }
  return split;
}

std::optional<uint64_t> parse_number(std::string_view text) {
  const bool negative = text.starts_with('-');
  text.remove_prefix(negative ? 1 : 0);
  const bool hex = text.starts_with("0x");
  const bool octal = !hex && text.size() > 1 && text.starts_with('0');
  text.remove_prefix(hex ? 2 : 0);
  uint64_t value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value,
                                             hex     ? 16
                                             : octal ? 8
                                                     : 10);
  if (error != std::errc{} || stop != text.data() + text.size()) {
    return std::nullopt;
  }
  return negative ? 0 - value : value;
}

// One word of an expression: a number, a constant, or strace's own names for two of them at once.
std::optional<uint64_t> parse_term(std::string_view term) {
  constexpr std::string_view kPrivate = "_PRIVATE";
  if (const auto number = parse_number(term)) {
    return number;
  }
  if (const auto constant = is_word(term) ? parse_value(term) : std::nullopt) {
    return constant;
  }
  if (term.starts_with("FUTEX_") && term.ends_with(kPrivate)) {
    const auto base = parse_value(term.substr(0, term.size() - kPrivate.size()));
    return base ? std::optional(*base | *parse_value("FUTEX_PRIVATE_FLAG")) : std::nullopt;
  }
  return std::nullopt;
}

// What strace adds for people: "3</etc/passwd>", "0x7ffd /* 20 vars */".
std::string_view without_notes(std::string_view text) {
  if (const size_t comment = text.find("/*"); comment != std::string_view::npos) {
    text = trimmed(text.substr(0, comment));
  }
  if (text.ends_with('>')) {
    text = trimmed(text.substr(0, text.find('<')));
  }
  return text;
}

// False: `wrong` is the word that is not understood.
bool read_argument(std::string_view text, CallArgument& argument, std::string_view& wrong) {
  constexpr std::string_view kAddressBegins = "\"{[&";
  text = text.starts_with('"') ? text : without_notes(text);
  if (text.empty() || text == "_" || text == "?" || text == "...") {
    return true;
  }
  if (kAddressBegins.find(text.front()) != std::string_view::npos) {
    argument.kind = CallArgument::Kind::kAddress;
    return true;
  }
  CallArgument read{.kind = CallArgument::Kind::kValue};
  if (text != "NULL") {
    for (;;) {
      const size_t bar = text.find('|');
      const std::string_view term = trimmed(text.substr(0, bar));
      const auto value = parse_term(term);
      if (!value) {
        wrong = term;
        return false;
      }
      read.value |= *value;
      read.symbolic = read.symbolic || !parse_number(term);
      if (bar == std::string_view::npos) {
        break;
      }
      text.remove_prefix(bar + 1);
    }
  }
  argument = read;
  return true;
}

// "flags=O_RDONLY": the name, with `part` cut to the value; empty for anything else.
std::string_view take_name(std::string_view& part) {
  const size_t equals = part.find('=');
  if (equals == std::string_view::npos || !is_word(trimmed(part.substr(0, equals)))) {
    return {};
  }
  const std::string_view name = trimmed(part.substr(0, equals));
  part = trimmed(part.substr(equals + 1));
  return name;
}

class ArgumentReader {
 public:
  ArgumentReader(CallText& call, CallReading reading)
      : call_(call), reading_(reading), known_(arguments_of(call.call)) {
    for (const Argument& argument : known_) {
      names_.push_back(argument.name);
    }
  }

  // A mistake, or an empty text.
  std::string read(std::string_view part, size_t position) {
    size_t index = position;
    if (const std::string_view name = take_name(part); !name.empty()) {
      const auto found = std::find(names_.begin(), names_.end(), name);
      if (found == names_.end()) {
        return forgive(quote(call_name(call_.call)) + " has no argument " + quote(name) +
                       suggestion(name, names_));
      }
      index = static_cast<size_t>(found - names_.begin());
    }
    if (index >= kCallArguments) {
      return forgive("a system call has at most 6 arguments");
    }
    std::string_view wrong;
    if (!read_argument(part, call_.arguments[index], wrong)) {
      return forgive("unknown constant " + quote(wrong) + suggestion(wrong, constant_names()));
    }
    return {};
  }

 private:
  std::string forgive(std::string mistake) const {
    return reading_ == CallReading::kTolerant ? std::string() : std::move(mistake);
  }

  CallText& call_;
  CallReading reading_;
  std::vector<Argument> known_;
  Names names_;
};

}  // namespace

ParsedCall parse_call(std::string_view text, CallReading reading) {
  text = trimmed(text);
  const size_t open = text.find('(');
  const std::string_view name = trimmed(text.substr(0, open));
  CallText call{.call = call_number(name)};
  if (call.call < 0) {
    return {.mistake =
                is_word(name)
                    ? "unknown system call " + quote(name) + suggestion(name, call_names())
                    : "expected a system call such as \"socket(AF_INET, SOCK_STREAM)\", found " +
                          quote(text)};
  }
  if (open == std::string_view::npos) {
    return {.call = call};
  }
  const Split split = split_arguments(text.substr(open + 1));
  if (!split.closed && reading == CallReading::kStrict) {
    return {.mistake = "the closing parenthesis is missing in " + quote(text)};
  }
  ArgumentReader reader(call, reading);
  for (size_t i = 0; i < split.parts.size(); ++i) {
    if (std::string mistake = reader.read(split.parts[i], i); !mistake.empty()) {
      return {.mistake = std::move(mistake)};
    }
  }
  return {.call = call};
}

}  // namespace rtsup::manifest
