#include "manifest/never.h"

#include <linux/prctl.h>
#include <linux/sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/shm.h>

#include <algorithm>
#include <initializer_list>
#include <string_view>

#include "manifest/syscalls.h"

namespace rtsup::manifest {
namespace {

struct NeverCall {
  std::string_view name;
  std::string_view why;
};

constexpr NeverCall kNeverCalls[] = {
#define RTSUP_NEVER_CALL(call, why) {#call, why},
#include "abi/never_calls.inc"
#undef RTSUP_NEVER_CALL
};

const abi::ArgumentTest* test_of(const abi::FilterRule& rule, uint8_t index) {
  for (const abi::ArgumentTest& test : rule.tests) {
    if (test.index == index) {
      return &test;
    }
  }
  return nullptr;
}

// Whether the rule holds only where all of these bits of the argument are 0.
bool are_zero(const abi::FilterRule& rule, uint8_t index, uint64_t bits) {
  const abi::ArgumentTest* const test = test_of(rule, index);
  return test != nullptr && (test->mask & bits) == bits && (test->value & bits) == 0;
}

// The one value that an int argument has where the rule holds; -1 when it may have several.
int64_t only_value(const abi::FilterRule& rule, uint8_t index) {
  constexpr uint64_t kInt = 0xFFFFFFFF;
  const abi::ArgumentTest* const test = test_of(rule, index);
  return test != nullptr && (test->mask & kInt) == kInt ? static_cast<int64_t>(test->value & kInt)
                                                        : -1;
}

bool is_one_of(int64_t value, std::initializer_list<int64_t> values) {
  return std::find(values.begin(), values.end(), value) != values.end();
}

std::string memory_reason(const abi::FilterRule& rule, std::string_view name) {
  constexpr uint8_t kProt = 2;
  constexpr uint8_t kFlags = 3;
  if (are_zero(rule, kProt, PROT_EXEC)) {
    return {};
  }
  if (name != "mmap") {
    return "memory can not be made executable; test that \"prot\" is a \"subset of\" PROT_READ and "
           "PROT_WRITE (a policy for engines that generate code is not supported yet)";
  }
  if (!are_zero(rule, kProt, PROT_WRITE)) {
    return "memory can not be writable and executable at once; test \"prot\"";
  }
  if (!are_zero(rule, kFlags, MAP_ANONYMOUS | MAP_SHARED)) {
    return "only private mappings of files can be executable; test \"flags\"";
  }
  return {};
}

std::string argument_reason(const abi::FilterRule& rule, std::string_view name) {
  if (name == "mmap" || name == "mprotect" || name == "pkey_mprotect") {
    return memory_reason(rule, name);
  }
  if (name == "clone") {
    constexpr uint64_t kNamespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                                     CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_PTRACE |
                                     CLONE_PARENT;
    return are_zero(rule, 0, kNamespaces)
               ? ""
               : "it can make namespaces; test \"flags\" (\"@threads\" allows what threads need)";
  }
  if (name == "madvise") {
    const int64_t advice = only_value(rule, 2);
    return advice >= 0 && !is_one_of(advice, {MADV_REMOVE, MADV_FREE, MADV_HWPOISON, 101})
               ? ""
               : "MADV_REMOVE and MADV_FREE punch holes into shared memory that the base reads; "
                 "test \"advice\" with \"equals\" or \"in\"";
  }
  if (name == "ioctl") {
    const int64_t command = only_value(rule, 1);
    return command >= 0 && !is_one_of(command, {TIOCSTI, TIOCLINUX})
               ? ""
               : "TIOCSTI and TIOCLINUX type into terminals; test \"cmd\" with \"equals\" or "
                 "\"in\"";
  }
  if (name == "prctl") {
    return is_one_of(only_value(rule, 0), {PR_SET_NAME, PR_GET_NAME, PR_SET_VMA, PR_GET_DUMPABLE})
               ? ""
               : "only names can be set by it; test that \"option\" is one of PR_SET_NAME, "
                 "PR_GET_NAME, PR_SET_VMA, PR_GET_DUMPABLE";
  }
  if (name == "shmat") {
    return are_zero(rule, 2, SHM_EXEC) ? "" : "shared memory can not be executable; test \"flags\"";
  }
  return {};
}

}  // namespace

std::string never_reason(const abi::FilterRule& rule, FilterOf whose) {
  if (rule.errno_value != 0) {
    return {};
  }
  const std::string_view name = call_name(rule.call);
  if (name == "memfd_create" && whose == FilterOf::kFunction) {
    // The linker needs executable private mappings of files, and no kernel keeps a memfd from it.
    return "what a function writes there it can execute, and nobody has hashed it; files are "
           "granted by \"filesystem\", memory is mmap's";
  }
  for (const NeverCall& never : kNeverCalls) {
    if (never.name == name) {
      return std::string(never.why);
    }
  }
  return argument_reason(rule, name);
}

}  // namespace rtsup::manifest
