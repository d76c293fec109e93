#include "manifest/load.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "manifest/disk_file_system.h"
#include "manifest/mistakes.h"
#include "manifest/syscalls.h"

namespace rtsup::manifest {
namespace {

using ::testing::AllOf;
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
    "components": {"other": {"type": "state.memory"},
                   "store": {"type": "state.sqlite", "path": "shop.db"}},
    "functions": {
      "cart": {"kind": "native", "file": "f.so", "policy": "policies/cart.json",
               "instances": {"min": 2, "max": 2}, "concurrency": 4, "restart": "on-failure",
               "env": {"A": "b"}, "config": {}},
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

TEST_F(LoadTest, ThisFilesValuesWinOverThoseItExtends) {
  const LoadOutcome outcome = load_policy(
      R"({"extends": ["rtsup:tiny", "rtsup:small"], "resources": {"memory": "48MiB", "cpu": 0.3,
"processes": 8, "open_files": 40, "file_size": "2MiB", "calls_per_second": 7}})");
  ASSERT_THAT(messages(outcome), IsEmpty());
  const ResourcePolicy& resources = outcome.manifest->functions[0].policy.resources;
  EXPECT_EQ(resources.memory_bytes, 48U << 20);
  EXPECT_EQ(resources.calls_per_second, 7U);
  EXPECT_EQ(resources.event_timeout_ns, 5'000'000'000U);
}

TEST_F(LoadTest, WhatIsDeniedIsTakenOutOfGroupsAndParents) {
  const LoadOutcome outcome = load_policy(
      R"({"extends": ["rtsup:native"], "security": {"syscalls":
{"allow": ["@file-read"], "deny": ["getuid", "chdir"]}}})");
  ASSERT_THAT(messages(outcome), IsEmpty());
  const SecurityPolicy& security = outcome.manifest->functions[0].policy.security;
  EXPECT_FALSE(allows(security, "getuid"));
  EXPECT_FALSE(allows(security, "chdir"));
  EXPECT_TRUE(allows(security, "geteuid"));
  EXPECT_TRUE(allows(security, "getcwd"));
}

TEST_F(LoadTest, IntArgumentsAreMaskedTo32BitsAndListsBecomeRules) {
  const LoadOutcome outcome = load_policy(R"({"security": {"syscalls": {"allow": [
{"call": "socket", "why": "w", "args": {"domain": {"in": ["AF_INET", "AF_INET6"]},
  "type": {"equals": "SOCK_STREAM", "with any of": ["SOCK_CLOEXEC"]}}}]}}})");
  ASSERT_THAT(messages(outcome), IsEmpty());
  const SecurityPolicy& security = outcome.manifest->functions[0].policy.security;
  EXPECT_TRUE(security.sockets);
  std::vector<abi::FilterRule> rules;
  for (size_t i = 0; i < security.filter.rules.size(); ++i) {
    if (security.filter.rules[i].call == call_number("socket")) {
      rules.push_back(security.filter.rules[i]);
      EXPECT_EQ(security.notes[i].why, "w");
      EXPECT_EQ(security.notes[i].origin, "m.json:3");
    }
  }
  const auto rule = [](uint64_t domain) {
    return abi::FilterRule{.call = call_number("socket"),
                           .tests = {{.index = 0, .mask = 0xFFFFFFFF, .value = domain},
                                     {.index = 1, .mask = 0xFFFFFFFF & ~02000000U, .value = 1}}};
  };
  EXPECT_THAT(rules, ElementsAre(rule(2), rule(10)));
}

TEST_F(LoadTest, AGroupsAnswerGivesWayToWhatAPolicySays) {
  const LoadOutcome outcome = load_policy(R"({"security": {"syscalls": {"allow": [
{"call": "ioctl", "args": {"cmd": {"equals": "TCGETS"}}}]}}})");
  ASSERT_THAT(messages(outcome), IsEmpty());
  size_t found = 0;
  for (const abi::FilterRule& rule : outcome.manifest->functions[0].policy.security.filter.rules) {
    if (rule.call == call_number("ioctl") && rule.tests[0].value == 0x5401) {
      ++found;
      EXPECT_EQ(rule.errno_value, 0);
    }
  }
  EXPECT_EQ(found, 1U);
}

TEST_F(LoadTest, FilesAreSeenWhereThePolicySays) {
  files_.files["/w/models/a"] = "";
  files_.files["/data/b"] = "";
  const LoadOutcome outcome = load_policy(
      R"({"security": {"filesystem": {"read": ["models/", {"path": "/data", "as": "/d"}, "/data/b"],
"write": ["scratch/:64MiB", "/data"]}}})");
  ASSERT_THAT(messages(outcome), IsEmpty());
  std::vector<std::string> lines;
  for (const PathGrant& grant : outcome.manifest->functions[0].policy.security.paths) {
    lines.push_back(grant.path + " -> " + grant.target + (grant.writable ? " w " : " r ") +
                    std::to_string(grant.bytes_max));
  }
  EXPECT_THAT(lines,
              ElementsAre("/w/models -> /app/models r 0", " -> /app/scratch w 67108864",
                          "/data -> /d r 0", "/data -> /data w 0", "/data/b -> /data/b r 0"));
}

