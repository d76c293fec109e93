#include "manifest/tools/lint.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>

#include <algorithm>
#include <iterator>
#include <string_view>

#include "manifest/syscalls.h"
#include "manifest/tools/rule_text.h"

namespace rtsup::manifest {
namespace {

struct Danger {
  std::string_view call;
  std::string_view why;
};

constexpr std::string_view kServes = "the function takes connections itself, past the base";
constexpr std::string_view kSignals = "it signals processes";
constexpr std::string_view kForks = "it makes processes, rather than threads";
constexpr std::string_view kShared = "what it makes outlives the function and is not counted";
constexpr std::string_view kLocked = "memory that is locked can not be taken back";
constexpr std::string_view kLimits = "it changes limits";
constexpr std::string_view kPriority = "it changes who runs first on the machine";
constexpr std::string_view kOwners = "it changes whose a file is, or what stands beside it";
constexpr std::string_view kDisk = "it makes the whole machine wait for the disk";
constexpr std::string_view kPipes = "it moves pages between files and pipes in the kernel";

constexpr Danger kDangers[] = {
    {"bind", kServes},
    {"listen", kServes},
    {"accept", kServes},
    {"accept4", kServes},
    {"kill", kSignals},
    {"tkill", kSignals},
    {"rt_sigqueueinfo", kSignals},
    {"rt_tgsigqueueinfo", kSignals},
    {"pidfd_open", kSignals},
    {"pidfd_send_signal", kSignals},
    {"fork", kForks},
    {"vfork", kForks},
    {"shmget", kShared},
    {"shmat", kShared},
    {"semget", kShared},
    {"msgget", kShared},
    {"mq_open", kShared},
    {"openat2", "its flags are in memory, where no filter sees them"},
    {"creat", "it opens files for writing"},
    {"mlock", kLocked},
    {"mlock2", kLocked},
    {"mlockall", kLocked},
    {"setrlimit", kLimits},
    {"prlimit64", kLimits},
    {"setpriority", kPriority},
    {"sched_setscheduler", kPriority},
    {"sched_setparam", kPriority},
    {"sched_setattr", kPriority},
    {"ioprio_set", kPriority},
    {"chown", kOwners},
    {"fchown", kOwners},
    {"lchown", kOwners},
    {"fchownat", kOwners},
    {"setxattr", kOwners},
    {"lsetxattr", kOwners},
    {"fsetxattr", kOwners},
    {"sync", kDisk},
    {"syncfs", kDisk},
    {"splice", kPipes},
    {"tee", kPipes},
    {"ioctl", "what it does is up to the device"},
    {"pkey_mprotect", "it changes what memory may be used for"},
    {"set_mempolicy", kPriority},
    {"mbind", kPriority},
};

const abi::ArgumentTest* test_of(const abi::FilterRule& rule, uint8_t index) {
  const auto found =
      std::find_if(rule.tests.begin(), rule.tests.end(),
                   [index](const abi::ArgumentTest& test) { return test.index == index; });
  return found == rule.tests.end() ? nullptr : &*found;
}

// Whether all of these bits must be as given.
bool demands(const abi::FilterRule& rule, uint8_t index, uint64_t mask, uint64_t value) {
  const abi::ArgumentTest* const test = test_of(rule, index);
  return test != nullptr && (test->mask & mask) == mask && (test->value & mask) == value;
}

std::string argument_danger(const abi::FilterRule& rule, std::string_view name) {
  if (name == "socket" || name == "socketpair") {
    const abi::ArgumentTest* const domain = test_of(rule, 0);
    const bool whole = domain != nullptr && (domain->mask & 0xFFFFFFFF) == 0xFFFFFFFF;
    const uint64_t family = whole ? domain->value : ~0ULL;
    const bool usual = family == AF_INET || family == AF_INET6 || family == AF_UNIX;
    const bool raw = !demands(rule, 1, 0xF, SOCK_STREAM) && !demands(rule, 1, 0xF, SOCK_DGRAM);
    return !usual ? "it makes sockets of families other than the internet's; test \"domain\""
           : raw && family != AF_UNIX ? "it makes raw sockets; test \"type\""
                                      : "";
  }
  if (name == "clone") {
    return demands(rule, 0, CLONE_THREAD | CLONE_VM, CLONE_THREAD | CLONE_VM)
               ? ""
               : std::string(kForks) + "; \"@threads\" allows what threads need";
  }
  if (name == "open" || name == "openat") {
    const uint8_t flags = name == "open" ? 1 : 2;
    return demands(rule, flags, O_ACCMODE, O_RDONLY)
               ? ""
               : "it opens files for writing; test \"flags\", or use \"@file-write\"";
  }
  return {};
}

constexpr std::string_view kSecretFolders[] = {"/.ssh", "/.gnupg", "/.aws", "/.kube", "/.docker"};

bool is_entry_of(std::string_view path, std::string_view folder) {
  return path == folder || (path.starts_with(folder) && path[folder.size()] == '/');
}

// A shipped policy is reviewed with the base.
bool is_shipped(const Node& node) { return node.document->label.starts_with("rtsup:"); }

}  // namespace

std::string danger_of(const abi::FilterRule& rule) {
  if (rule.errno_value != 0) {
    return {};
  }
  const std::string_view name = call_name(rule.call);
  for (const Danger& danger : kDangers) {
    if (danger.call == name) {
      return std::string(danger.why);
    }
  }
  return argument_danger(rule, name);
}

std::string danger_of(const PathGrant& grant) {
  if (grant.path.empty()) {
    return {};
  }
  const bool whole = grant.path.find('/', 1) == std::string::npos;
  const bool secret = std::any_of(
      std::begin(kSecretFolders), std::end(kSecretFolders),
      [&](std::string_view folder) { return grant.path.find(folder) != std::string::npos; });
  if (whole || secret || is_entry_of(grant.path, "/etc") || is_entry_of(grant.path, "/boot")) {
    return "it shows the function what is the machine's own";
  }
  return grant.writable ? "it lets the function change files of the host" : "";
}

bool is_reason(const std::string& why) {
  constexpr ptrdiff_t kLettersMin = 3;
  return std::count_if(why.begin(), why.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                  static_cast<unsigned char>(c) >= 0x80;
         }) >= kLettersMin;
}

