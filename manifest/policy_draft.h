// PolicyDraft: a policy as it is put together from the file and what it extends, each line with its
// origin, before the names in it are turned into positions.
// Owns:    plain values; nodes are borrowed from the DocumentStore, which must outlive it.
// Threads: one at a time.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "manifest/json_node.h"
#include "manifest/model.h"
#include "manifest/syscall_rules.h"

namespace rtsup::manifest {

// Everything in a policy that has one value, as a number, so that one loop merges it all.
enum class Setting : uint8_t {
  kNetwork,  // 1 = host
  kOnViolation,
  kMemory,
  kCpu,
  kProcesses,
  kOpenFiles,
  kFileSize,
  kCallsPerSecond,
  kEventTimeout,
  kPayload,
  kCount
};
inline constexpr size_t kSettings = static_cast<size_t>(Setting::kCount);
inline constexpr std::array<const char*, kSettings> kSettingNames = {
    "network",    "on_violation", "memory",           "cpu",           "processes",
    "open_files", "file_size",    "calls_per_second", "event_timeout", "payload"};

struct SettingDraft {
  uint64_t value = 0;
  const Node* node = nullptr;  // nullptr = not set
};

struct StateDraft {
  const Node* component = nullptr;
  std::vector<std::string> keys;
  std::vector<uint16_t> opcodes;
};

struct PubsubDraft {
  const Node* component = nullptr;
  std::vector<std::string> publish;
  std::vector<std::string> subscribe;
};

struct SequencerDraft {
  const Node* component = nullptr;
  std::vector<std::string> names;
};

struct PolicyDraft {
  std::array<SettingDraft, kSettings> settings{};
  std::vector<RuleDraft> allowed;
  std::map<int, const Node*> denied;  // call -> the line that denies it
  std::vector<PathGrant> paths;
  std::vector<const Node*> path_nodes;  // path_nodes[i] is of paths[i]
  std::vector<StateDraft> state;
  std::vector<PubsubDraft> pubsub;
  std::vector<SequencerDraft> sequencer;
  std::vector<const Node*> invoke;  // nodes that hold a function's name

  SettingDraft& at(Setting setting) { return settings[static_cast<size_t>(setting)]; }
  const SettingDraft& at(Setting setting) const { return settings[static_cast<size_t>(setting)]; }
};

}  // namespace rtsup::manifest
