// `rtsup validate`, `rtsup schema` and `rtsup doctor`: what can be said without running anything.
#include <nlohmann/json.hpp>

#include "manifest/boundaries.h"
#include "manifest/disk_file_system.h"
#include "manifest/load.h"
#include "supervisor/cli/commands.h"
#include "supervisor/cli/manifest_loader.h"
#include "supervisor/cli/terminal.h"
#include "sys/probe.h"

namespace rtsup::cli {

namespace {

std::string counted(size_t count, const char* what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

}  // namespace

ExitCode validate(const Options& options) {
  const auto loaded = load(options.manifest);
  if (!loaded) {
    return ExitCode::kManifest;
  }
  print(options.manifest + ": " + counted(loaded->functions.size(), "function") + ", " +
        counted(loaded->components.size(), "component") + ", no mistakes\n");
  return ExitCode::kOk;
}

ExitCode schema(const Options& options) {
  print(manifest::schema_text(options.schema));
  return ExitCode::kOk;
}

ExitCode doctor(const Options& options) {
  const std::vector<sys::BoundaryFact> facts = sys::probe_boundaries();
  bool whole = true;
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  std::vector<std::vector<std::string>> table;
  for (const sys::BoundaryFact& fact : facts) {
    whole = whole && (fact.enforced || !fact.required);
    const manifest::Boundary* const boundary = manifest::find_boundary(fact.name);
    const bool acceptable = boundary != nullptr && boundary->acceptable;
    rows.push_back({{"name", fact.name},
                    {"enforced", fact.enforced},
                    {"required", fact.required},
                    {"acceptable", acceptable},
                    {"text", fact.text}});
    table.push_back({fact.name,
                     fact.enforced   ? "yes"
                     : fact.required ? "NO"
                                     : "no (second layer)",
                     fact.text});
  }
  if (options.json) {
    print(nlohmann::ordered_json{{"v", 1}, {"whole", whole}, {"boundaries", rows}}.dump(2) + "\n");
  } else {
    print(format_table(table));
    print(whole
              ? coloured(Colour::kGood, "Every boundary that rtsup needs is enforced here.") + "\n"
              : coloured(
                    Colour::kBad,
                    "Not every boundary is enforced here: mend it, or accept the loss by name.") +
                    "\n");
  }
  return whole ? ExitCode::kOk : ExitCode::kBoundary;
}

}  // namespace rtsup::cli
