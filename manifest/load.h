// load_manifest: what the operator wrote, checked, with everything that is wrong in all its files
// at once.
// Owns:    plain values; `files` and `settings` are borrowed for the call.
// Errors:  Mistakes, each with its place; nothing is returned half. At least one mistake exactly
//          when there is no value.
// Threads: any.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "manifest/file_system.h"
#include "manifest/model.h"

namespace rtsup::manifest {

struct LoadSettings {
  // The shipped policies: "rtsup:NAME" is NAME.json in it, and groups.json holds the groups of
  // system calls.
  std::string policy_folder;
  // SHA-256 as 64 hex digits (sys/digest.h; this module calls no cryptography). Without it
  // Policy::digest stays empty.
  std::string (*digest)(std::string_view bytes) = nullptr;
};

struct LoadOutcome {
  std::optional<Manifest> manifest;
  std::vector<Mistake> mistakes;
};
LoadOutcome load_manifest(const std::string& path, const FileSystem& files,
                          const LoadSettings& settings);

// The filter of one of the base's own daemons: policy_folder/NAME.json ("daemon-broker",
// "daemon-monitor"). Nothing is added to what is written there. Compile it with
// DefaultAction::kKillProcess.
struct FilterOutcome {
  std::optional<abi::FilterSpec> filter;
  std::vector<Mistake> mistakes;
};
FilterOutcome load_daemon_filter(std::string_view name, const FileSystem& files,
                                 const LoadSettings& settings);

// The published JSON Schemas: "manifest" or "policy"; empty for another name.
std::string_view schema_text(std::string_view name) noexcept;

}  // namespace rtsup::manifest
