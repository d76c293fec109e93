// rtsup-worker from exec to ready, in its real sandbox and under the shipped policy `native`.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fstream>

#include "abi/operation.h"
#include "manifest/disk_file_system.h"
#include "manifest/load.h"
#include "schemas/session_generated.h"
#include "sys/landlock.h"
#include "sys/seccomp.h"
#include "tests/worker/fake_base.h"
#include "tests/worker/launch_driver.h"

namespace rtsup::test {
namespace {

using abi::LaunchVerb;
using launch::MountKind;
using testing::HasSubstr;

std::string function_file(const std::string& name) {
  return RTSUP_BUILD_DIR "/test-bin/functions/libtest_" + name + ".so";
}

// What a manifest that extends rtsup:native becomes.
std::vector<sock_filter> native_filter() {
  char folder[] = "/tmp/rtsup-host-test-XXXXXX";
  EXPECT_NE(::mkdtemp(folder), nullptr);
  const std::string path = std::string(folder) + "/manifest.json";
  std::ofstream(path) << R"({ "rtsup": 1, "name": "t", "components": {}, "functions": {
    "f": { "kind": "native", "file": ")"
                      << function_file("good") << R"(",
           "policy": { "extends": ["rtsup:native"] } } } })";
  const auto loaded = manifest::load_manifest(path, manifest::DiskFileSystem(),
                                              {.policy_folder = RTSUP_SOURCE_DIR "/policies"});
  ::unlink(path.c_str());
  ::rmdir(folder);
  for (const manifest::Mistake& mistake : loaded.mistakes) {
    ADD_FAILURE() << manifest::to_line(mistake);
  }
  if (!loaded.manifest) {
    return {};
  }
  const auto compiled = sys::compile_filter(loaded.manifest->functions[0].policy.security.filter,
                                            sys::DefaultAction::kNotify);
  EXPECT_TRUE(compiled);
  return compiled ? *compiled : std::vector<sock_filter>();
}

