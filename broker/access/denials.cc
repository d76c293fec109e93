#include "broker/access/denials.h"

#include <algorithm>
#include <bit>

#include "abi/kind_hash.h"

namespace rtsup::broker {
namespace {

template <size_t kSize>
void put(char (&to)[kSize], std::string_view text) noexcept {
  text.copy(to, kSize);  // unlike memcpy, also when it is empty and nowhere
}

}  // namespace

Denials::Denials(size_t functions, const Timers& timers, DenialSink& sink)
    : timers_(timers), sink_(sink), rows_(functions) {}

void Denials::refused(const Call& call, abi::Reason reason) {
  const Status status = abi::reason_status(reason);
  if (call.principal().kind != abi::PrincipalKind::kFunction ||
      (status != Status::kPermissionDenied && status != Status::kResourceExhausted)) {
    return;
  }
  const Subject subject = subject_of(call);
  note({.function = call.principal().function,
        .instance = call.principal().instance,
        .opcode = call.operation().opcode,
        .reason = abi::reason_name(reason),
        .component = subject.component,
        .target = subject.target,
        .targets = subject.targets});
}

void Denials::gave_up(FunctionIndex subscriber, std::string_view component, std::string_view topic,
                      uint32_t attempts) {
  note({.function = subscriber,
        .opcode = abi::op::kEventMessage,
        .reason = abi::kGaveUpReason,
        .component = component,
        .target = topic,
        .targets = attempts});
}

void Denials::note(const Fact& fact) {
  Row& row = rows_[fact.function.value];
  // Of no more than is told: a name may be as long as a table.
  const uint64_t hash = abi::KindHash()
                            .add(fact.opcode)
                            .add(fact.reason, abi::kDenialReasonBytes)
                            .add(fact.component, abi::kDenialComponentBytes)
                            .add(fact.target, abi::kDenialTargetBytes)
                            .value();
  const auto known = std::find_if(row.kinds.begin(), row.kinds.end(), [hash](const Kind& kind) {
    return kind.count != 0 && kind.hash == hash;
  });
  if (known != row.kinds.end()) {
    known->last_ns = timers_.now_ns();
    if (std::has_single_bit(++known->count) && take_report(row)) {
      tell(fact, known->count, row);
    }
    return;
  }
  if (!take_report(row)) {
    ++row.unlisted;
    return;
  }
  // An unused one is older than any.
  Kind& oldest =
      *std::min_element(row.kinds.begin(), row.kinds.end(),
                        [](const Kind& a, const Kind& b) { return a.last_ns < b.last_ns; });
  oldest = {.hash = hash, .count = 1, .last_ns = timers_.now_ns()};
  tell(fact, 1, row);
}

bool Denials::take_report(Row& row) const noexcept {
  const uint64_t now = timers_.now_ns();
  if (row.reports == kReportsBurst) {
    row.earned_ns = now;  // nothing is earned while all are in hand
  }
  const uint64_t earned = now < row.earned_ns ? 0 : (now - row.earned_ns) / kReportEarnedNs;
  row.earned_ns += earned * kReportEarnedNs;
  row.reports = static_cast<uint32_t>(std::min<uint64_t>(kReportsBurst, row.reports + earned));
  if (row.reports == 0) {
    return false;
  }
  --row.reports;
  return true;
}

void Denials::tell(const Fact& fact, uint64_t count, Row& row) {
  abi::DenialReport report{};
  report.magic = abi::kDenialMagic;
  report.function = fact.function.value;
  report.instance = fact.instance;
  report.opcode = fact.opcode;
  report.count = count;
  report.unlisted = row.unlisted;
  name_in(report, {.component = fact.component, .target = fact.target, .targets = fact.targets});
  put(report.reason, fact.reason.substr(0, sizeof report.reason - 1));
  row.unlisted = 0;
  sink_.report(report);
}

void name_in(abi::DenialReport& report, const Subject& subject) noexcept {
  report.targets = subject.targets;
  // Tables are far shorter than 64 KiB where names are concerned; beyond it a length says no more.
  report.component_bytes =
      static_cast<uint16_t>(std::min<size_t>(subject.component.size(), UINT16_MAX));
  report.target_bytes = static_cast<uint32_t>(std::min<size_t>(subject.target.size(), UINT32_MAX));
  put(report.component, subject.component);
  put(report.target, subject.target);
}

}  // namespace rtsup::broker
