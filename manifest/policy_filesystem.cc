// The security section's files: what a function may read and write, where it sees it, and that no
// symbolic link makes it more.
#include <algorithm>
#include <filesystem>

#include "manifest/fields.h"
#include "manifest/policy_sections.h"
#include "manifest/units.h"

namespace rtsup::manifest {
namespace {

constexpr std::string_view kHome = "/app";
constexpr UnitRange kTmpfsRange{4096, 1ULL << 40, "4KiB to 1TiB"};

// Of the host: files of the kernel, devices and sockets, which are no files to grant.
constexpr std::string_view kHostRefused[] = {"/proc", "/sys", "/dev", "/run", "/var/run"};
// In the sandbox: what the base itself puts there.
constexpr std::string_view kTargetRefused[] = {"/proc", "/sys",   "/dev", "/usr",
                                               "/lib",  "/lib64", "/bin", "/sbin"};
// But for data that programs look for there: nothing in it is the base's, and nothing is executed.
constexpr std::string_view kTargetOfData = "/usr/share";

bool is_within(std::string_view path, std::string_view folder) {
  return path == folder || folder == "/" ||
         (path.starts_with(folder) && path[folder.size()] == '/');
}

template <typename List>
bool is_within_any(std::string_view path, const List& folders) {
  return std::any_of(std::begin(folders), std::end(folders),
                     [&](std::string_view folder) { return is_within(path, folder); });
}

std::string normal(const std::string& path) {
  std::string text = std::filesystem::path(path).lexically_normal().string();
  while (text.size() > 1 && text.back() == '/') {
    text.pop_back();
  }
  return text;
}

struct Written {
  const Node* node = nullptr;  // what names the path, for messages
  std::string path;
  std::string as;
  uint64_t size = 0;
};

// "scratch/:64MiB"
bool split_size(const Node& node, Written& written, Mistakes& mistakes) {
  const size_t colon = written.path.rfind(':');
  if (colon == std::string::npos) {
    return true;
  }
  const auto size = parse_bytes(std::string_view(written.path).substr(colon + 1));
  if (!size || *size < kTmpfsRange.min || *size > kTmpfsRange.max) {
    mistakes.add(node, "expected a size after the colon, such as \"scratch/:64MiB\" (" +
                           std::string(kTmpfsRange.text) + ")");
    return false;
  }
  written.size = *size;
  written.path.resize(colon);
  return true;
}

std::optional<Written> read_written(const Node& node, bool writable, Mistakes& mistakes) {
  static const Vocabulary read_vocabulary{{"path", "as", "why"}, {"recursive", "owner"}};
  static const Vocabulary write_vocabulary{{"path", "as", "why", "size"}, {"recursive", "owner"}};
  Written written{.node = &node, .path = {}, .as = {}};
  bool good = true;
  const Node* path = &node;
  if (node.kind == Node::Kind::kObject) {
    good = check_object(node, writable ? write_vocabulary : read_vocabulary, mistakes);
    path = required(node, "path", mistakes);
    if (const Node* const as = node.find("as")) {
      written.as = read_text(*as, mistakes).value_or("");
    }
    if (const Node* const why = node.find("why")) {
      (void)read_text(*why, mistakes);
    }
    if (const Node* const size = writable ? node.find("size") : nullptr) {
      written.size = read_bytes(*size, kTmpfsRange, mistakes).value_or(0);
      good = good && written.size != 0;
    }
  }
  const auto text = path == nullptr ? std::nullopt : read_text(*path, mistakes);
  if (!text || !good) {
    return std::nullopt;
  }
  written.path = *text;
  if (writable && node.kind == Node::Kind::kString && !split_size(node, written, mistakes)) {
    return std::nullopt;
  }
  if (written.path.empty()) {
    mistakes.add(*path, "expected a path");
    return std::nullopt;
  }
  return written;
}

// Where the function sees it: relative paths below its home, absolute ones where they are.
std::optional<std::string> target_of(const Written& written, Mistakes& mistakes) {
  const std::string wanted = normal(written.as.empty() ? written.path : written.as);
  if (!written.as.empty() && !written.as.starts_with('/')) {
    mistakes.add(*written.node, "\"as\" must be an absolute path");
    return std::nullopt;
  }
  if (!wanted.starts_with('/') && (wanted == ".." || wanted.starts_with("../"))) {
    mistakes.add(
        *written.node,
        quote(written.path) + " leaves the folder; say with \"as\" where the function sees it");
    return std::nullopt;
  }
  std::string target = wanted.starts_with('/') ? wanted : normal(std::string(kHome) + '/' + wanted);
  const bool is_refused =
      is_within_any(target, kTargetRefused) && !is_within(target, kTargetOfData);
  if (target == "/" || target == kHome || is_refused) {
    mistakes.add(*written.node, quote(target) + " in the sandbox is the base's own");
    return std::nullopt;
  }
  return target;
}

// The file or folder on the host, links resolved; empty after a mistake.
std::string source_of(const Written& written, const std::string& folder,
                      const PolicySources& sources) {
  const FileSystem& files = sources.files;
  Mistakes& mistakes = sources.mistakes;
  const std::string path = files.absolute(path_from(folder, written.path));
  std::string resolved = files.resolve(path);
  if (resolved.empty()) {
    mistakes.add(*written.node, quote(path) + ": there is no such file or folder");
    return {};
  }
  const std::string home = files.absolute(sources.manifest_folder);
  if (is_within(path, home) && !is_within(resolved, files.resolve(home))) {
    mistakes.add(*written.node,
                 quote(path) +
                     " is a symbolic link, or below one, that leaves the manifest's folder: " +
                     quote(resolved) + "; name that path itself if it is meant");
    return {};
  }
  if (resolved == "/" || is_within_any(resolved, kHostRefused)) {
    mistakes.add(*written.node, quote(resolved) + " can not be given to a function");
    return {};
  }
  if (files.kind(resolved) == FileSystem::Kind::kOther) {
    mistakes.add(*written.node, quote(path) + " is neither a file nor a folder");
    return {};
  }
  if (!files.is_readable(resolved)) {
    mistakes.add(*written.node, quote(path) + " can not be read: permission denied");
    return {};
  }
  return resolved;
}

}  // namespace

void read_filesystem(const Node& node, const std::string& folder, const PolicySources& sources,
                     PolicyDraft& own) {
  static const Vocabulary vocabulary{{"read", "write"}, {"execute", "deny"}};
  if (!check_object(node, vocabulary, sources.mistakes)) {
    return;
  }
  for (const bool writable : {false, true}) {
    const Node* const list = node.find(writable ? "write" : "read");
    if (list == nullptr || !check_array(*list, sources.mistakes)) {
      continue;
    }
    for (const Node& entry : list->items) {
      const auto written = read_written(entry, writable, sources.mistakes);
      const auto target = written ? target_of(*written, sources.mistakes) : std::nullopt;
      if (!target) {
        continue;
      }
      // A new tmpfs has nothing on the host behind it.
      const std::string source = written->size != 0 ? "" : source_of(*written, folder, sources);
      if (written->size != 0 || !source.empty()) {
        own.paths.push_back({.path = source,
                             .target = *target,
                             .writable = writable,
                             .bytes_max = written->size,
                             .origin = origin_of(entry)});
        own.path_nodes.push_back(&entry);
      }
    }
  }
}

}  // namespace rtsup::manifest
