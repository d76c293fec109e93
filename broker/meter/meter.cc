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

}  // namespace rtsup::broker
