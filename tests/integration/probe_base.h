// ProbeBase: a base with probes in it, for tests of what the command line shows and does.
#pragma once

#include <string>

#include "tests/support/base_fixture.h"

namespace rtsup::test {

// A function "NAME" in manifest.json's "functions": the probe under rtsup:native and rtsup:small.
struct ProbeSpec {
  std::string file = "probe.so";
  std::string services = "{}";
  std::string security = "{}";
  std::string resources = "{}";
  std::string more{};  // further members: R"(, "restart": "never")"
};

inline std::string probe_function(const std::string& name, const ProbeSpec& spec = {}) {
  return "\"" + name + R"(": {"kind": "native", "file": ")" + spec.file +
         R"(", "policy": {"extends": ["rtsup:native", "rtsup:small"], "services": )" +
         spec.services + R"(, "security": )" + spec.security + R"(, "resources": )" +
         spec.resources + "}" + spec.more + "}";
}

inline constexpr const char* kBothStores =
    R"({"fast": {"type": "state.memory"}, "safe": {"type": "state.sqlite"}})";
inline constexpr const char* kAllKeys =
    R"({"state": [{"component": "fast", "keys": ["*"], "allow": ["get", "set", "delete"]},
                  {"component": "safe", "keys": ["*"], "allow": ["get", "set", "delete"]}]})";

class ProbeBase : public BaseFixture {
 protected:
  void SetUp() override {
    BaseFixture::SetUp();
    place("probe.so", "probe.so");
    place("probe-program", "probe-program");
  }
  // One probe called "probe", with both stores.
  [[nodiscard]] std::string one_probe(const std::string& more = "") const {
    return manifest(kBothStores,
                    "{" + probe_function("probe", {.services = kAllKeys, .more = more}) + "}");
  }
};

}  // namespace rtsup::test
