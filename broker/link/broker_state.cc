#include "broker/link/broker_state.h"

#include <array>

#include "schemas/plan_generated.h"

namespace rtsup::broker {
namespace {

// In the order of the file; later ones are added at the end. Not `sessions`, which is no count of
// what was used.
constexpr std::array kCounts = {&FunctionMeter::calls,          &FunctionMeter::denied,
                                &FunctionMeter::failed,         &FunctionMeter::events,
                                &FunctionMeter::bytes_in,       &FunctionMeter::bytes_out,
                                &FunctionMeter::violations,     &FunctionMeter::broker_ns,
                                &FunctionMeter::doorbells_sent, &FunctionMeter::doorbells_received,
                                &FunctionMeter::bytes_copied,   &FunctionMeter::payload_copies};

Error other_plan() noexcept {
  return {.status = Status::kFailedPrecondition, .step = Step::kHandover};
}

std::string_view view(const flatbuffers::String& text) noexcept {
  return {text.c_str(), text.size()};
}

void put_counts(HandoverWriter& writer, const FunctionMeter& meter) {
  writer.u32(kCounts.size());
  for (const auto count : kCounts) {
    writer.u64(meter.*count);
  }
}

// Those of a broker that knew fewer stay 0; of one that knew more, the rest has no place here.
void take_counts(HandoverRecord& record, FunctionMeter& meter) {
  const uint32_t given = record.u32();
  for (uint32_t i = 0; i < given && record.is_whole(); ++i) {
    const uint64_t value = record.u64();
    if (i < kCounts.size()) {
      meter.*kCounts[i] = value;
    }
  }
}

void put_function(HandoverWriter& writer, const BrokerState& state, const Meter& readings,
                  uint32_t index) {
  const plan::Function& function = *(*state.plan.functions())[index];
  const TokenBucket::Level level = state.quota.bucket(FunctionIndex{index}).level();
  writer.begin(HandoverKind::kFunction);
  writer.text(view(*function.name()));
  writer.u32(function.calls_per_second());
  writer.u64(level.units);
  writer.u64(level.filled_at_ns);
  put_counts(writer, readings.functions()[index]);
  writer.end();
}

// One file, read record by record.
class Import {
 public:
  explicit Import(const BrokerState& state) : state_(state) {}

  Result<void> take(HandoverRecord& record) {
    switch (record.kind()) {
      case HandoverKind::kOwner:
        return take_owner(record);
      case HandoverKind::kFunction:
        return take_function(record);
      case HandoverKind::kOperator:
        take_counts(record, state_.meter.operator_row());
        return record.is_whole() ? Result<void>() : Result<void>(record.refused());
      case HandoverKind::kComponent:
        return take_component(record);
      default:
        return component_ == nullptr ? Result<void>(record.refused())
                                     : component_->take_over(record);
    }
  }
  Result<void> finish() {
    RTSUP_TRY(end_component());
    const bool is_all = is_owner_known_ && functions_ == state_.plan.functions()->size();
    return is_all ? Result<void>() : Result<void>(other_plan());
  }

 private:
  Result<void> take_owner(HandoverRecord& record) {
    is_owner_known_ = record.text() == view(*state_.plan.tenant()) &&
                      record.text() == view(*state_.plan.application());
    return is_owner_known_ ? Result<void>() : Result<void>(other_plan());
  }
  Result<void> take_function(HandoverRecord& record) {
    if (functions_ == state_.plan.functions()->size()) {
      return other_plan();
    }
    const plan::Function& function = *(*state_.plan.functions())[functions_];
    const bool is_same = record.text() == view(*function.name());
    const bool is_same_rate = record.u32() == function.calls_per_second();
    const TokenBucket::Level level{.units = record.u64(), .filled_at_ns = record.u64()};
    take_counts(record, state_.meter.function(functions_));
    if (!record.is_whole() || !is_same) {
      return record.is_whole() ? other_plan() : record.refused();
    }
    if (is_same_rate) {
      state_.quota.bucket(FunctionIndex{functions_}).set_level(level);
    }
    ++functions_;
    return {};
  }
  Result<void> take_component(HandoverRecord& record) {
    RTSUP_TRY(end_component());
    const std::string_view name = record.text();
    const std::string_view type = record.text();
    const auto& components = *state_.plan.components();
    // In the plan's order, so that none comes twice.
    for (; next_ < components.size(); ++next_) {
      if (view(*components[next_]->name()) == name && view(*components[next_]->type()) == type) {
        component_ = state_.components.movable(next_++);
        break;
      }
    }
    return component_ == nullptr ? Result<void>(other_plan()) : Result<void>();
  }
  Result<void> end_component() {
    Movable* const ended = std::exchange(component_, nullptr);
    return ended == nullptr ? Result<void>() : ended->taken_over();
  }

  const BrokerState& state_;
  Movable* component_ = nullptr;
  uint32_t next_ = 0;
  uint32_t functions_ = 0;
  bool is_owner_known_ = false;
};

}  // namespace

Result<sys::UniqueFd> hand_over_state(const BrokerState& state, const Meter& readings) {
  RTSUP_ASSIGN(HandoverWriter writer, HandoverWriter::create());
  writer.begin(HandoverKind::kOwner);
  writer.text(view(*state.plan.tenant()));
  writer.text(view(*state.plan.application()));
  writer.end();
  for (uint32_t i = 0; i < state.plan.functions()->size(); ++i) {
    put_function(writer, state, readings, i);
  }
  Meter all = readings;
  writer.begin(HandoverKind::kOperator);
  put_counts(writer, all.operator_row());
  writer.end();
  for (uint32_t i = 0; i < state.plan.components()->size(); ++i) {
    if (const Movable* const movable = state.components.movable(i); movable != nullptr) {
      const plan::Component& component = *(*state.plan.components())[i];
      writer.begin(HandoverKind::kComponent);
      writer.text(view(*component.name()));
      writer.text(view(*component.type()));
      writer.end();
      movable->hand_over(writer);
    }
  }
  return writer.finish();
}

Result<void> take_over_state(const BrokerState& state, std::span<const std::byte> file) {
  RTSUP_ASSIGN(HandoverReader reader, HandoverReader::open(file));
  Import import(state);
  while (auto record = reader.next()) {
    RTSUP_TRY(import.take(*record));
  }
  return import.finish();
}

}  // namespace rtsup::broker
