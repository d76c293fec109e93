#include "supervisor/cli/manifest_loader.h"

#include <cstdio>

#include "manifest/disk_file_system.h"
#include "manifest/load.h"
#include "supervisor/logs/escape.h"
#include "supervisor/run/paths.h"
#include "sys/digest.h"

namespace rtsup::cli {
namespace {

std::string hex_digest(std::string_view bytes) { return sys::to_hex(sys::sha256(bytes)); }

}  // namespace

std::optional<manifest::Manifest> load(const std::string& path) {
  const auto paths = supervisor::find_install_paths();
  if (!paths) {
    (void)std::fprintf(stderr, "rtsup: this installation is not whole: %s\n",
                       describe(paths.error()).c_str());
    return std::nullopt;
  }
  const manifest::LoadSettings settings{.policy_folder = paths->policy_folder,
                                        .digest = hex_digest};
  manifest::LoadOutcome outcome =
      manifest::load_manifest(path, manifest::DiskFileSystem(), settings);
  for (const manifest::Mistake& mistake : outcome.mistakes) {
    (void)std::fprintf(stderr, "%s\n", supervisor::escape(manifest::to_line(mistake)).c_str());
  }
  return std::move(outcome.manifest);
}

}  // namespace rtsup::cli
