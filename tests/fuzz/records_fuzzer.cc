// Records: what broker, monitor and the processes under launch send to the supervisor, which takes
//          none of it on trust, and what `rtsup why` makes of it afterwards. Input: datagrams, each
//          with the link it comes over and its length.
#include <cstring>
#include <nlohmann/json.hpp>
#include <vector>

#include "abi/launch_record.h"
#include "supervisor/base/denials.h"
#include "supervisor/base/links.h"
#include "supervisor/base/report.h"
#include "supervisor/denials/explain.h"
#include "supervisor/lifecycle/cause.h"
#include "tests/fuzz/require.h"
#include "tests/fuzz/script.h"

namespace rtsup::fuzz {
namespace {

using supervisor::Cause;
using supervisor::CauseKind;

manifest::Manifest one_function() {
  manifest::Manifest manifest;
  manifest.name = "app";
  manifest.functions.emplace_back().name = "f";
  return manifest;
}

const supervisor::Offender& offender() {
  static const manifest::Manifest manifest = one_function();
  static const supervisor::Offender offender = {
      .manifest = manifest, .function = 0, .instance = 1, .worker = 2, .pid = 3};
  return offender;
}

void check_text(const std::string& text) {
  for (const char byte : text) {
    RTSUP_REQUIRE(byte >= ' ' && byte <= '~', "a cause that a terminal would obey");
  }
}

void check_line(const std::string& line) {
  RTSUP_REQUIRE(line.find('\n') == line.size() - 1, "a record of more than one line");
  RTSUP_REQUIRE(nlohmann::json::parse(line).is_object(), "a record that is no object");
  const auto denial = supervisor::read_denial(line);
  RTSUP_REQUIRE(denial.has_value(), "a record that can not be read again");
  const supervisor::Explanation why = supervisor::explain(*denial, "");
  for (const std::string& text : {why.missing, why.line, why.group, why.opens, why.where}) {
    check_text(text);
  }
  RTSUP_REQUIRE(nlohmann::json::parse("{" + why.line + "}").is_object(), "a line that is no JSON");
}

// Makes of each record whatever the supervisor makes of it.
class Handler final : public supervisor::BrokerReports, public supervisor::MonitorReports {
 public:
  void on_broker_report(const abi::LinkReport& report, sys::UniqueFd /*fd*/) override {
    ++taken;
    RTSUP_REQUIRE(report.magic == abi::kLinkMagic, "WRONG ACCEPT: a report without its magic");
    check_line(supervisor::denial_line(offender(), report, report.number));
    check_text(supervisor::describe_refusal(report.number));
    for (uint8_t kind = 0; kind <= static_cast<uint8_t>(CauseKind::kStopped); ++kind) {
      check_text(describe(Cause{.kind = CauseKind{kind},
                                .number = static_cast<int64_t>(report.number),
                                .error = abi::unpack_error(report.number)}));
    }
    check_text(describe(
        Cause{.kind = CauseKind::kChannel, .number = static_cast<int64_t>(report.reason)}));
  }
  void on_monitor_report(const abi::MonitorReport& report) override {
    ++taken;
    RTSUP_REQUIRE(report.magic == abi::kMonitorMagic, "WRONG ACCEPT: a report without its magic");
    check_line(supervisor::denial_line(offender(), report, report.instruction));
    check_line(supervisor::denial_line(offender(), report, std::nullopt));
    check_text(supervisor::describe_call(report));
  }
  void on_broker_denial(const abi::DenialReport& report) override {
    ++taken;
    RTSUP_REQUIRE(report.magic == abi::kDenialMagic, "WRONG ACCEPT: a denial without its magic");
    check_line(supervisor::denial_line(offender(), report, report.count));
  }
  size_t taken = 0;
};

void read_launch_record(std::span<const std::byte> bytes) {
  abi::LaunchRecord record{};
  std::memcpy(&record, bytes.data(), std::min(bytes.size(), sizeof record));
  check_text(describe(Cause{.kind = CauseKind::kLaunchFailed, .error = record.error}));
}

template <typename Link, typename Record>
void deliver(std::span<const std::byte> bytes, uint32_t magic) {
  auto pair = sys::create_seqpacket_pair();
  RTSUP_REQUIRE(pair && sys::send_message(pair->first.get(), bytes), "no socket to fuzz with");
  uint32_t first = 0;
  std::memcpy(&first, bytes.data(), std::min(bytes.size(), sizeof first));
  Handler handler;
  Link link(std::move(pair->second), handler);
  RTSUP_REQUIRE(link.receive(), "the other end is there");
  const bool is_denial = std::is_same_v<Link, supervisor::BrokerLink> &&
                         bytes.size() == sizeof(abi::DenialReport) && first == abi::kDenialMagic;
  const bool is_due = is_denial || (bytes.size() == sizeof(Record) && first == magic);
  RTSUP_REQUIRE(handler.taken == (is_due ? 1U : 0U), "WRONG ACCEPT: a record that is none");
}

}  // namespace
}  // namespace rtsup::fuzz

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer finds it by this name
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  rtsup::fuzz::Script script(data, size);
  for (int records = 0; records < 16 && !script.at_end(); ++records) {
    const uint32_t kind = script.below(3);
    const uint8_t length = script.byte();
    constexpr size_t kLongest = 512;
    std::vector<std::byte> bytes(length == UINT8_MAX ? kLongest : 1U + length);
    script.fill(bytes);
    if (kind == 0) {
      rtsup::fuzz::deliver<rtsup::supervisor::BrokerLink, rtsup::abi::LinkReport>(
          bytes, rtsup::abi::kLinkMagic);
    } else if (kind == 1) {
      rtsup::fuzz::deliver<rtsup::supervisor::MonitorLink, rtsup::abi::MonitorReport>(
          bytes, rtsup::abi::kMonitorMagic);
    } else {
      rtsup::fuzz::read_launch_record(bytes);
    }
  }
  return 0;
}
