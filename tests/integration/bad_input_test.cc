// What an operator gets wrong: the message says what, where and what to do, the exit code is the
// documented one, and nothing is half started.
#include <elf.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/integration/probe_base.h"

namespace rtsup::test {
namespace {

class BadInputTest : public ProbeBase {
 protected:
  // `rtsup start` of it, detached and in the foreground, must end with `code` and say all of
  // `parts`; nothing of it may be left.
  void expect_refused(const std::string& text, int code, const std::vector<std::string>& parts) {
    const std::string file = write("manifest.json", text);
    for (const bool detach : {true, false}) {
      std::vector<std::string> arguments = {"start", file};
      if (detach) {
        arguments.emplace_back("--detach");
      }
      const Outcome outcome = rtsup(arguments);
      EXPECT_EQ(outcome.code, code) << outcome.err;
      for (const std::string& part : parts) {
        EXPECT_NE(outcome.err.find(part), std::string::npos)
            << "\"" << part << "\" is missing in:\n"
            << outcome.err;
      }
      EXPECT_EQ(outcome.err.find('\033'), std::string::npos);
      expect_nothing_left();
    }
  }
  // The same for a manifest that `validate` must refuse as well, with the same words.
  void expect_invalid(const std::string& text, const std::vector<std::string>& parts) {
    expect_refused(text, kExitManifest, parts);
    const Outcome outcome = rtsup({"validate", path("manifest.json")});
    EXPECT_EQ(outcome.code, kExitManifest);
    for (const std::string& part : parts) {
      EXPECT_NE(outcome.err.find(part), std::string::npos) << "\"" << part << "\" is missing in:\n"
                                                           << outcome.err;
    }
  }
  [[nodiscard]] std::string with_file(const std::string& file) const {
    return manifest("{}", "{" + probe_function("probe", {.file = file}) + "}");
  }
};

TEST_F(BadInputTest, BrokenManifestNamesLineAndColumn) {
  expect_invalid("{\n  \"rtsup\": 1,\n  \"name\": }\n", {"manifest.json:3:"});
}

TEST_F(BadInputTest, UnknownKeyComesWithTheNearestValidOne) {
  std::string text = with_file("probe.so");
  text.replace(text.find("\"kind\""), 6, "\"knid\"");
  expect_invalid(text, {"manifest.json:1:", "/functions/probe", "knid", "kind"});
}

TEST_F(BadInputTest, AllMistakesAreNamedAtOnce) {
  expect_invalid(
      R"({"rtsup": 1, "name": "No Name", "functions": {
    "a": {"kind": "nativ", "file": "probe.so", "policy": {}},
    "b": {"kind": "native", "file": "probe.so", "policy": "absent.json"}}})",
      {"manifest.json:1:", "manifest.json:2:", "nativ", "manifest.json:3:", "absent.json"});
}

TEST_F(BadInputTest, BrokenPolicyIsNamedByItsOwnFile) {
  write("policy.json", "{\n  \"extends\": [\"rtsup:nativ\"]\n}\n");
  expect_invalid(manifest("{}", R"({"probe": {"kind": "native", "file": "probe.so",
                                              "policy": "policy.json"}})"),
                 {"policy.json:2:", "/extends/0", "nativ", "native"});
}

TEST_F(BadInputTest, MissingManifestIsNamed) {
  const Outcome outcome = rtsup({"start", path("nowhere.json")});
  EXPECT_EQ(outcome.code, kExitManifest) << outcome.err;
  EXPECT_NE(outcome.err.find("nowhere.json"), std::string::npos) << outcome.err;
}

TEST_F(BadInputTest, MissingFunctionFileIsNamed) {
  expect_refused(with_file("absent.so"), kExitManifest, {"absent.so", "probe"});
}

TEST_F(BadInputTest, FunctionFileThatIsNoProgramIsNamed) {
  write("text.so", "this is not an ELF file, however long it goes on about it\n");
  expect_refused(with_file("text.so"), kExitManifest, {"text.so", "probe", "ELF"});
}

TEST_F(BadInputTest, OtherArchitectureIsNamed) {
  std::fstream file(path("probe.so"), std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(offsetof(Elf64_Ehdr, e_machine));
  const Elf64_Half machine = EM_AARCH64;
  file.write(reinterpret_cast<const char*>(&machine), sizeof machine);
  file.close();
  expect_refused(with_file("probe.so"), kExitManifest, {"probe.so", "AArch64"});
}

TEST_F(BadInputTest, UnresolvedSymbolIsNamed) {
  place("unresolved.so", "unresolved.so");
  expect_refused(with_file("unresolved.so"), kExitFunctionFailed,
                 {"probe", "symbol_that_nobody_defines"});
}

TEST_F(BadInputTest, MissingEntryPointIsNamed) {
  place("no-entry.so", "no-entry.so");
  expect_refused(with_file("no-entry.so"), kExitFunctionFailed, {"probe", "rtsup_handle"});
}

TEST_F(BadInputTest, RefusingStartIsNamed) {
  place("refuses.so", "refuses.so");
  expect_refused(with_file("refuses.so"), kExitFunctionFailed,
                 {"probe", "rtsup_start", "NO_DATABASE", "nobody answers there"});
}

TEST_F(BadInputTest, HostileConstructorIsStoppedAtItsCall) {
  place("constructor.so", "constructor.so");
  expect_refused(with_file("constructor.so"), kExitFunctionFailed, {"probe", "execve"});
}

TEST_F(BadInputTest, OneBadFunctionStopsTheGoodOnes) {
  place("refuses.so", "refuses.so");
  expect_refused(manifest("{}", "{" + probe_function("good") + "," +
                                    probe_function("bad", {.file = "refuses.so"}) + "}"),
                 kExitFunctionFailed, {"bad", "rtsup_start"});
}

TEST_F(BadInputTest, RunFolderInUseIsRefusedAndTheRunningBaseUntouched) {
  start_ready(one_probe());
  const pid_t supervisor = supervisor_pid();
  const Outcome second = rtsup({"start", "--detach", path("manifest.json")});
  EXPECT_EQ(second.code, kExitUsage) << second.err;
  EXPECT_NE(second.err.find(name()), std::string::npos) << second.err;
  EXPECT_NE(second.err.find("stop"), std::string::npos) << "what to do: " << second.err;
  EXPECT_EQ(supervisor_pid(), supervisor);
  EXPECT_EQ(ask("probe", "echo untouched"), "untouched");
}

TEST_F(BadInputTest, BoundaryThatCanNotBeEnforcedIsNamedWithTheWayOut) {
  // An ordinary user with neither delegated groups nor a range of uids.
  for (const char* const folder : {"", "run", "state"}) {
    std::filesystem::permissions(path(folder), std::filesystem::perms::all);
  }
  set_launcher({"setpriv", "--reuid=54321", "--regid=54321", "--clear-groups"});
  if (rtsup({"version"}).code != kExitOk) {
    set_launcher({});
    GTEST_SKIP() << "needs root, and a build folder that other users can read";
  }
  expect_refused(one_probe(), kExitBoundary, {"cgroup-memory", "accept"});
}

}  // namespace
}  // namespace rtsup::test
