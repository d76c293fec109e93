// Shipped policies and daemons' filters through the real compiler: what libseccomp makes of them
// means what their rules say.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/audit.h>

#include <algorithm>
#include <random>

#include "manifest/disk_file_system.h"
#include "manifest/filter_evaluator.h"
#include "manifest/load.h"
#include "manifest/syscalls.h"
#include "sys/seccomp.h"

namespace rtsup {
namespace {

using manifest::FilterTarget;

manifest::LoadSettings settings() { return {.policy_folder = RTSUP_SOURCE_DIR "/policies"}; }

FilterTarget target(sys::DefaultAction action) {
  return {.audit_arch = AUDIT_ARCH_X86_64,
          .newest_call = sys::newest_call(),
          .default_action = action == sys::DefaultAction::kNotify ? SECCOMP_RET_USER_NOTIF
                                                                  : SECCOMP_RET_KILL_PROCESS};
}

void expect_compiles_right(const abi::FilterSpec& spec, sys::DefaultAction action,
                           const std::string& name) {
  const auto program = sys::compile_filter(spec, action);
  ASSERT_TRUE(program) << name << ": " << describe(program.error());
  EXPECT_LT(program->size(), 1000U) << name;
  const auto difference = manifest::verify_filter(*program, spec, target(action));
  EXPECT_FALSE(difference.has_value()) << name << ": " << to_text(*difference);
}

// Only the manifest is made up; everything else is on the disk.
class OneManifest final : public manifest::FileSystem {
 public:
  explicit OneManifest(std::string text) : text_(std::move(text)) {}
  Result<std::string> read(const std::string& path, size_t bytes_max) const override {
    return path == "/m/m.json" ? Result<std::string>(text_) : disk_.read(path, bytes_max);
  }
  Kind kind(const std::string& path) const override {
    return path == "/m/f.so" ? Kind::kFile : disk_.kind(path);
  }
  bool is_readable(const std::string& path) const override {
    return path == "/m/f.so" || disk_.is_readable(path);
  }
  std::string resolve(const std::string& path) const override { return disk_.resolve(path); }
  std::string absolute(const std::string& path) const override { return disk_.absolute(path); }
  std::vector<std::string> list(const std::string& folder) const override {
    return disk_.list(folder);
  }

 private:
  std::string text_;
  manifest::DiskFileSystem disk_;
};

manifest::LoadOutcome load(const std::string& policy) {
  return manifest::load_manifest(
      "/m/m.json",
      OneManifest(R"({"rtsup":1,"name":"m","accept":["network-namespace"],
"functions":{"f":{"kind":"native","file":"f.so","policy":)" +
                  policy + "}}}"),
      settings());
}

std::vector<std::string> shipped_profiles() {
  std::vector<std::string> names;
  for (const std::string& file : manifest::DiskFileSystem().list(settings().policy_folder)) {
    if (file.ends_with(".json") && file != "groups.json" && !file.starts_with("daemon-")) {
      names.push_back(file.substr(0, file.size() - 5));
    }
  }
  return names;
}

TEST(ShippedTest, EveryProfileCompilesToWhatItSays) {
  const std::vector<std::string> names = shipped_profiles();
  ASSERT_THAT(names, ::testing::IsSupersetOf(
                         {"batch", "minimal", "native", "native-threads", "small", "tiny"}));
  for (const std::string& name : names) {
    const auto outcome = load("\"rtsup:" + name + "\"");
    ASSERT_TRUE(outcome.manifest) << to_line(outcome.mistakes.front());
    expect_compiles_right(outcome.manifest->functions[0].policy.security.filter,
                          sys::DefaultAction::kNotify, name);
  }
}

TEST(ShippedTest, AllGroupsTogetherCompileToWhatTheySay) {
  const auto outcome = load(R"({"security": {"network": "host", "syscalls": {"allow":
["@threads", "@malloc", "@time", "@identity", "@eventloop", "@file-read", "@file-write",
"@network-client"]}}})");
  ASSERT_TRUE(outcome.manifest) << to_line(outcome.mistakes.front());
  const auto& security = outcome.manifest->functions[0].policy.security;
  EXPECT_TRUE(security.sockets);
  EXPECT_TRUE(security.host_network);
  expect_compiles_right(security.filter, sys::DefaultAction::kNotify, "all groups");
}

