#include "supervisor/denials/call_text.h"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <string_view>
#include <vector>

#include "supervisor/logs/escape.h"

namespace rtsup::supervisor {
namespace {

// The constants of one kind of argument. Bits of `choice` hold one of several numbers, every other
// bit is a flag.
struct Family {
  std::string_view call;  // of these calls, by the beginning of the name; empty = of all
  std::string_view argument;
  std::string_view prefix;
  uint64_t choice = ~0ULL;
};
constexpr uint64_t kFlags = 0;
constexpr Family kFamilies[] = {
    {"socket", "domain", "AF_"},
    {"socket", "type", "SOCK_", 0xF},
    {"socket", "protocol", "IPPROTO_"},
    {"accept4", "flags", "SOCK_", 0xF},
    {"", "prot", "PROT_", kFlags},
    {"mmap", "flags", "MAP_", 0xF},
    {"mremap", "flags", "MREMAP_", kFlags},
    {"open", "flags", "O_", 0x3},
    {"dup3", "flags", "O_", 0x3},
    {"pipe2", "flags", "O_", 0x3},
    {"", "advice", "MADV_"},
    {"fcntl", "cmd", "F_"},
    {"clone", "flags", "CLONE_", kFlags},
    {"futex", "op", "FUTEX_", 0x7F},
    {"prctl", "option", "PR_"},
    {"arch_prctl", "option", "ARCH_"},
    {"", "clock", "CLOCK_"},
    {"", "whence", "SEEK_"},
    {"", "signal", "SIG"},
    {"eventfd2", "flags", "EFD_", kFlags},
    {"epoll_create1", "flags", "EPOLL_", kFlags},
    {"timerfd_create", "flags", "TFD_", kFlags},
    {"memfd_create", "flags", "MFD_", kFlags},
    {"ioctl", "cmd", "TC"},
    {"ioctl", "cmd", "TIO"},
    {"ioctl", "cmd", "FIO"},
};

std::string hexadecimal(uint64_t value) {
  char text[24];
  const int length = snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
  return {text, static_cast<size_t>(length)};
}

std::string octal(uint64_t value) {
  char text[32];
  const int length = snprintf(text, sizeof text, "0%llo", static_cast<unsigned long long>(value));
  return {text, static_cast<size_t>(length)};
}

// As much of the register as the kernel looks at.
uint64_t value_of(const Denial& denial, const manifest::Argument& argument) {
  const uint64_t value = denial.arguments[argument.index];
  return argument.width == manifest::Argument::Width::k32 ? value & 0xFFFFFFFF : value;
}

struct Constant {
  std::string_view name;
  uint64_t value = 0;
};

std::vector<Constant> constants_of(const Family& family) {
  std::vector<Constant> constants;
  for (const std::string_view name : manifest::constant_names()) {
    if (name.starts_with(family.prefix)) {
      constants.push_back({name, manifest::parse_value(name).value_or(0)});
    }
  }
  // Those of several bits first: O_SYNC holds O_DSYNC.
  std::stable_sort(constants.begin(), constants.end(), [](const Constant& a, const Constant& b) {
    return std::popcount(a.value) > std::popcount(b.value);
  });
  return constants;
}

// Nothing when the family has no name for the part of the value that is a choice.
std::optional<std::string> name_in(const Family& family, uint64_t value) {
  const std::vector<Constant> constants = constants_of(family);
  std::string text;
  uint64_t rest = value;
  const auto add = [&text](const std::string& name) { text += (text.empty() ? "" : "|") + name; };
  if (family.choice != kFlags || value == 0) {
    const auto chosen = std::find_if(constants.begin(), constants.end(), [&](const Constant& one) {
      return (one.value & ~family.choice) == 0 && one.value == (value & family.choice);
    });
    if (chosen != constants.end()) {
      add(std::string(chosen->name));
      rest &= ~family.choice;
    } else if (family.choice == ~0ULL) {
      return std::nullopt;
    }
  }
  for (const Constant& one : constants) {
    if (one.value != 0 && (one.value & family.choice) == 0 && (one.value & ~rest) == 0) {
      add(std::string(one.name));
      rest &= ~one.value;
    }
  }
  if (rest != 0 || text.empty()) {
    add(hexadecimal(rest));
  }
  return text;
}

bool is_of(const Family& family, const std::string& call, std::string_view argument) {
  return family.argument == argument && std::string_view(call).starts_with(family.call);
}

std::string argument_text(const Denial& denial, const manifest::Argument& argument) {
  if (denial.path && argument.name == "path") {
    return "\"" + escape(*denial.path) + (denial.path_is_cut ? "..." : "") + "\" (as seen)";
  }
  if (argument.name == "dirfd" &&
      static_cast<int32_t>(denial.arguments[argument.index]) == -100) {  // AT_FDCWD
    return "AT_FDCWD";
  }
  if (const auto name = constant_text(denial, argument)) {
    return *name;
  }
  const uint64_t value = value_of(denial, argument);
  if (argument.name == "mode") {
    return octal(value);
  }
  return argument.width == manifest::Argument::Width::kPointer || value > 9 ? hexadecimal(value)
                                                                            : std::to_string(value);
}

}  // namespace

std::optional<std::string> constant_text(const Denial& denial, const manifest::Argument& argument) {
  const uint64_t value = value_of(denial, argument);
  bool has_family = false;
  for (const Family& family : kFamilies) {
    if (!is_of(family, denial.call, argument.name)) {
      continue;
    }
    has_family = true;
    if (auto name = name_in(family, value)) {
      return name;
    }
  }
  return has_family ? std::optional(hexadecimal(value)) : std::nullopt;
}

std::string call_text(const Denial& denial) {
  const auto arguments = denial.native ? manifest::arguments_of(static_cast<int>(denial.number))
                                       : std::vector<manifest::Argument>();
  std::string text = escape(denial.call) + "(";
  if (arguments.empty()) {
    // Not in the table: as the registers were. Which of them the call looks at is not known.
    for (const uint64_t value : denial.arguments) {
      text += (text.back() == '(' ? "" : ", ") + hexadecimal(value);
    }
    if (denial.path) {
      text += "; path \"" + escape(*denial.path) + (denial.path_is_cut ? "..." : "") + "\" as seen";
    }
    return text + ")";
  }
  for (const manifest::Argument& argument : arguments) {
    text += (text.back() == '(' ? "" : ", ") + std::string(argument.name) + "=" +
            argument_text(denial, argument);
  }
  return text + ")";
}

abi::FilterRule narrowest_rule(const Denial& denial) {
  abi::FilterRule rule;
  rule.call = static_cast<int>(denial.number);
  for (const manifest::Argument& argument : manifest::arguments_of(rule.call)) {
    if (constant_text(denial, argument)) {
      const uint64_t mask =
          argument.width == manifest::Argument::Width::k32 ? 0xFFFFFFFFULL : ~0ULL;
      rule.tests.push_back(
          {.index = argument.index, .mask = mask, .value = value_of(denial, argument)});
    }
  }
  return rule;
}

}  // namespace rtsup::supervisor
