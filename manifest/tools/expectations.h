// Expectations: a file that says what a policy must answer, kept beside the policy and run in CI.
//   { "policy": "cart.json",
//     "expect": [ { "call": "socket(AF_INET, SOCK_STREAM)", "verdict": "denied" },
//                 { "api": "state.get store cart/7", "verdict": "allowed", "why": "its carts" } ] }
// Owns:    plain values.
// Errors:  nullopt -> the book's mistakes() say what is wrong with the file or the policy.
// Threads: one at a time.
// Source:  docs/formats/policy-tools.md.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "manifest/tools/policy_book.h"
#include "manifest/tools/question.h"

namespace rtsup::manifest {

struct Expectation {
  std::string origin;    // "cart.test.json:4"
  std::string expected;  // "allowed", "denied", "ENOSYS"
  std::string why;
  Answer answer{};
  bool holds = false;
};

// Reads the file at `path`, opens its policy, and asks everything.
std::optional<std::vector<Expectation>> run_expectations(PolicyBook& book, const std::string& path);

// "allowed", "denied", "unclear", or the errno that a call is answered with.
std::string found_text(const Answer& answer);

}  // namespace rtsup::manifest
