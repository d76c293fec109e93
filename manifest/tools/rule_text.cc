#include "manifest/tools/rule_text.h"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <string_view>

#include "manifest/syscalls.h"

namespace rtsup::manifest {
namespace {

// Which constants an argument is written with. The first row that fits holds.
struct Family {
  std::string_view call;  // empty: every call
  std::string_view argument;
  std::string_view prefix;
  bool flags;  // bits that are joined, rather than one value of several
};
constexpr Family kFamilies[] = {
    {"", "prot", "PROT_", true},
    {"mmap", "flags", "MAP_", true},
    {"mremap", "flags", "MREMAP_", true},
    {"open", "flags", "O_", true},
    {"openat", "flags", "O_", true},
    {"pipe2", "flags", "O_", true},
    {"dup3", "flags", "O_", true},
    {"clone", "flags", "CLONE_", true},
    {"eventfd2", "flags", "EFD_", true},
    {"epoll_create1", "flags", "EPOLL_", true},
    {"timerfd_create", "flags", "TFD_", true},
    {"memfd_create", "flags", "MFD_", true},
    {"accept4", "flags", "SOCK_", true},
    {"sendto", "flags", "MSG_", true},
    {"sendmsg", "flags", "MSG_", true},
    {"recvfrom", "flags", "MSG_", true},
    {"recvmsg", "flags", "MSG_", true},
    {"recvmmsg", "flags", "MSG_", true},
    {"unlinkat", "flags", "AT_", true},
    {"newfstatat", "flags", "AT_", true},
    {"statx", "flags", "AT_", true},
    {"faccessat2", "flags", "AT_", true},
    {"", "dirfd", "AT_FDCWD", false},
    {"futex", "op", "FUTEX_", true},
    {"", "advice", "MADV_", false},
    {"fcntl", "cmd", "F_", false},
    {"ioctl", "cmd", "T", false},
    {"ioctl", "cmd", "FION", false},
    {"ioctl", "cmd", "SECCOMP_IOCTL_", false},
    {"prctl", "option", "PR_", false},
    {"arch_prctl", "option", "ARCH_", false},
    {"", "clock", "CLOCK_", false},
    {"lseek", "whence", "SEEK_", false},
    {"", "domain", "AF_", false},
    {"", "type", "SOCK_", true},
    {"", "protocol", "IPPROTO_", false},
    {"", "level", "SOL_", false},
    {"", "signal", "SIG", false},
};

struct Constant {
  std::string_view name;
  uint64_t value;
};

const std::vector<Constant>& constants() {
  static const std::vector<Constant> list = [] {
    std::vector<Constant> all;
    for (const std::string_view name : constant_names()) {
      all.push_back({name, parse_value(name).value_or(0)});
    }
    // The widest first: O_TMPFILE holds O_DIRECTORY's bit.
    std::stable_sort(all.begin(), all.end(), [](const Constant& a, const Constant& b) {
      return std::popcount(a.value) > std::popcount(b.value);
    });
    return all;
  }();
  return list;
}

std::string hex(uint64_t value) {
  char digits[20];
  (void)std::snprintf(digits, sizeof digits, "0x%llx", static_cast<unsigned long long>(value));
  return digits;
}

struct ArgumentFacts {
  std::string name;
  uint64_t width = ~0ULL;  // the bits that the kernel looks at
};

ArgumentFacts facts_of(int call, uint8_t index) {
  const std::vector<Argument> arguments = arguments_of(call);
  if (index >= arguments.size()) {
    return {.name = "argument " + std::to_string(index)};
  }
  const Argument& argument = arguments[index];
  return {.name = std::string(argument.name),
          .width = argument.width == Argument::Width::k32 ? 0xFFFFFFFFULL : ~0ULL};
}

// Whether the constant may stand for this argument, and whether it may be joined with others.
const Family* family_of(std::string_view call, std::string_view argument,
                        std::string_view constant) {
  for (const Family& family : kFamilies) {
    if ((family.call.empty() || family.call == call) && family.argument == argument &&
        constant.starts_with(family.prefix)) {
      return &family;
    }
  }
  return nullptr;
}

// The names that together make `bits`, and what is left over as a number.
std::vector<std::string> names_of_bits(int call, uint8_t index, uint64_t bits) {
  const ArgumentFacts argument = facts_of(call, index);
  const std::string_view name = call_name(call);
  std::vector<std::string> names;
  for (const Constant& constant : constants()) {
    const uint64_t value = constant.value & argument.width;
    const Family* const family = family_of(name, argument.name, constant.name);
    if (family != nullptr && family->flags && value != 0 && (value & ~bits) == 0) {
      names.emplace_back(constant.name);
      bits &= ~value;
    }
  }
  if (bits != 0) {
    names.push_back(hex(bits));
  }
  return names;
}

std::string joined(const std::vector<std::string>& words, std::string_view between) {
  std::string text;
  for (const std::string& word : words) {
    text += (text.empty() ? "" : std::string(between)) + word;
  }
  return text;
}

uint64_t free_bits(int call, const abi::ArgumentTest& test) {
  return facts_of(call, test.index).width & ~test.mask;
}

std::string test_text(int call, const abi::ArgumentTest& test) {
  const std::string name = argument_name(call, test.index);
  const uint64_t free = free_bits(call, test);
  if (free == 0) {
    return name + " = " + value_text(call, test.index, test.value);
  }
  const std::string any = joined(names_of_bits(call, test.index, free), "|");
  return test.value == 0
             ? name + " within " + any
             : name + " = " + value_text(call, test.index, test.value) + " with any of " + any;
}

std::string quoted_list(const std::vector<std::string>& words) {
  std::vector<std::string> quoted;
  quoted.reserve(words.size());
  for (const std::string& word : words) {
    quoted.push_back(json_text(word));
  }
  return '[' + joined(quoted, ", ") + ']';
}

std::string test_json(int call, const abi::ArgumentTest& test) {
  const uint64_t free = free_bits(call, test);
  if (free != 0 && test.value == 0) {
    return R"({"subset of": )" + quoted_list(names_of_bits(call, test.index, free)) + '}';
  }
  const std::string value = value_text(call, test.index, test.value);
  const std::string equals = R"({"equals": )" + (value == "0" ? value : json_text(value));
  return free == 0 ? equals + '}'
                   : equals + R"(, "with any of": )" +
                         quoted_list(names_of_bits(call, test.index, free)) + '}';
}

}  // namespace

std::string argument_name(int call, uint8_t index) { return facts_of(call, index).name; }

std::string value_text(int call, uint8_t index, uint64_t value) {
  const ArgumentFacts argument = facts_of(call, index);
  const std::string_view name = call_name(call);
  value &= argument.width;
  for (const Constant& constant : constants()) {
    if ((constant.value & argument.width) == value &&
        family_of(name, argument.name, constant.name) != nullptr) {
      return std::string(constant.name);
    }
  }
  const std::string text = joined(names_of_bits(call, index, value), "|");
  return text.empty() ? "0" : text;
}

std::string errno_text(uint16_t number) {
  for (const std::string_view name : errno_names()) {
    if (errno_number(name) == number) {
      return std::string(name);
    }
  }
  return std::to_string(number);
}

std::string rule_text(const abi::FilterRule& rule) {
  std::string text(call_name(rule.call));
  if (!rule.tests.empty()) {
    std::vector<std::string> tests;
    tests.reserve(rule.tests.size());
    for (const abi::ArgumentTest& test : rule.tests) {
      tests.push_back(test_text(rule.call, test));
    }
    text += '(' + joined(tests, ", ") + ')';
  }
  return rule.errno_value == 0 ? text : text + " -> " + errno_text(rule.errno_value);
}

std::string policy_line(const abi::FilterRule& rule, const std::string& why) {
  std::string call = json_text(std::string(call_name(rule.call)));
  if (rule.tests.empty() && rule.errno_value == 0 && why.empty()) {
    return call;
  }
  std::string line = R"({"call": )" + call;
  if (!rule.tests.empty()) {
    std::vector<std::string> tests;
    tests.reserve(rule.tests.size());
    for (const abi::ArgumentTest& test : rule.tests) {
      tests.push_back(json_text(argument_name(rule.call, test.index)) + ": " +
                      test_json(rule.call, test));
    }
    line += R"(, "args": {)" + joined(tests, ", ") + '}';
  }
  if (rule.errno_value != 0) {
    line += R"(, "errno": )" + json_text(errno_text(rule.errno_value));
  }
  return line + (why.empty() ? "" : R"(, "why": )" + json_text(why)) + '}';
}

std::string json_text(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20) {
      char escaped[8];
      (void)std::snprintf(escaped, sizeof escaped, "\\u%04x", byte);
      out += escaped;
    } else {
      out += c;
    }
  }
  return out + '"';
}

}  // namespace rtsup::manifest
