#include "manifest/load.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "manifest/disk_file_system.h"
#include "manifest/mistakes.h"
#include "manifest/syscalls.h"

namespace rtsup::manifest {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const LoadSettings kSettings{.policy_folder = RTSUP_SOURCE_DIR "/policies", .digest = nullptr};

// Files that are named in the test; the shipped policies are the real ones.
class FakeFiles final : public FileSystem {
 public:
  std::map<std::string, std::string> files;
  std::map<std::string, std::string> links;

  Result<std::string> read(const std::string& path, size_t bytes_max) const override {
    const auto found = files.find(path);
    return found == files.end() ? disk_.read(path, bytes_max) : Result<std::string>(found->second);
  }
  Kind kind(const std::string& path) const override {
    if (files.contains(path)) {
      return Kind::kFile;
    }
    const bool folder = std::any_of(files.begin(), files.end(), [&](const auto& file) {
      return file.first.starts_with(path + '/');
    });
    return folder ? Kind::kFolder : Kind::kAbsent;
  }
  bool is_readable(const std::string& path) const override { return kind(path) != Kind::kAbsent; }
  std::string resolve(const std::string& path) const override {
    const auto link = links.find(path);
    const std::string real = link == links.end() ? path : link->second;
    return kind(real) == Kind::kAbsent && real != "/w" ? "" : real;
  }
  std::string absolute(const std::string& path) const override { return disk_.absolute(path); }
  std::vector<std::string> list(const std::string& folder) const override {
    return disk_.list(folder);
  }

 private:
  DiskFileSystem disk_;
};

class LoadTest : public ::testing::Test {
 protected:
  LoadTest() { files_.files["/w/f.so"] = "ELF"; }

  LoadOutcome load(const std::string& manifest) {
    files_.files["/w/m.json"] = manifest;
    return load_manifest("/w/m.json", files_, kSettings);
  }
  // A manifest of one function with the given inline policy.
  LoadOutcome load_policy(const std::string& policy, const std::string& more = "") {
    return load(R"({"rtsup": 1, "name": "app", "components": {"store": {"type": "state.memory"}},
"functions": {"f": {"kind": "native", "file": "f.so", "policy": )" +
                policy + "}}" + more + "}");
  }
  std::vector<std::string> messages(const LoadOutcome& outcome) {
    std::vector<std::string> list;
    for (const Mistake& mistake : outcome.mistakes) {
      list.push_back(mistake.message);
    }
    return list;
  }
  static bool allows(const SecurityPolicy& security, std::string_view call) {
    return std::any_of(security.filter.rules.begin(), security.filter.rules.end(),
                       [&](const abi::FilterRule& rule) {
                         return rule.call == call_number(call) && rule.tests.empty() &&
                                rule.errno_value == 0;
                       });
  }

  FakeFiles files_;
};

TEST_F(LoadTest, ReadsAWholeManifest) {
  files_.files["/w/policies/cart.json"] = R"({
    "extends": ["rtsup:native", "rtsup:small"],
    "services": {"state": [{"component": "store", "keys": ["cart/*"], "allow": ["get", "set"]}],
                 "invoke": ["pricing", {"function": "cart", "why": "itself"}]},
    "resources": {"memory": "32MiB", "cpu": 0.25, "event_timeout": "500ms"}})";
  const LoadOutcome outcome = load(R"({ "rtsup": 1, "name": "shop", "accept": ["uid-range"],
    "components": {"other": {"type": "state.memory"}, "store": {"type": "state.sqlite", "path": "shop.db"}},
    "functions": {
      "cart": {"kind": "native", "file": "f.so", "policy": "policies/cart.json", "restart": "on-failure",
               "instances": {"min": 2, "max": 2}, "concurrency": 4, "env": {"A": "b"}, "config": {}},
      "pricing": {"kind": "native", "file": "/w/f.so"}}})");
  ASSERT_THAT(messages(outcome), IsEmpty());
  const Manifest& manifest = *outcome.manifest;
  EXPECT_EQ(manifest.path, "/w/m.json");
  EXPECT_EQ(manifest.tenant, "shop");
  EXPECT_THAT(manifest.accept, ElementsAre("uid-range"));
  EXPECT_EQ(manifest.components[1].type, ComponentType::kStateSqlite);
  EXPECT_EQ(manifest.components[1].file, "shop.db");
  const Function& cart = manifest.functions[0];
  EXPECT_EQ(cart.file, "/w/f.so");
  EXPECT_EQ(cart.instances, 2U);
  EXPECT_EQ(cart.concurrency, 4U);
  EXPECT_EQ(cart.restart, Restart::kOnFailure);
  EXPECT_EQ(cart.environment.at("A"), "b");
  EXPECT_EQ(cart.policy.name, "policies/cart.json");
  ASSERT_THAT(cart.policy.services.state, SizeIs(1));
  EXPECT_EQ(cart.policy.services.state[0].component, 1U);
  EXPECT_EQ(cart.policy.services.state[0].origin, "cart.json:3");
  EXPECT_THAT(cart.policy.services.state[0].opcodes, ElementsAre(0x0101, 0x0102));
  EXPECT_THAT(cart.policy.services.invoke, ElementsAre(1U, 0U));
  EXPECT_EQ(cart.policy.resources.memory_bytes, 32U << 20);
  EXPECT_EQ(cart.policy.resources.cpu_thousandths, 250U);
  EXPECT_EQ(cart.policy.resources.processes, 16U);
  EXPECT_EQ(cart.policy.resources.event_timeout_ns, 500'000'000U);
  EXPECT_TRUE(allows(cart.policy.security, "getuid"));
  EXPECT_FALSE(cart.policy.security.sockets);
}

TEST_F(LoadTest, WithoutPolicyOnlyTheRuntimeIsAllowed) {
  const LoadOutcome outcome =
      load(R"({"rtsup": 1, "name": "a", "functions": {"f": {"kind": "native", "file": "f.so"}}})");
  ASSERT_THAT(messages(outcome), IsEmpty());
  const Policy& policy = outcome.manifest->functions[0].policy;
  EXPECT_TRUE(allows(policy.security, "write"));
  EXPECT_FALSE(allows(policy.security, "getuid"));
  EXPECT_FALSE(allows(policy.security, "mprotect"));
  EXPECT_EQ(policy.security.notes.size(), policy.security.filter.rules.size());
  EXPECT_THAT(policy.services.state, IsEmpty());
}

}  // namespace
}  // namespace rtsup::manifest
