#include "manifest/tools/score.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "manifest/syscalls.h"
#include "manifest/tools/lint.h"
#include "manifest/tools/rule_text.h"

namespace rtsup::manifest {
namespace {

// What one part counts, of the sum of all, and how bad it is, from 0 to 1.
struct Part {
  const char* boundary;
  const char* name;
  double weight;
  double badness;
  std::string reason;
};

std::set<int> calls_of(const std::vector<RuleDraft>& rules) {
  std::set<int> calls;
  for (const RuleDraft& rule : rules) {
    if (rule.rule.errno_value == 0) {
      calls.insert(rule.rule.call);
    }
  }
  return calls;
}

std::string counted(size_t count, const std::string& noun) {
  return count == 0 ? "no " + noun + 's'
                    : std::to_string(count) + ' ' + noun + (count == 1 ? "" : "s");
}

double share(size_t count, size_t whole) {
  return std::min(1.0, static_cast<double>(count) / static_cast<double>(whole));
}

Part calls_part(const FlatPolicy& policy, const Groups& groups) {
  const std::set<int> allowed = calls_of(policy.rules);
  const std::set<int> runtime =
      groups.contains(kRuntimeGroup) ? calls_of(groups.rules(kRuntimeGroup)) : std::set<int>{};
  const size_t more = static_cast<size_t>(std::count_if(
      allowed.begin(), allowed.end(), [&runtime](int call) { return !runtime.contains(call); }));
  // A policy that asks for all groups allows some hundred calls more than the runtime needs.
  constexpr size_t kMany = 100;
  return {"security", "system calls", 20, share(more, kMany),
          std::to_string(allowed.size()) + " of " + std::to_string(call_names().size()) + ", " +
              std::to_string(more) + " of them beyond the runtime's own"};
}

Part dangers_part(const FlatPolicy& policy) {
  std::set<std::string> names;
  for (const RuleDraft& rule : policy.draft.allowed) {
    if (rule.named && !danger_of(rule.rule).empty()) {
      names.emplace(call_name(rule.rule.call));
    }
  }
  std::string list;
  for (const std::string& name : names) {
    list += (list.empty() ? ": " : ", ") + name;
  }
  constexpr size_t kMany = 4;
  return {"security", "dangerous calls", 20, share(names.size(), kMany),
          counted(names.size(), "dangerous call") + list};
}

Part network_part(const FlatPolicy& policy) {
  const int socket = call_number("socket");
  const bool sockets = calls_of(policy.rules).contains(socket);
  const bool host = value_of(policy.draft, Setting::kNetwork) != 0;
  return {"security", "network", 20,
          host && sockets ? 1.0
          : host          ? 0.8
          : sockets       ? 0.2
                          : 0.0,
          host      ? "the host's own (" + origin_of(policy.draft.at(Setting::kNetwork)) + ")"
          : sockets ? "sockets, in a network of its own that leads nowhere"
                    : "no sockets, no network"};
}

Part files_part(const FlatPolicy& policy) {
  size_t written = 0;
  size_t own = 0;
  size_t dangerous = 0;
  for (const PathGrant& grant : policy.draft.paths) {
    own += grant.path.empty() ? 1 : 0;
    written += grant.writable && !grant.path.empty() ? 1 : 0;
    dangerous += danger_of(grant).empty() ? 0 : 1;
  }
  const size_t read = policy.draft.paths.size() - written - own;
  return {"security", "files", 15,
          std::min(1.0, 0.4 * static_cast<double>(dangerous) + 0.4 * static_cast<double>(written) +
                            0.05 * static_cast<double>(read + own)),
          std::to_string(read) + " to read, " + std::to_string(written) +
              " of the host to write, " + std::to_string(own) + " in memory"};
}

// How much of a store or bus the patterns open: everything, a prefix, or single names.
double openness(const std::vector<std::string>& patterns) {
  double worst = 0;
  for (const std::string& pattern : patterns) {
    worst = std::max(worst, pattern == "*" ? 1.0 : pattern.ends_with('*') ? 0.3 : 0.1);
  }
  return worst;
}

Part stores_part(const FlatPolicy& policy) {
  double worst = 0;
  for (const StateDraft& state : policy.draft.state) {
    worst = std::max(worst, openness(state.keys));
  }
  for (const SequencerDraft& sequencer : policy.draft.sequencer) {
    worst = std::max(worst, 0.5 * openness(sequencer.names));
  }
  const size_t grants = policy.draft.state.size() + policy.draft.sequencer.size();
  return {"service", "state", 8, worst,
          counted(grants, "grant") + (worst >= 1 ? ", one of every key (\"*\")" : "")};
}

Part topics_part(const FlatPolicy& policy) {
  double worst = 0;
  for (const PubsubDraft& pubsub : policy.draft.pubsub) {
    worst = std::max({worst, openness(pubsub.publish), openness(pubsub.subscribe)});
  }
  return {"service", "topics", 5, worst,
          counted(policy.draft.pubsub.size(), "grant") +
              (worst >= 1 ? ", one of every topic (\"*\")" : "")};
}

Part calls_to_part(const FlatPolicy& policy) {
  constexpr size_t kMany = 8;
  return {"service", "functions", 4, share(policy.draft.invoke.size(), kMany),
          counted(policy.draft.invoke.size(), "function") + " to call"};
}

// From 0 at `small` to 1 at `large`, by the logarithm.
double growth(double value, double small, double large) {
  return value <= small ? 0.0 : std::min(1.0, std::log(value / small) / std::log(large / small));
}

void add_resources(const FlatPolicy& policy, std::vector<Part>& parts) {
  const auto add = [&](Setting setting, double weight, double small, double large) {
    const uint64_t value = value_of(policy.draft, setting);
    const bool unlimited = setting == Setting::kCallsPerSecond && value == 0;
    parts.push_back(
        {"resource", kSettingNames[static_cast<size_t>(setting)], weight,
         unlimited ? 1.0 : growth(static_cast<double>(value), small, large),
         setting_text(setting, value) + " (" + origin_of(policy.draft.at(setting)) + ")"});
  };
  constexpr double kMebibyte = 1 << 20;
  add(Setting::kMemory, 2, 64 * kMebibyte, 4096 * kMebibyte);
  add(Setting::kCpu, 2, 500, 8000);
  add(Setting::kProcesses, 1, 16, 1024);
  add(Setting::kOpenFiles, 0.5, 64, 4096);
  add(Setting::kCallsPerSecond, 2, 20000, 2e6);
  add(Setting::kEventTimeout, 0.5, 5e9, 3.6e12);
}

}  // namespace

Score score_of(const FlatPolicy& policy, const Groups& groups) {
  std::vector<Part> parts = {calls_part(policy, groups), dangers_part(policy), network_part(policy),
                             files_part(policy),         stores_part(policy),  topics_part(policy),
                             calls_to_part(policy)};
  add_resources(policy, parts);
  double weights = 0;
  double sum = 0;
  for (const Part& part : parts) {
    weights += part.weight;
    sum += part.weight * part.badness;
  }
  Score score;
  score.tenths = static_cast<uint32_t>(std::lround(100 * sum / weights));
  for (Part& part : parts) {
    score.rows.push_back(
        {.boundary = part.boundary,
         .name = part.name,
         .tenths = static_cast<uint32_t>(std::lround(100 * part.weight * part.badness / weights)),
         .reason = std::move(part.reason)});
  }
  return score;
}

std::string_view score_word(uint32_t tenths) noexcept {
  return tenths < 10 ? "tight" : tenths < 30 ? "ok" : tenths < 60 ? "medium" : "exposed";
}

std::string tenths_text(uint32_t tenths) {
  return std::to_string(tenths / 10) + '.' + std::to_string(tenths % 10);
}

}  // namespace rtsup::manifest
