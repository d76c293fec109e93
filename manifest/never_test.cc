#include "manifest/never.h"

#include <gtest/gtest.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "abi/call_facts.h"
#include "manifest/syscalls.h"

namespace rtsup::manifest {
namespace {

using abi::CallArguments;

// What the policy reader says of a rule that allows this one call and nothing beside it.
bool is_refused(int call, const CallArguments& arguments) {
  abi::FilterRule rule;
  rule.call = call;
  for (uint8_t i = 0; i < abi::kCallArguments; ++i) {
    rule.tests.push_back({.index = i, .mask = ~0ULL, .value = arguments[i]});
  }
  return call_name(call).empty() || !never_reason(rule).empty();
}

// Every single bit, what lies around small numbers, and what the two tables know by name.
std::vector<uint64_t> boundary_values() {
  std::vector<uint64_t> values = {0,
                                  ~0ULL,
                                  TIOCSTI,
                                  TIOCLINUX,
                                  PR_SET_VMA,
                                  0xFFFFFFFF,
                                  uint64_t{TIOCSTI} | 1ULL << 40,
                                  PROT_READ | PROT_EXEC};
  for (uint64_t small = 1; small < 130; ++small) {
    values.push_back(small);
  }
  for (int bit = 0; bit < 64; ++bit) {
    values.push_back(1ULL << bit);
    values.push_back(~(1ULL << bit));
  }
  return values;
}

TEST(NeverTest, BothTablesAgreeOnEveryCallAndBoundaryValue) {
  const std::vector<uint64_t> values = boundary_values();
  for (int call = -1; call <= newest_call(); ++call) {
    for (size_t argument = 0; argument < abi::kCallArguments; ++argument) {
      for (const uint64_t value : values) {
        CallArguments arguments{};
        arguments[argument] = value;
        ASSERT_EQ(abi::is_never_call(call, arguments), is_refused(call, arguments))
            << call_name(call) << " (" << call << "), argument " << argument << " = " << value;
      }
    }
  }
}

TEST(NeverTest, BothTablesAgreeOnProtectionAndFlagsTogether) {
  for (const char* const name : {"mmap", "mprotect", "pkey_mprotect"}) {
    for (const uint64_t prot : {0, 1, 2, 3, 4, 5, 6, 7}) {
      for (const uint64_t flags : boundary_values()) {
        const CallArguments arguments = {0, 4096, prot, flags, 0, 0};
        ASSERT_EQ(abi::is_never_call(call_number(name), arguments),
                  is_refused(call_number(name), arguments))
            << name << " prot " << prot << " flags " << flags;
      }
    }
  }
}

TEST(NeverTest, SomeOfEachKindAreWhatTheyShouldBe) {
  const auto is_never = [](const char* name, CallArguments arguments = {}) {
    return abi::is_never_call(call_number(name), arguments);
  };
  EXPECT_TRUE(is_never("ptrace"));
  EXPECT_TRUE(is_never("memfd_create"));
  EXPECT_TRUE(is_never("clone", {CLONE_NEWUSER}));
  EXPECT_TRUE(is_never("ioctl", {0, TIOCSTI}));
  EXPECT_FALSE(is_never("clone", {CLONE_VM | CLONE_THREAD}));
  EXPECT_FALSE(is_never("socket", {2, 1, 0}));
  EXPECT_FALSE(is_never("openat"));
}

// A test of an argument that the table of arguments does not have, or of an address, could be
// written into no policy.
TEST(NeverTest, TellingArgumentsCanBeTested) {
  size_t telling = 0;
  for (int call = 0; call <= newest_call(); ++call) {
    const std::vector<Argument> arguments = arguments_of(call);
    for (uint8_t i = 0; i < abi::kCallArguments; ++i) {
      if ((abi::telling_arguments(call) >> i & 1) != 0) {
        ++telling;
        ASSERT_LT(i, arguments.size()) << call_name(call);
        EXPECT_NE(arguments[i].width, Argument::Width::kPointer) << call_name(call);
      }
    }
  }
  EXPECT_GT(telling, 15U);
}

TEST(CallFactsTest, PathsAreWhereTheTableOfArgumentsHasAddresses) {
  EXPECT_EQ(abi::path_argument(call_number("open")), 0);
  EXPECT_EQ(abi::path_argument(call_number("openat")), 1);
  EXPECT_EQ(abi::path_argument(call_number("symlinkat")), 2);
  EXPECT_EQ(abi::path_argument(call_number("socket")), -1);
  EXPECT_EQ(abi::path_argument(-1), -1);
  for (int call = 0; call <= newest_call(); ++call) {
    const int index = abi::path_argument(call);
    const std::vector<Argument> arguments = arguments_of(call);
    if (index >= 0 && static_cast<size_t>(index) < arguments.size()) {
      EXPECT_EQ(arguments[static_cast<size_t>(index)].width, Argument::Width::kPointer)
          << call_name(call);
    }
  }
}

}  // namespace
}  // namespace rtsup::manifest