PlanSpec host_plan(const std::string& file, const FakeBase& base) {
  PlanSpec spec = program_plan(RTSUP_BUILD_DIR "/libexec/rtsup/rtsup-worker", {});
  spec.shape = launch::Shape::Host;
  spec.argv = {"rtsup-worker"};
  spec.program = "/rtsup/rtsup-worker";
  spec.mounts[5].target = spec.program;
  spec.mounts.push_back({.kind = MountKind::Bind,
                         .source = RTSUP_BUILD_DIR "/lib/librtsup.so.1",
                         .target = "/rtsup/lib/librtsup.so.1",
                         .executable = true});
  spec.landlock[1] = {"/rtsup", sys::kLandlockReadExecute};
  spec.function = "/app/function.so";
  spec.function_name = "tested";
  if (!file.empty()) {
    static sys::UniqueFd opened;
    opened.reset(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
    EXPECT_TRUE(opened) << file;
    spec.mounts.push_back({.kind = MountKind::File,
                           .source = "",
                           .target = spec.function,
                           .executable = true,
                           .fd = opened.get()});
    spec.landlock.emplace_back("/app", sys::kLandlockReadExecute);
  }
  spec.extra_descriptors = {base.worker_end()};
  spec.filter = native_filter();
  return spec;
}

class HostTest : public testing::Test {
 protected:
  // Up to the answered probe: the filter is on, the host goes on by itself.
  void pass_probe() {
    const auto filtered = driver_.await(LaunchVerb::kFiltered);
    ASSERT_TRUE(filtered) << why();
    EXPECT_EQ(status_line(driver_.process_pid(), "Seccomp"), "2");
    driver_.take_listener(static_cast<int>(filtered->record.number));
    const auto probe = driver_.next_call();
    ASSERT_TRUE(probe);
    ASSERT_EQ(probe->number, SYS_personality);
    ASSERT_EQ(probe->arguments[0], abi::kProbeCookie);
    driver_.answer(*probe, abi::kProbeAnswer);
  }

  // How a host ends that can not serve, and what it told the base.
  abi::LoadFailure failure_of(const std::string& file) {
    driver_.start(host_plan(file, base_));
    pass_probe();
    if (HasFatalFailure()) {
      return abi::LoadFailure::None;
    }
    base_.offer();
    const auto request = base_.next_request();
    EXPECT_TRUE(request);
    if (!request || request->opcode != abi::op::kSessionFailed) {
      ADD_FAILURE() << "opcode " << (request ? request->opcode : 0);
      return abi::LoadFailure::None;
    }
    const auto exited = driver_.await(LaunchVerb::kExited);
    EXPECT_TRUE(exited && exited->record.number != 0);
    return flatbuffers::GetRoot<abi::SessionFailedRequest>(request->metadata.data())->failure();
  }

  std::string why() {
    return driver_.failure() ? describe(*driver_.failure()) : "no record of a failure";
  }

  FakeBase base_;
  LaunchDriver driver_;
};

TEST_F(HostTest, LoadsStartsAndSaysReadyUnderPolicyNative) {
  driver_.start(host_plan(function_file("good"), base_));
  ASSERT_NO_FATAL_FAILURE(pass_probe());
  base_.offer();
  ASSERT_TRUE(base_.await_attached()) << driver_.errors();
  const auto request = base_.next_request();
  ASSERT_TRUE(request);
  EXPECT_EQ(request->opcode, abi::op::kSessionReady);
  EXPECT_EQ(driver_.line(), "start");
  EXPECT_EQ(status_line(driver_.process_pid(), "Seccomp"), "2");
  EXPECT_EQ(status_line(driver_.process_pid(), "Threads"), "1");
}

TEST_F(HostTest, NothingOfTheDialogueIsLeftOpenForTheFunction) {
  driver_.start(host_plan(function_file("good"), base_));
  ASSERT_NO_FATAL_FAILURE(pass_probe());
  base_.offer();
  ASSERT_TRUE(base_.next_request());
  std::vector<std::string> open;
  for (int fd = 0; fd < 64; ++fd) {
    if (driver_.process().get_fd(fd)) {
      open.push_back(std::to_string(fd));
    }
  }
  // Streams, the session socket, and the doorbell, which came first into a free number.
  EXPECT_EQ(open.size(), 5U) << testing::PrintToString(open);
}

TEST_F(HostTest, AskedToLeaveItDestroysAndEndsWell) {
  driver_.start(host_plan(function_file("good"), base_));
  ASSERT_NO_FATAL_FAILURE(pass_probe());
  base_.offer();
  ASSERT_TRUE(base_.next_request());
  base_.end();
  const auto exited = driver_.await(LaunchVerb::kExited);
  ASSERT_TRUE(exited);
  EXPECT_EQ(exited->record.number, 0);
  EXPECT_EQ(driver_.output(), "start\ndestroy\n");
}

TEST_F(HostTest, TermDestroysAndEndsWell) {
  driver_.start(host_plan(function_file("good"), base_));
  ASSERT_NO_FATAL_FAILURE(pass_probe());
  base_.offer();
  ASSERT_TRUE(base_.next_request());
  EXPECT_EQ(driver_.line(), "start");
  ASSERT_TRUE(driver_.init().send_signal(SIGTERM));
  const auto exited = driver_.await(LaunchVerb::kExited);
  ASSERT_TRUE(exited);
  EXPECT_EQ(exited->record.number, 0);
  EXPECT_EQ(driver_.output(), "destroy\n");
}

TEST_F(HostTest, ConstructorOfAHostileObjectMeetsTheFilter) {
  driver_.start(host_plan(function_file("hostile"), base_));
  ASSERT_NO_FATAL_FAILURE(pass_probe());
  base_.offer();
  const auto call = driver_.next_call();
  ASSERT_TRUE(call);
  EXPECT_EQ(call->number, SYS_unshare);
  EXPECT_EQ(driver_.line(), "constructor");
  ASSERT_TRUE(driver_.init().send_signal(SIGKILL));
  EXPECT_EQ(driver_.output(), "");
}

TEST_F(HostTest, WrongAnswerToTheProbeIsFatal) {
  driver_.start(host_plan(function_file("good"), base_));
  const auto filtered = driver_.await(LaunchVerb::kFiltered);
  ASSERT_TRUE(filtered) << why();
  driver_.take_listener(static_cast<int>(filtered->record.number));
  driver_.answer(driver_.next_call().value(), 0);
  EXPECT_FALSE(driver_.await(LaunchVerb::kExited));
  ASSERT_TRUE(driver_.failure());
  EXPECT_EQ(driver_.failure()->step, Step::kProbe);
}

TEST_F(HostTest, UnresolvedSymbolIsNamed) {
  EXPECT_EQ(failure_of(function_file("unresolved")), abi::LoadFailure::UnresolvedSymbol);
  EXPECT_THAT(driver_.errors(),
              testing::AllOf(HasSubstr("function tested"), HasSubstr("nobody_defines_this")));
}

TEST_F(HostTest, MissingEntryIsNamed) {
  EXPECT_EQ(failure_of(function_file("without_entry")), abi::LoadFailure::EntryMissing);
  EXPECT_THAT(driver_.errors(), HasSubstr("does not export rtsup_handle"));
}

TEST_F(HostTest, RefusedStartIsNamed) {
  EXPECT_EQ(failure_of(function_file("refuses")), abi::LoadFailure::StartFailed);
  EXPECT_THAT(driver_.errors(), HasSubstr("rtsup_start returned 9 (FAILED_PRECONDITION)"));
}

TEST_F(HostTest, FileThatIsNoSharedObjectIsNamed) {
  EXPECT_EQ(failure_of(RTSUP_SOURCE_DIR "/LICENSE"), abi::LoadFailure::NotLoadable);
  EXPECT_THAT(driver_.errors(), HasSubstr("can not be loaded"));
}

TEST_F(HostTest, AbsentFileIsNamed) { EXPECT_EQ(failure_of(""), abi::LoadFailure::NotLoadable); }

TEST_F(HostTest, BaseOfAnotherMajorEndsIt) {
  driver_.start(host_plan(function_file("good"), base_));
  ASSERT_NO_FATAL_FAILURE(pass_probe());
  base_.offer(abi::kAbiMajor + 1);
  const auto exited = driver_.await(LaunchVerb::kExited);
  ASSERT_TRUE(exited);
  EXPECT_NE(exited->record.number, 0);
  EXPECT_THAT(driver_.errors(), HasSubstr("ABI version"));
}

}  // namespace
}  // namespace rtsup::test