TEST_F(LoadTest, OfTheSystemsFoldersOnlyDataCanBeGranted) {
  files_.files["/usr/share/zoneinfo/UTC"] = "";
  const LoadOutcome outcome =
      load_policy(R"({"security": {"filesystem": {"read": ["/usr/share/zoneinfo"]}}})");
  ASSERT_THAT(messages(outcome), IsEmpty());
  EXPECT_EQ(outcome.manifest->functions[0].policy.security.paths.at(0).target,
            "/usr/share/zoneinfo");
  for (const std::string target : {"/usr", "/usr/lib", "/usr/shared", "/usr/share/../bin"}) {
    EXPECT_THAT(messages(load_policy(R"({"security": {"filesystem": {"read": [{"path": "/usr/share",
"as": ")" + target + R"("}]}}})")),
                ElementsAre(HasSubstr("in the sandbox is the base's own")))
        << target;
  }
}

TEST_F(LoadTest, ALinkThatLeavesTheManifestsFolderIsRefused) {
  files_.files["/w/models"] = "";
  files_.files["/etc/shadow"] = "";
  files_.links["/w/models"] = "/etc/shadow";
  EXPECT_THAT(messages(load_policy(R"({"security": {"filesystem": {"read": ["models"]}}})")),
              ElementsAre(HasSubstr("leaves the manifest's folder: \"/etc/shadow\"")));
}

TEST_F(LoadTest, EqualPoliciesHaveEqualDigestsHoweverTheyAreWritten) {
  LoadSettings settings = kSettings;
  settings.digest = [](std::string_view text) { return std::string(text); };
  files_.files["/w/a.json"] = R"({"extends": ["rtsup:minimal"], "security": {"syscalls": {"allow":
["getuid", "umask"]}}, "services": {"invoke": ["b", "a"]}})";
  files_.files["/w/b.json"] =
      R"({"security": {"syscalls":
{"allow": [{"call": ["umask", "getuid"], "why": "x"}, "getuid"]},
"network": "none"}, "services": {"invoke": ["a", "b", "a"]}, "resources": {"cpu": 1}})";
  files_.files["/w/c.json"] =
      R"({"security": {"syscalls": {"allow": ["getuid"]}},
"services": {"invoke": ["a", "b"]}})";
  files_.files["/w/m.json"] = R"({"rtsup": 1, "name": "m", "functions": {
"a": {"kind": "native", "file": "f.so", "policy": "a.json"},
"b": {"kind": "native", "file": "f.so", "policy": "b.json"},
"c": {"kind": "native", "file": "f.so", "policy": "c.json"}}})";
  const LoadOutcome outcome = load_manifest("/w/m.json", files_, settings);
  ASSERT_THAT(messages(outcome), IsEmpty());
  const std::vector<Function>& functions = outcome.manifest->functions;
  EXPECT_FALSE(functions[0].policy.digest.empty());
  EXPECT_EQ(functions[0].policy.digest, functions[1].policy.digest);
  EXPECT_NE(functions[0].policy.digest, functions[2].policy.digest);
}

TEST_F(LoadTest, MissingManifestIsOneMistake) {
  const LoadOutcome outcome = load_manifest("/w/absent.json", files_, kSettings);
  EXPECT_FALSE(outcome.manifest.has_value());
  EXPECT_THAT(messages(outcome), ElementsAre("there is no such file"));
}

TEST_F(LoadTest, MissingGroupsAreAMistakeNotAnEmptyFilter) {
  LoadSettings settings = kSettings;
  settings.policy_folder = "/nowhere";
  files_.files["/w/m.json"] =
      R"({"rtsup": 1, "name": "a", "functions": {"f": {"kind": "native", "file": "f.so"}}})";
  const LoadOutcome outcome = load_manifest("/w/m.json", files_, settings);
  EXPECT_FALSE(outcome.manifest.has_value());
  EXPECT_THAT(messages(outcome), Contains("there is no such file"));
}

TEST_F(LoadTest, NamesOfSystemdAllowTheNearestGroupAndDenyNothing) {
  const LoadOutcome other =
      load_policy(R"({"security": {"syscalls": {"allow": ["@timer", "@io-event", "@basic-io"]}}})");
  const LoadOutcome own =
      load_policy(R"({"security": {"syscalls": {"allow": ["@time", "@eventloop"]}}})");
  ASSERT_TRUE(other.manifest && own.manifest);
  EXPECT_EQ(other.manifest->functions[0].policy.security.filter.rules,
            own.manifest->functions[0].policy.security.filter.rules);
  EXPECT_THAT(
      messages(load_policy(R"({"security": {"syscalls": {"deny": ["@network-io"]}}})")),
      ElementsAre(AllOf(HasSubstr("name for \"@network-client\""), HasSubstr("deny that"))));
  EXPECT_THAT(messages(load_policy(R"({"security": {"syscalls": {"allow": ["@mount"]}}})")),
              ElementsAre(HasSubstr("unknown group \"@mount\"")));
}

TEST_F(LoadTest, TooManyMistakesAreCounted) {
  std::string keys;
  for (int i = 0; i < 300; ++i) {
    keys += ", \"key" + std::to_string(i) + "\": 1";
  }
  const LoadOutcome outcome = load_policy("{}", keys);
  ASSERT_THAT(outcome.mistakes, SizeIs(201));
  EXPECT_EQ(outcome.mistakes.back().message, "and 100 more mistakes");
}

}  // namespace
}  // namespace rtsup::manifest