TEST(ShippedTest, EveryRuleOfEveryGroupSaysWhy) {
  const auto outcome = load(R"({"security": {"network": "host", "syscalls": {"allow":
["@threads", "@malloc", "@time", "@identity", "@eventloop", "@file-read", "@file-write",
"@network-client"]}}})");
  ASSERT_TRUE(outcome.manifest);
  const auto& security = outcome.manifest->functions[0].policy.security;
  ASSERT_EQ(security.notes.size(), security.filter.rules.size());
  for (size_t i = 0; i < security.notes.size(); ++i) {
    EXPECT_FALSE(security.notes[i].why.empty())
        << security.notes[i].origin << ' ' << manifest::call_name(security.filter.rules[i].call);
  }
}

TEST(ShippedTest, DaemonsFiltersCompileToWhatTheySay) {
  for (const char* const name : {"daemon-broker", "daemon-monitor"}) {
    const auto outcome = manifest::load_daemon_filter(name, manifest::DiskFileSystem(), settings());
    ASSERT_TRUE(outcome.filter) << to_line(outcome.mistakes.front());
    expect_compiles_right(*outcome.filter, sys::DefaultAction::kKillProcess, name);
    for (const char* const never : {"execve", "execveat", "socket", "fork", "clone3", "openat2"}) {
      const int call = manifest::call_number(never);
      EXPECT_TRUE(std::none_of(
          outcome.filter->rules.begin(), outcome.filter->rules.end(),
          [call](const auto& rule) { return rule.call == call && rule.errno_value == 0; }))
          << name << " allows " << never;
    }
  }
}

TEST(ShippedTest, FiltersForAarch64MeanTheSame) {
  const auto outcome = load("\"rtsup:native-threads\"");
  ASSERT_TRUE(outcome.manifest);
  const abi::FilterSpec& spec = outcome.manifest->functions[0].policy.security.filter;
  constexpr auto kArm = sys::CallArchitecture::kAarch64;
  const auto program = sys::compile_filter(spec, sys::DefaultAction::kNotify, kArm);
  ASSERT_TRUE(program);
  abi::FilterSpec translated;
  for (abi::FilterRule rule : spec.rules) {
    rule.call = sys::call_number(sys::call_name(rule.call), kArm);
    if (rule.call >= 0) {
      translated.rules.push_back(std::move(rule));
    }
  }
  const auto difference = manifest::verify_filter(*program, translated,
                                                  {.audit_arch = AUDIT_ARCH_AARCH64,
                                                   .newest_call = sys::newest_call(kArm),
                                                   .default_action = SECCOMP_RET_USER_NOTIF});
  EXPECT_FALSE(difference.has_value()) << to_text(*difference);
}

abi::FilterSpec random_spec(std::mt19937_64& random) {
  constexpr uint64_t kMasks[] = {0xFFFFFFFF, ~0ULL, ~7ULL, 0xFFFFFFF8, 0x20, 0xFFFFFFFFFF000000};
  abi::FilterSpec spec;
  const size_t count = 1 + random() % 20;
  for (size_t i = 0; i < count; ++i) {
    abi::FilterRule rule{.call = static_cast<int>(random() % 8) * 40, .tests = {}};
    rule.errno_value = rule.call % 80 == 0 ? 0 : EPERM;
    for (uint8_t index = 0; index < 6; ++index) {
      if (random() % 5 == 0) {
        const uint64_t mask = kMasks[random() % std::size(kMasks)];
        rule.tests.push_back(
            {.index = index, .mask = mask, .value = random() & mask & 0xFF0000003F});
      }
    }
    spec.rules.push_back(std::move(rule));
  }
  return spec;
}

// The comparisons that the normalised rules are limited to are those that libseccomp compiles
// right: ten hundred random policies.
class RandomPolicies : public ::testing::TestWithParam<int> {};
TEST_P(RandomPolicies, AHundredCompileToWhatTheySay) {
  std::mt19937_64 random(static_cast<uint64_t>(20260103 + GetParam()));
  for (int round = 0; round < 100; ++round) {
    const abi::FilterSpec spec = random_spec(random);
    const auto program = sys::compile_filter(spec, sys::DefaultAction::kNotify);
    ASSERT_TRUE(program) << describe(program.error());
    const auto difference =
        manifest::verify_filter(*program, spec, target(sys::DefaultAction::kNotify));
    ASSERT_FALSE(difference.has_value()) << "round " << round << ": " << to_text(*difference);
  }
}
INSTANTIATE_TEST_SUITE_P(Shipped, RandomPolicies, ::testing::Range(0, 10));

}  // namespace
}  // namespace rtsup
