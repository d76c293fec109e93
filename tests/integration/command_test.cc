// The command line against a running base: what scripts and people rely on.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/integration/probe_base.h"

namespace rtsup::test {
namespace {

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

class CommandTest : public ProbeBase {};

// ---- invoke
// --------------------------------------------------------------------------------------

TEST_F(CommandTest, InvokePutsTheAnswerOnStdoutAndTheStatusOnStderr) {
  start_ready(one_probe());
  const Outcome good = invoke("probe", "echo just this");
  EXPECT_EQ(good.code, kExitOk);
  EXPECT_EQ(good.out, "just this");
  const Outcome failed = invoke("probe", "fail 9 not today");
  EXPECT_EQ(failed.code, kExitFunctionFailed);
  EXPECT_EQ(failed.out, "");
  EXPECT_TRUE(contains(failed.err, "FAILED_PRECONDITION")) << failed.err;
  EXPECT_TRUE(contains(failed.err, "ASKED_FOR")) << failed.err;
  EXPECT_TRUE(contains(failed.err, "not today")) << failed.err;
}

TEST_F(CommandTest, InvokeShowsWhatAFunctionThrew) {
  place("refuses.so", "refuses.so");
  const std::string probe =
      probe_function("probe", {.file = "refuses.so", .more = R"(, "config": {"mode": "throw"})"});
  start_ready(manifest("{}", "{" + probe + "}"));
  const Outcome outcome = invoke("probe", "");
  EXPECT_EQ(outcome.code, kExitFunctionFailed);
  EXPECT_TRUE(contains(outcome.err, "UNKNOWN FUNCTION_THREW: boom")) << outcome.err;
}

TEST_F(CommandTest, InvokeExitCodesFollowTheStatus) {
  start_ready(one_probe());
  EXPECT_EQ(invoke("probe", "fail 7 no").code, kExitDenied);
  EXPECT_EQ(invoke("probe", "fail 16 who").code, kExitDenied);
  EXPECT_EQ(invoke("probe", "fail 4 late").code, kExitDeadline);
  EXPECT_EQ(invoke("probe", "fail 13 broken").code, kExitFunctionFailed);
  EXPECT_EQ(invoke("probe", "sleep 600", {"--timeout", "100ms"}).code, kExitDeadline);
  EXPECT_EQ(rtsup_here({"invoke"}).code, kExitUsage);
}

TEST_F(CommandTest, InvokeOfAFunctionThatIsNotThereSaysSo) {
  start_ready(one_probe());
  const Outcome outcome = invoke("prob", "echo");
  EXPECT_NE(outcome.code, kExitOk);
  EXPECT_TRUE(contains(outcome.err, "FUNCTION_UNKNOWN")) << outcome.err;
  EXPECT_TRUE(contains(outcome.err, "did you mean \"probe\"?")) << outcome.err;
}

TEST_F(CommandTest, WhatAFunctionSaysIsEscapedOnTheWayToATerminal) {
  start_ready(one_probe());
  const Outcome failed = invoke("probe", "fail 9 \033[2Jgone");
  EXPECT_FALSE(contains(failed.err, "\033")) << failed.err;
}

// ---- ps
// ------------------------------------------------------------------------------------------

TEST_F(CommandTest, PsShowsTheFacts) {
  start_ready(one_probe());
  EXPECT_EQ(ask("probe", "echo 1"), "1");
  EXPECT_EQ(ask("probe", "get fast key"), "absent");
  const InstanceFacts probe = facts("probe");
  EXPECT_EQ(probe.state, "ready");
  EXPECT_EQ(probe.restarts, 0U);
  EXPECT_GT(probe.memory_bytes, 0U);
  EXPECT_GE(probe.calls, 1U) << "state.get of this probe";
  EXPECT_EQ(probe.digest.size(), 64U) << probe.digest;
  EXPECT_TRUE(contains(probe.cgroup, "rtsup-" + name())) << probe.cgroup;
  // What it says is what the kernel says.
  struct stat process {};
  ASSERT_EQ(::stat(("/proc/" + std::to_string(probe.pid)).c_str(), &process), 0);
  EXPECT_EQ(process.st_uid, probe.uid);
  EXPECT_NE(probe.uid, 0U);
  const std::vector<pid_t> processes = base_processes();
  EXPECT_NE(std::find(processes.begin(), processes.end(), probe.pid), processes.end());
  const Outcome table = rtsup_here({"ps"});
  EXPECT_EQ(table.code, kExitOk);
  EXPECT_TRUE(contains(table.out, "probe") && contains(table.out, "ready")) << table.out;
  EXPECT_FALSE(contains(table.out, "\033")) << "colours are for terminals";
}

TEST_F(CommandTest, FunctionsAndDaemonsHaveUidsOfTheirOwn) {
  start_ready(manifest("{}", "{" + probe_function("one") + "," + probe_function("two") + "}"));
  EXPECT_NE(facts("one").uid, facts("two").uid);
  struct stat broker {};
  ASSERT_EQ(::stat(("/proc/" + std::to_string(daemon_pid("broker"))).c_str(), &broker), 0);
  EXPECT_NE(broker.st_uid, 0U);
  EXPECT_NE(broker.st_uid, facts("one").uid);
  EXPECT_NE(broker.st_uid, facts("two").uid);
}

// ---- logs
// ----------------------------------------------------------------------------------------

TEST_F(CommandTest, LogsShowWhatWasPrintedEscaped) {
  start_ready(one_probe());
  EXPECT_EQ(ask("probe", "print to be read later"), "printed");
  EXPECT_EQ(ask("probe", "graffiti"), "written");
  Outcome logs;
  EXPECT_TRUE(eventually([&] {
    logs = rtsup_here({"logs", "probe"});
    return contains(logs.out, "to be read later") && contains(logs.out, " end");
  })) << logs.out;
  EXPECT_TRUE(contains(logs.out, "probe started"));
  for (const char* const raw : {"\033", "\a", "\r", "\x9b", "\xff", "\xe2\x80\xae"}) {
    EXPECT_FALSE(contains(logs.out, raw)) << logs.out;
  }
}

TEST_F(CommandTest, LogsFollow) {
  start_ready(one_probe());
  RunningCommand follow(command({"logs", "-f", "probe", "-n", name()}));
  EXPECT_TRUE(follow.wait_for_text("probe started", kPatience));
  EXPECT_EQ(ask("probe", "print fresh from the press"), "printed");
  EXPECT_TRUE(follow.wait_for_text("fresh from the press", kPatience));
  follow.send_signal(SIGINT);
  EXPECT_FALSE(follow.wait(kPatience).timed_out);
}

// ---- start, stop, restart
// ------------------------------------------------------------------------

TEST_F(CommandTest, ForegroundStartSaysReadyAndCtrlCLeavesNothing) {
  const std::string file = write("manifest.json", one_probe());
  RunningCommand base(command({"start", file}));
  ASSERT_TRUE(base.wait_for_text("ready", kPatience)) << base.so_far().out << base.so_far().err;
  EXPECT_EQ(ask("probe", "echo up"), "up");
  base.send_signal(SIGINT);
  const Outcome ended = base.wait(kPatience);
  EXPECT_EQ(ended.code, kExitOk) << ended.err;
  expect_nothing_left();
}

TEST_F(CommandTest, RestartGivesANewProcessAndKeepsTheUid) {
  start_ready(one_probe());
  const InstanceFacts before = facts("probe");
  const Outcome restarted = rtsup_here({"restart", "probe"});
  EXPECT_EQ(restarted.code, kExitOk) << restarted.err;
  ASSERT_TRUE(eventually([&] {
    const InstanceFacts now = facts("probe");
    return now.state == "ready" && now.pid != before.pid;
  }));
  EXPECT_EQ(facts("probe").uid, before.uid);
  EXPECT_EQ(ask("probe", "echo again"), "again");
  EXPECT_TRUE(contains(rtsup_here({"logs", "probe"}).out, "probe destroyed"))
      << "rtsup_destroy was called";
}

TEST_F(CommandTest, ReplacedFileIsUsedFromTheNextRestart) {
  start_ready(one_probe());
  EXPECT_EQ(ask("probe", "version"), "one");
  const std::string digest = facts("probe").digest;
  place("probe-two.so", "probe.so");
  EXPECT_EQ(ask("probe", "version"), "one") << "a running function is not touched";
  ASSERT_EQ(rtsup_here({"restart", "probe"}).code, kExitOk);
  ASSERT_TRUE(eventually([&] { return facts("probe").digest != digest; }));
  ASSERT_TRUE(wait_for_state("probe", "ready"));
  EXPECT_EQ(ask("probe", "version"), "two");
}

TEST_F(CommandTest, FiveDeathsMakeAFunctionFailedWithItsCause) {
  start_ready(manifest("{}", "{" + probe_function("dying") + "," + probe_function("living") + "}"));
  for (int death = 1; death <= 5; ++death) {
    ASSERT_TRUE(wait_for_state("dying", "ready")) << death;
    (void)invoke("dying", "exit 42");
    const auto died = [&] {
      const InstanceFacts now = facts("dying");
      return now.state == "failed" || now.restarts == static_cast<uint64_t>(death);
    };
    ASSERT_TRUE(eventually(died)) << death;
  }
  ASSERT_TRUE(wait_for_state("dying", "failed"));
  EXPECT_EQ(facts("dying").cause_kind, "exit");
  EXPECT_TRUE(contains(facts("dying").cause, "42")) << facts("dying").cause;
  EXPECT_EQ(invoke("dying", "echo").code, kExitFunctionFailed) << "nobody waits for it";
  EXPECT_EQ(ask("living", "echo still"), "still");
  // A fresh start is the operator's to ask for.
  ASSERT_EQ(rtsup_here({"restart", "dying"}).code, kExitOk);
  ASSERT_TRUE(wait_for_state("dying", "ready"));
  EXPECT_EQ(ask("dying", "echo fresh"), "fresh");
}

TEST_F(CommandTest, RestartPolicyNeverIsKept) {
  start_ready(one_probe(R"(, "restart": "never")"));
  (void)invoke("probe", "exit 0");
  EXPECT_TRUE(eventually([&] {
    const std::string state = facts("probe").state;
    return state == "finished" || state == "failed";
  }));
  EXPECT_EQ(facts("probe").restarts, 0U);
}

TEST_F(CommandTest, CausesTellSignalsFromExits) {
  start_ready(one_probe());
  (void)invoke("probe", "abort");
  ASSERT_TRUE(eventually([&] { return facts("probe").restarts == 1; }));
  EXPECT_EQ(facts("probe").cause_kind, "signal");
  EXPECT_TRUE(contains(facts("probe").cause, "ABRT")) << facts("probe").cause;
}

// ---- which instance
// ------------------------------------------------------------------------------

TEST_F(CommandTest, TheOnlyInstanceNeedsNoName) {
  start_ready(one_probe());
  EXPECT_EQ(rtsup({"invoke", "probe", "--data", "echo found"}).out, "found");
  EXPECT_EQ(rtsup({"ps"}).code, kExitOk);
  EXPECT_EQ(rtsup({"ps", "-n", "another"}).code, kExitNotRunning);
}

TEST_F(CommandTest, TwoInstancesNeedAName) {
  start_ready(one_probe());
  std::string second = one_probe();
  const std::string second_name = name() + "b";
  second.replace(second.find(name()), name().size(), second_name);
  ASSERT_EQ(rtsup({"start", "--detach", write("second.json", second)}).code, kExitOk);
  const Outcome unnamed = rtsup({"ps"});
  EXPECT_EQ(unnamed.code, kExitUsage);
  EXPECT_TRUE(contains(unnamed.err, name()) && contains(unnamed.err, second_name)) << unnamed.err;
  EXPECT_EQ(rtsup({"invoke", "probe", "--data", "echo b", "-n", second_name}).out, "b");
  EXPECT_EQ(rtsup({"stop", "-n", second_name}).code, kExitOk);
  EXPECT_EQ(ask("probe", "echo a"), "a") << "the other one is untouched";
}

TEST_F(CommandTest, WithoutABaseEverythingSaysNotRunning) {
  for (const char* const verb : {"ps", "stop", "logs"}) {
    EXPECT_EQ(rtsup({verb}).code, kExitNotRunning) << verb;
    EXPECT_EQ(rtsup({verb, "-n", name()}).code, kExitNotRunning) << verb;
  }
  EXPECT_EQ(rtsup({"invoke", "probe", "--data", "x"}).code, kExitNotRunning);
  EXPECT_EQ(rtsup({"restart", "probe"}).code, kExitNotRunning);
}

// ---- without a base
// ------------------------------------------------------------------------------

TEST_F(CommandTest, ValidateAcceptsAGoodManifestAndStartsNothing) {
  const Outcome good = rtsup({"validate", write("manifest.json", one_probe())});
  EXPECT_EQ(good.code, kExitOk) << good.err;
  EXPECT_TRUE(std::filesystem::is_empty(path("run")));
}

TEST_F(CommandTest, SchemaPrintsJsonSchemas) {
  for (const char* const which : {"manifest", "policy"}) {
    const Outcome schema = rtsup({"schema", which});
    EXPECT_EQ(schema.code, kExitOk);
    const auto document = nlohmann::json::parse(schema.out, nullptr, false);
    ASSERT_TRUE(document.is_object()) << which;
    EXPECT_TRUE(document.contains("$schema")) << which;
  }
  EXPECT_EQ(rtsup({"schema", "manifesto"}).code, kExitUsage);
}

TEST_F(CommandTest, DoctorNamesEveryBoundary) {
  const Outcome doctor = rtsup({"doctor", "--json"});
  EXPECT_EQ(doctor.code, kExitOk) << doctor.err;
  ASSERT_TRUE(nlohmann::json::accept(doctor.out)) << doctor.out;
  const std::string text = rtsup({"doctor"}).out;
  for (const char* const boundary :
       {"seccomp", "no-new-privileges", "user-namespace", "uid-range", "process-namespace",
        "mount-namespace", "ipc-namespace", "network-namespace", "landlock", "cgroup-memory",
        "cgroup-cpu", "cgroup-processes", "cgroup-kill"}) {
    EXPECT_TRUE(contains(doctor.out, boundary)) << boundary;
    EXPECT_TRUE(contains(text, boundary)) << boundary;
  }
}

TEST_F(CommandTest, HelpAndVersionNeedNothing) {
  EXPECT_EQ(rtsup({"version"}).code, kExitOk);
  EXPECT_TRUE(contains(rtsup({"version"}).out, "0."));
  for (const char* const verb : {"start", "stop", "restart", "ps", "invoke", "logs", "validate",
                                 "schema", "doctor", "version"}) {
    EXPECT_TRUE(contains(rtsup({"help"}).out, verb)) << verb;
    EXPECT_EQ(rtsup({verb, "--help"}).code, kExitOk) << verb;
  }
  EXPECT_EQ(rtsup({"strat"}).code, kExitUsage);
  EXPECT_EQ(rtsup({"ps", "--jsno"}).code, kExitUsage);
}

TEST_F(CommandTest, OnlyTheOwnerReachesTheControlSocket) {
  start_ready(one_probe());
  struct stat socket {};
  ASSERT_EQ(::stat(run_path("control.sock").c_str(), &socket), 0);
  EXPECT_EQ(socket.st_mode & 0777, 0600U);
  Command stranger = command({"ps", "-n", name()});
  stranger.argv.insert(stranger.argv.begin(),
                       {"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"});
  EXPECT_NE(run(stranger).code, kExitOk);
}

}  // namespace
}  // namespace rtsup::test
