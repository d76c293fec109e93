// Questions to a policy: may a function make this system call, this call of the base's services,
// use so much of a resource? Each answer names the rule and its line, or the line that is missing.
// Owns:    answers are plain values; the policy is borrowed for the call.
// Errors:  a question that can not be understood -> an answer with a `mistake`.
// Threads: any.
#pragma once

#include <string>
#include <string_view>

#include "manifest/tools/call_text.h"
#include "manifest/tools/policy_book.h"

namespace rtsup::manifest {

enum class Verdict : uint8_t {
  kAllowed,
  kAnswered,  // the call is not executed: the function gets an errno
  kDenied,
  kUnclear,  // it depends on arguments that the question does not give
};
// "allowed", "denied", "unclear"; kAnswered is "answered".
std::string_view verdict_name(Verdict verdict) noexcept;

struct Answer {
  std::string question{};
  Verdict verdict = Verdict::kDenied;
  std::string error{};    // kAnswered: "ENOSYS"
  std::string rule{};     // what decides: "socket(domain = AF_INET)"; empty when nothing does
  std::string origin{};   // its line: "cart.json:7 @time"
  std::string why{};      // what the line says about itself
  std::string reason{};   // why not, where the verdict is not kAllowed
  std::string section{};  // where the missing line belongs: "security.syscalls.allow"
  std::string line{};     // the missing line; empty when there is none to add
  std::string mistake{};  // the question is not understood; nothing else is set then
};

// "socket(AF_INET, SOCK_STREAM)"; arguments that are left out count as unknown.
Answer ask_call(const FlatPolicy& policy, const Groups& groups, const std::string& question);
// The same for what is parsed already.
Answer ask_call(const FlatPolicy& policy, const Groups& groups, const CallText& call,
                const std::string& question);
// "state.get store cart/7": an operation, a component, keys or a topic; "invoke.call pricing".
Answer ask_api(const FlatPolicy& policy, const std::string& question);
// "memory 80MiB": whether the policy gives that much.
Answer ask_resource(const FlatPolicy& policy, const std::string& question);

// In words, over some lines, the question first.
std::string to_text(const Answer& answer);

}  // namespace rtsup::manifest
