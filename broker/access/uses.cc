#include "broker/access/uses.h"

#include <algorithm>

#include "abi/kind_hash.h"

namespace rtsup::broker {

void Uses::learn(FunctionIndex function, bool on) {
  if (function.value >= kinds_.size()) {
    return;
  }
  kinds_[function.value] = on ? std::make_unique<Kinds>() : nullptr;
  learned_ = static_cast<size_t>(std::count_if(kinds_.begin(), kinds_.end(),
                                               [](const auto& kinds) { return kinds != nullptr; }));
}

void Uses::note(const Call& call, bool is_granted) {
  const Principal& caller = call.principal();
  if (caller.kind != abi::PrincipalKind::kFunction || caller.function.value >= kinds_.size() ||
      kinds_[caller.function.value] == nullptr) {
    return;
  }
  Kinds& kinds = *kinds_[caller.function.value];
  const Subject subject = subject_of(call);
  for (uint32_t i = 0; i < subject.targets; ++i) {
    note(call, i == 0 ? subject : subject_of(call, i), is_granted, kinds);
  }
}

void Uses::note(const Call& call, const Subject& subject, bool is_granted, Kinds& kinds) {
  abi::KindHash hash;
  const uint64_t pair = hash.add(call.operation().opcode)
                            .add(is_granted ? 1 : 0)
                            .add(subject.component, abi::kDenialComponentBytes)
                            .value();
  // Of no more than is told: a name may be as long as a table.
  const uint64_t name = hash.add(subject.target, abi::kDenialTargetBytes).value();
  if (kinds.names.contains(name)) {
    return;
  }
  bool is_told = kinds.names.size() < kNamesMax;
  if (is_told) {
    kinds.names.insert(name);
  } else {
    const bool is_new_pair = kinds.pairs.size() < kPairsMax && kinds.pairs.insert(pair).second;
    is_told = abi::is_power_of_sixteen(++kinds.unlisted) || is_new_pair;
  }
  if (is_told) {
    abi::DenialReport report{};
    report.magic = abi::kDenialMagic;
    report.function = call.principal().function.value;
    report.instance = call.principal().instance;
    report.opcode = call.operation().opcode;
    name_in(report, subject);
    const std::string_view reason = is_granted ? std::string_view(abi::kGrantedReason)
                                               : abi::reason_name(abi::Reason::kNotGranted);
    reason.copy(report.reason, sizeof report.reason - 1);
    report.flags = abi::kReportIsLearned;
    report.count = 1;
    report.unlisted = kinds.unlisted;
    sink_.report(report);
  }
}

}  // namespace rtsup::broker
