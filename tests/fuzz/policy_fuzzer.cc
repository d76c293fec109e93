// Policy: policy files of a manifest that is right. Input: /w/a.json, and after a zero byte
//         /w/b.json, which the first may extend.
#include "tests/fuzz/load_check.h"
#include "tests/fuzz/memory_files.h"

namespace {

constexpr const char* kManifest = R"({"rtsup": 1, "name": "app",
  "components": {"store": {"type": "state.memory"}, "table": {"type": "state.sqlite"}},
  "functions": {"f": {"kind": "native", "file": "f.so", "policy": "a.json"},
                "g": {"kind": "native", "file": "f.so", "policy": {}}}})";

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer finds it by this name
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static auto* files = new rtsup::fuzz::MemoryFiles();
  const std::string text(reinterpret_cast<const char*>(data), size);
  const size_t end = text.find('\0');
  files->put("/w/f.so", "ELF");
  files->put("/w/m.json", kManifest);
  files->put("/w/a.json", text.substr(0, end));
  files->put("/w/b.json", end == std::string::npos ? "{}" : text.substr(end + 1));
  rtsup::fuzz::check_outcome(rtsup::manifest::load_manifest(
      "/w/m.json", *files, {.policy_folder = rtsup::fuzz::kPolicyFolder, .digest = nullptr}));
  return 0;
}
