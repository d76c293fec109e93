#include "broker/meter/meter.h"

namespace rtsup::broker {

FunctionMeter& FunctionMeter::operator+=(const FunctionMeter& other) noexcept {
  sessions += other.sessions;
  calls += other.calls;
  denied += other.denied;
  failed += other.failed;
  events += other.events;
  bytes_in += other.bytes_in;
  bytes_out += other.bytes_out;
  violations += other.violations;
  broker_ns += other.broker_ns;
  doorbells_sent += other.doorbells_sent;
  doorbells_received += other.doorbells_received;
  bytes_copied += other.bytes_copied;
  payload_copies += other.payload_copies;
  return *this;
}

Meter& Meter::operator+=(const Meter& other) noexcept {
  for (size_t i = 0; i < functions_.size() && i < other.functions_.size(); ++i) {
    functions_[i] += other.functions_[i];
  }
  operator_ += other.operator_;
  return *this;
}

}  // namespace rtsup::broker