void require_reasons(const FlatPolicy& policy, Mistakes& mistakes) {
  constexpr std::string_view kAsk = ": a \"why\" must say what it is for";
  for (const RuleDraft& rule : policy.draft.allowed) {
    if (!rule.named || is_shipped(*rule.node) || is_reason(rule.note.why)) {
      continue;
    }
    if (const std::string danger = danger_of(rule.rule); !danger.empty()) {
      mistakes.add(*rule.node, "dangerous: " + quote(call_name(rule.rule.call)) + ", " + danger +
                                   std::string(kAsk));
    }
  }
  for (size_t i = 0; i < policy.draft.paths.size(); ++i) {
    const Node& node = *policy.draft.path_nodes[i];
    const Node* const why = node.find("why");
    if (is_shipped(node) || (why != nullptr && is_reason(why->text))) {
      continue;
    }
    if (const std::string danger = danger_of(policy.draft.paths[i]); !danger.empty()) {
      mistakes.add(node, "dangerous: " + quote(policy.draft.paths[i].path) + ", " + danger +
                             std::string(kAsk));
    }
  }
}

std::vector<std::string> idle_lines(const FlatPolicy& policy) {
  std::vector<std::string> lines;
  const auto kept = [&](const Node* node) {
    return std::any_of(policy.rules.begin(), policy.rules.end(),
                       [node](const RuleDraft& rule) { return rule.node == node; });
  };
  for (const RuleDraft& rule : policy.draft.allowed) {
    if (is_shipped(*rule.node) || kept(rule.node)) {
      continue;
    }
    std::string line = rule.node->document->path + ':' + std::to_string(rule.node->at.line) +
                       ": has no effect: what it allows is allowed already";
    if (std::find(lines.begin(), lines.end(), line) == lines.end()) {
      lines.push_back(std::move(line));
    }
  }
  return lines;
}

}  // namespace rtsup::manifest
