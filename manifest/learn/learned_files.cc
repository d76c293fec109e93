#include "manifest/learn/learned_files.h"

#include <algorithm>
#include <set>
#include <string_view>

#include "manifest/syscalls.h"
#include "manifest/tools/rule_text.h"

namespace rtsup::manifest {
namespace {

constexpr size_t kAskedMax = 20;

// Shown to every function: what the loader and the host need.
constexpr std::string_view kSystem[] = {
    "/usr/lib", "/usr/lib64",       "/usr/local/lib",     "/lib",  "/lib64", "/rtsup", "/app",
    "/dev",     "/etc/ld.so.cache", "/etc/ld.so.preload", "/proc", "/sys"};

bool is_within(std::string_view path, std::string_view folder) {
  return path == folder || (path.starts_with(folder) && path[folder.size()] == '/');
}

bool is_plain(std::string_view path) {
  return std::all_of(path.begin(), path.end(), [](char c) { return c >= ' ' && c < 0x7f; });
}

// Paths that lead somewhere else than they say: their grants can not be told.
bool is_straight(std::string_view path) {
  return path.starts_with('/') && path.find("/..") == std::string_view::npos &&
         path.find("/.") == std::string_view::npos && path.find("//") == std::string_view::npos;
}

// With AT_EMPTY_PATH, as the loader asks about a file that it has opened.
bool is_about_descriptor(const LearnedCall& call) {
  constexpr uint64_t kEmptyPath = 0x1000;
  const int index = call.call == call_number("newfstatat") ? 3
                    : call.call == call_number("statx")    ? 2
                                                           : -1;
  return call.path.empty() && index >= 0 &&
         (call.arguments[static_cast<size_t>(index)] & kEmptyPath) != 0;
}

std::string line_of(const PathGrant& grant, const Node& node) {
  const std::string why = why_of(node);
  const std::string path = grant.path.empty() ? grant.target : grant.path;
  std::string line = R"({"path": )" + json_text(path);
  if (path != grant.target) {
    line += R"(, "as": )" + json_text(grant.target);
  }
  if (grant.bytes_max != 0) {
    line += R"(, "size": )" + json_text(setting_text(Setting::kMemory, grant.bytes_max));
  }
  return line + (why.empty() ? "" : R"(, "why": )" + json_text(why)) + '}';
}

}  // namespace

FileLines lines_of_files(const Learned& learned, const FlatPolicy& policy) {
  FileLines result;
  bool is_known = !learned.missed_calls();
  std::set<std::string_view> paths;
  for (const LearnedCall& call : learned.calls()) {
    if (is_straight(call.path)) {
      paths.insert(call.path);
    } else if (abi::path_argument(call.call) >= 0 && !is_about_descriptor(call)) {
      is_known = false;
    }
  }
  const auto is_seen = [&paths](const PathGrant& grant) {
    return std::any_of(paths.begin(), paths.end(),
                       [&grant](std::string_view path) { return is_within(path, grant.target); });
  };
  for (size_t i = 0; i < policy.draft.paths.size(); ++i) {
    const PathGrant& grant = policy.draft.paths[i];
    if (!is_known || is_seen(grant)) {
      (grant.writable ? result.write : result.read)
          .push_back(line_of(grant, *policy.draft.path_nodes[i]));
    }
  }
  if (!is_known && !policy.draft.paths.empty()) {
    result.notes.emplace_back(
        "not every path could be told: all files and folders stay as the policy has them");
  }
  for (const std::string_view path : paths) {
    const auto has = [path](std::string_view folder) { return is_within(path, folder); };
    const bool is_granted =
        std::any_of(std::begin(kSystem), std::end(kSystem), has) ||
        std::any_of(policy.draft.paths.begin(), policy.draft.paths.end(),
                    [&has](const PathGrant& grant) { return has(grant.target); });
    if (!is_granted && is_plain(path) && result.asked.size() < kAskedMax) {
      result.asked.push_back(json_text(std::string(path)));
    }
  }
  return result;
}

}  // namespace rtsup::manifest
