#include "supervisor/base/denials.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/audit.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "abi/operation.h"
#include "supervisor/denials/call_text.h"
#include "supervisor/denials/explain.h"
#include "supervisor/denials/learned.h"

namespace rtsup::supervisor {
namespace {

namespace fs = std::filesystem;

manifest::Manifest shop() {
  manifest::Manifest manifest;
  manifest.path = "/srv/shop/manifest.json";
  manifest.name = "shop";
  manifest.components.emplace_back().name = "store";
  manifest::Function cart;
  cart.name = "cart";
  cart.policy.name = "policies/cart.json";
  cart.policy.digest = "abcd";
  cart.policy.resources.calls_per_second = 50;
  cart.policy.security.filter.rules.emplace_back().call = manifest::call_number("openat");
  manifest.functions.push_back(cart);
  return manifest;
}

abi::MonitorReport call_report(const char* call, std::initializer_list<uint64_t> arguments) {
  abi::MonitorReport report{};
  report.arch = AUDIT_ARCH_X86_64;
  report.call = manifest::call_number(call);
  report.pid = 77;
  report.instruction = 0x401000;
  std::copy(arguments.begin(), arguments.end(), report.arguments);
  return report;
}

abi::DenialReport denial_report(uint16_t opcode, const std::string& reason,
                                const std::string& component, const std::string& target) {
  abi::DenialReport report{};
  report.opcode = opcode;
  report.count = 1;
  report.targets = 1;
  report.component_bytes = static_cast<uint16_t>(component.size());
  report.target_bytes = static_cast<uint32_t>(target.size());
  reason.copy(report.reason, sizeof report.reason);
  component.copy(report.component, sizeof report.component);
  target.copy(report.target, sizeof report.target);
  return report;
}

bool is_printable(const std::string& text) {
  return std::all_of(text.begin(), text.end(),
                     [](char byte) { return byte >= ' ' && byte <= '~'; });
}

class DenialRecordTest : public ::testing::Test {
 protected:
  Denial read(const abi::MonitorReport& report, std::optional<uint64_t> stack = 0x7ff0) {
    return read_denial(denial_line(offender_, report, stack)).value();
  }
  Denial read(const abi::DenialReport& report) {
    return read_denial(denial_line(offender_, report, 0)).value();
  }
  static Explanation explained(const Denial& denial) {
    return explain(denial, RTSUP_SOURCE_DIR "/policies");
  }

