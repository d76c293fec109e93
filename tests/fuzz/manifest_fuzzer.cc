// Manifest: a whole manifest, with policies written into it or shipped.
#include "tests/fuzz/load_check.h"
#include "tests/fuzz/memory_files.h"

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer finds it by this name
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static auto* files = new rtsup::fuzz::MemoryFiles();
  files->put("/w/f.so", "ELF");
  files->put("/w/m.json", std::string(reinterpret_cast<const char*>(data), size));
  rtsup::fuzz::check_outcome(rtsup::manifest::load_manifest(
      "/w/m.json", *files, {.policy_folder = rtsup::fuzz::kPolicyFolder, .digest = nullptr}));
  return 0;
}
