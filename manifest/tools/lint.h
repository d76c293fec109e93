// Lint: what is no mistake of a policy, but must not pass a review: dangerous lines that do not say
// why they are there, and lines that have no effect.
// Threads: one at a time per Mistakes.
#pragma once

#include <string>
#include <vector>

#include "manifest/mistakes.h"
#include "manifest/tools/policy_book.h"

namespace rtsup::manifest {

// What makes the rule dangerous; empty when nothing does. Rules that answer with an errno never
// are.
std::string danger_of(const abi::FilterRule& rule);
// The same for a file or folder of the host.
std::string danger_of(const PathGrant& grant);

// Whether it says something, rather than standing in for a reason: "..." is none.
bool is_reason(const std::string& why);

// Adds a mistake for every dangerous line without a reason.
void require_reasons(const FlatPolicy& policy, Mistakes& mistakes);

// Lines that could be left out, in words, each with its place: "cart.json:7: ...".
std::vector<std::string> idle_lines(const FlatPolicy& policy);

}  // namespace rtsup::manifest