  const manifest::Manifest manifest_ = shop();
  const Offender offender_{
      .manifest = manifest_, .function = 0, .instance = 2, .worker = 9, .pid = 70};
};

TEST_F(DenialRecordTest, CallIsReadBackAsItWasSeen) {
  abi::MonitorReport report = call_report("openat", {0xffffff9c, 0x7fff, 0x80042, 0600});
  constexpr char kPath[] = "/etc/\033[2J\"\n";
  std::memcpy(report.path, kPath, sizeof kPath - 1);
  report.path_bytes = sizeof kPath - 1;
  const Denial denial = read(report);
  EXPECT_EQ(denial.function, "cart");
  EXPECT_EQ(denial.instance, 2U);
  EXPECT_EQ(denial.policy_digest, "abcd");
  EXPECT_EQ(denial.rule, "arguments");
  EXPECT_EQ(denial.thread, 77);
  EXPECT_EQ(denial.instruction, 0x401000U);
  EXPECT_EQ(denial.stack_pointer, 0x7ff0U);
  EXPECT_EQ(denial.path, kPath);
  EXPECT_EQ(call_text(denial),
            "openat(dirfd=AT_FDCWD, path=\"/etc/\\x1b[2J\"\\n\" (as seen), "
            "flags=O_RDWR|O_CREAT|O_CLOEXEC, mode=0600)");
}

TEST_F(DenialRecordTest, PathOfAThreadThatWasNotFoundIsLeftOut) {
  abi::MonitorReport report = call_report("openat", {0xffffff9c, 0x7fff});
  report.path[0] = 'x';
  report.path_bytes = 1;
  EXPECT_FALSE(read(report, std::nullopt).path);
}

TEST_F(DenialRecordTest, LengthsThatAreTooLargeReachNothing) {
  abi::MonitorReport report = call_report("openat", {});
  std::memset(report.path, 'x', sizeof report.path);
  report.path_bytes = UINT32_MAX;
  EXPECT_EQ(read(report).path->size(), sizeof report.path);
  abi::DenialReport denied = denial_report(abi::op::kStateGet, "NOT_GRANTED", "store", "k");
  denied.component_bytes = UINT16_MAX;
  denied.target_bytes = UINT32_MAX;
  EXPECT_EQ(read(denied).component.size(), sizeof denied.component);
  EXPECT_EQ(read(denied).target.size(), sizeof denied.target);
}

TEST_F(DenialRecordTest, ArgumentsAreNamedAsPoliciesNameThem) {
  const auto text = [this](const char* call, std::initializer_list<uint64_t> arguments) {
    return call_text(read(call_report(call, arguments)));
  };
  EXPECT_EQ(text("socket", {2, 0x80002, 17}),
            "socket(domain=AF_INET, type=SOCK_DGRAM|SOCK_CLOEXEC, protocol=IPPROTO_UDP)");
  EXPECT_EQ(text("mprotect", {0x1000, 4096, 7}),
            "mprotect(addr=0x1000, length=0x1000, prot=PROT_READ|PROT_WRITE|PROT_EXEC)");
  EXPECT_EQ(text("mmap", {0, 4096, 0, 0x22, 0xffffffff, 0}),
            "mmap(addr=0x0, length=0x1000, prot=PROT_NONE, flags=MAP_PRIVATE|MAP_ANONYMOUS, "
            "fd=0xffffffff, offset=0)");
  EXPECT_EQ(text("socket", {999, 0, 0}), "socket(domain=0x3e7, type=0x0, protocol=IPPROTO_IP)");
  EXPECT_EQ(text("ptrace", {16, 1}), "ptrace(0x10, 0x1, 0x0, 0x0, 0x0, 0x0)") << "no prototype";
}

TEST_F(DenialRecordTest, ConstantsReadBackAsTheValue) {
  for (const uint64_t flags : {0UL, 0x80042UL, 0x401001UL, 0xFFFFFFFFUL, 0x410000UL}) {
    const Denial denial = read(call_report("openat", {0, 0, flags}));
    const auto text = constant_text(denial, manifest::arguments_of(257)[2]);
    ASSERT_TRUE(text);
    EXPECT_EQ(manifest::parse_value(*text), flags) << *text;
  }
}

TEST_F(DenialRecordTest, CallGetsTheNarrowestLineAndTheGroup) {
  const Explanation why = explained(read(call_report("socket", {2, 1, 0})));
  EXPECT_EQ(why.missing, "no rule names socket");
  EXPECT_EQ(why.line, R"("security": { "syscalls": { "allow": [ {"call":"socket","args":{"domain":)"
                      R"({"equals":"AF_INET"},"type":{"equals":"SOCK_STREAM"},"protocol":)"
                      R"({"equals":"IPPROTO_IP"}}} ] } })");
  EXPECT_EQ(why.group, R"("security": { "syscalls": { "allow": [ "@network-client" ] } })");
  EXPECT_FALSE(why.opens.empty());
  EXPECT_EQ(why.where, "/srv/shop/policies/cart.json");
  EXPECT_EQ(explained(read(call_report("socket", {16, 3, 0}))).group, "")
      << "not a raw netlink one";
}

TEST_F(DenialRecordTest, WhatNoPolicyMayAllowGetsNoLine) {
  for (const char* const call : {"ptrace", "bpf", "mount", "io_uring_setup", "unshare"}) {
    const Explanation why = explained(read(call_report(call, {})));
    EXPECT_EQ(why.line, "") << call;
    EXPECT_TRUE(why.note.starts_with("No policy may allow it: ")) << call << ": " << why.note;
  }
  const Explanation executable = explained(read(call_report("mprotect", {0x1000, 4096, 6})));
  EXPECT_EQ(executable.line, "") << "writable and executable";
  abi::MonitorReport foreign = call_report("openat", {});
  foreign.arch = AUDIT_ARCH_I386;
  EXPECT_EQ(explained(read(foreign)).line, "");
  abi::MonitorReport unheard = call_report("openat", {});
  unheard.call = 100'000;
  EXPECT_EQ(explained(read(unheard)).line, "");
}

TEST_F(DenialRecordTest, GrantsAreWrittenAsPoliciesWantThem) {
  const auto line = [this](uint16_t opcode, const std::string& component,
                           const std::string& target) {
    return explained(read(denial_report(opcode, "NOT_GRANTED", component, target))).line;
  };
  EXPECT_EQ(
      line(abi::op::kStateUploadPart, "store", "cart/7"),
      R"("services": { "state": [ {"component":"store","keys":["cart/7"],"allow":["set"]} ] })");
  EXPECT_EQ(line(abi::op::kInvokeCall, "", "cart"), R"("services": { "invoke": [ "cart" ] })");
  EXPECT_EQ(line(abi::op::kPubsubPublish, "bus", "a"),
            R"("services": { "pubsub": [ {"component":"bus","publish":["a"]} ] })");
  EXPECT_EQ(line(abi::op::kPubsubSubscribe, "bus", "a"),
            R"("services": { "pubsub": [ {"component":"bus","subscribe":["a"]} ] })");
  EXPECT_EQ(
      line(abi::op::kSequencerNext, "ids", "n"),
      R"("services": { "sequencer": [ {"component":"ids","names":["n"],"allow":["next"]} ] })");
  EXPECT_EQ(line(abi::op::kBaseUsage, "", ""), "") << "no policy grants it";
}

TEST_F(DenialRecordTest, WhatIsNotThereIsSaid) {
  const auto note = [this](uint16_t opcode, const std::string& component,
                           const std::string& target) {
    return explained(read(denial_report(opcode, "NOT_GRANTED", component, target))).note;
  };
  EXPECT_EQ(note(abi::op::kStateGet, "store", "k"), "");
  EXPECT_NE(note(abi::op::kStateGet, "nowhere", "k").find("no component"), std::string::npos);
  EXPECT_EQ(note(abi::op::kInvokeCall, "", "cart"), "");
  EXPECT_NE(note(abi::op::kInvokeCall, "", "nobody").find("no function"), std::string::npos);
}

TEST_F(DenialRecordTest, QuotasNameTheirLimit) {
  const Explanation calls =
      explained(read(denial_report(abi::op::kStateGet, "CALLS_PER_SECOND", "store", "k")));
  EXPECT_EQ(calls.missing, "\"calls_per_second\" is 50");
  EXPECT_EQ(calls.line, R"("resources": { "calls_per_second": 100 })");
  const Explanation memory = explained(read_denial(out_of_memory_line(offender_, 0)).value());
  EXPECT_EQ(memory.line, R"("resources": { "memory": "128MiB" })");
  const Explanation full =
      explained(read(denial_report(abi::op::kPubsubPublish, "SUBSCRIBER_FULL", "bus", "a")));
  EXPECT_EQ(full.line, "");
  EXPECT_NE(full.missing.find("queue of a subscriber"), std::string::npos) << full.missing;
}

TEST_F(DenialRecordTest, HostileNamesAreHarmlessWhereverTheyAreShown) {
  const std::string names[] = {
      "\033]0;owned\a",    "a\",\n\"allow\":[\"*\"]",  "\xff\xfe\x80",
      "evil \xe2\x80\xae", std::string("nul\0nul", 7), std::string(336, '"')};
  for (const std::string& name : names) {
    const Denial denial = read(denial_report(abi::op::kStateGet, "NOT_GRANTED", name, name));
    EXPECT_EQ(denial.target, name);
    const Explanation why = explained(denial);
    for (const std::string& text : {why.asked, why.missing, why.line, why.opens, why.note}) {
      EXPECT_TRUE(is_printable(text)) << text;
    }
    const auto policy = nlohmann::json::parse("{" + why.line + "}");
    EXPECT_EQ(policy["services"]["state"].size(), 1U) << "one grant, and of nothing more";
    EXPECT_EQ(policy["services"]["state"][0]["allow"], nlohmann::json({"get"}));
  }
}

TEST_F(DenialRecordTest, ReasonThatIsNoneIsNotPassedOn) {
  EXPECT_EQ(read(denial_report(abi::op::kStateGet, "\033[2J", "store", "k")).reason, "UNKNOWN");
  abi::DenialReport endless = denial_report(abi::op::kStateGet, "", "store", "k");
  std::memset(endless.reason, 'A', sizeof endless.reason);
  EXPECT_EQ(read(endless).reason.size(), sizeof endless.reason);
}

TEST_F(DenialRecordTest, LinesThatAreNoneAreLeftOut) {
  const std::string good = denial_line(offender_, call_report("socket", {2}), std::nullopt);
  const std::string text = good + "\n{\n[1]\nnull\n{\"v\":2}\n{\"v\":1,\"boundary\":7," +
                           R"("arguments":["0xzz",3],"path_hex":"4g","number":"41"})" + "\n" +
                           good.substr(0, good.size() / 2);
  const std::vector<Denial> denials = read_denials(text);
  ASSERT_EQ(denials.size(), 2U);
  EXPECT_EQ(denials[0].call, "socket");
  EXPECT_EQ(denials[1].path, "") << "no digits, no bytes";
  EXPECT_TRUE(is_printable(explained(denials[1]).asked));
}

TEST_F(DenialRecordTest, SameCallFromAnotherAddressIsOfTheSameKind) {
  const Denial one = read(call_report("openat", {0xffffff9c, 0x1000, 2}));
  EXPECT_EQ(kind_of(one), kind_of(read(call_report("openat", {0xffffff9c, 0x2000, 2}))));
  EXPECT_NE(kind_of(one), kind_of(read(call_report("openat", {0xffffff9c, 0x1000, 1}))));
}

class DenialLogTest : public ::testing::Test {
 protected:
  void SetUp() override { fs::create_directories(folder_); }
  void TearDown() override { fs::remove_all(folder_); }
  const std::string folder_ =
      (fs::temp_directory_path() / ("rtsup-denials-" + std::to_string(::getpid()))).string();
};

TEST_F(DenialLogTest, FullFileMakesRoomAndKeepsTheOneBefore) {
  DenialLog log(folder_);
  const std::string line(1023, 'x');
  for (uint64_t written = 0; written < 5 * kDenialBytesMax; written += line.size() + 1) {
    ASSERT_TRUE(log.append("cart", line + "\n"));
  }
  EXPECT_LE(fs::file_size(folder_ + "/cart.jsonl"), kDenialBytesMax);
  EXPECT_LE(fs::file_size(folder_ + "/cart.jsonl.1"), kDenialBytesMax);
  EXPECT_GE(fs::file_size(folder_ + "/cart.jsonl.1"), kDenialBytesMax - 1024);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 2);
  EXPECT_EQ(log.dropped(), 0U);
}

TEST_F(DenialLogTest, LineThatCanNotBeWrittenIsCounted) {
  DenialLog log(folder_ + "/nowhere");
  EXPECT_FALSE(log.append("cart", "x\n"));
  EXPECT_EQ(log.dropped(), 1U);
}

TEST_F(DenialLogTest, LinkInItsPlaceIsNotFollowed) {
  fs::create_symlink(folder_ + "/elsewhere", folder_ + "/cart.jsonl");
  DenialLog log(folder_);
  EXPECT_FALSE(log.append("cart", "x\n"));
  EXPECT_FALSE(fs::exists(folder_ + "/elsewhere"));
}

manifest::Learned learned_from(const std::string& text) {
  manifest::Learned learned;
  read_learned(text, learned);
  return learned;
}

TEST_F(DenialRecordTest, WhatIsLearnedComesBackAsItWas) {
  abi::MonitorReport call{};
  call.verb = abi::MonitorReportVerb::kSeen;
  call.arch = AUDIT_ARCH_X86_64;
  call.call = 41;
  call.arguments[0] = 2;
  call.count = 1;
  const abi::DenialReport use =
      denial_report(abi::op::kStateGet, abi::kGrantedReason, "store", "cart/1");
  const manifest::Learned learned =
      learned_from(denial_line(offender_, call, std::nullopt) + denial_line(offender_, use, 0) +
                   peaks_line({.memory_bytes = 7, .processes = 3}, 0) +
                   peaks_line({.memory_bytes = 5, .processes = 4}, 0));
  ASSERT_EQ(learned.calls().size(), 1U);
  EXPECT_EQ(learned.calls()[0].call, 41);
  EXPECT_EQ(learned.calls()[0].arguments[0], 2U);
  ASSERT_EQ(learned.uses().size(), 1U);
  EXPECT_EQ(learned.uses()[0].target, "cart/1");
  EXPECT_TRUE(learned.uses()[0].is_granted);
  EXPECT_EQ(learned.peaks().memory_bytes, 7U);
  EXPECT_EQ(learned.peaks().processes, 4U);
  EXPECT_FALSE(learned.missed_calls());
}

TEST_F(DenialRecordTest, WhatWasMissedIsKnown) {
  abi::MonitorReport call{};
  call.verb = abi::MonitorReportVerb::kSeen;
  call.arch = AUDIT_ARCH_X86_64;
  call.unlisted = 1;
  EXPECT_TRUE(learned_from(denial_line(offender_, call, std::nullopt)).missed_calls());
}

// A call that ended the worker was no call that it makes.
TEST_F(DenialRecordTest, LinesThatAreNoneTeachNothing) {
  abi::MonitorReport denied{};
  denied.verb = abi::MonitorReportVerb::kViolation;
  denied.arch = AUDIT_ARCH_X86_64;
  const manifest::Learned learned = learned_from(
      "\n{}\nnull\n[1]\n{\"v\":1\n{\"v\":2,\"boundary\":\"security\",\"enforced\":false}\n"
      "{\"v\":1,\"operation\":7,\"boundary\":[]}\n"
      "{\"v\":1,\"operation\":\"peaks\",\"memory_bytes\":-1,\"processes\":\"many\"}\n" +
      denial_line(offender_, denied, std::nullopt));
  EXPECT_TRUE(learned.is_empty());
  EXPECT_EQ(learned.peaks().memory_bytes, 0U);
}

}  // namespace
}  // namespace rtsup::supervisor
