#include "broker/services/forwarder.h"

#include <cstring>
#include <utility>

namespace rtsup::broker {

Forwarder::Forwarder(const std::vector<Shard>& shards, const Placement& placement, uint32_t own,
                     AnswerBuilder& builder)
    : shards_(shards),
      placement_(placement),
      own_(own),
      builder_(builder),
      pending_(kForwardedPendingMax, [this] { return Forwarded(*this); }) {}

uint32_t Forwarder::owner_of(uint16_t opcode, const Decision& decision) const noexcept {
  switch (abi::service_of(opcode)) {
    case abi::service_of(abi::op::kStateGet):
    case abi::service_of(abi::op::kPubsubPublish):
    case abi::service_of(abi::op::kSequencerNext):
      return placement_.of(decision.component);
    case abi::service_of(abi::op::kInvokeCall):
      return placement_.of(decision.callee);
    default:
      return kHomeShard;
  }
}

bool Forwarder::forward(Call& call, const Decision& decision) {
  const uint32_t owner = owner_of(call.operation().opcode, decision);
  if (owner == own_) {
    return false;
  }
  Forwarded* const forwarded = pending_.take();
  if (forwarded == nullptr) {
    answer_failure(call, builder_, abi::Reason::kTooManyCalls);
  } else if (!forwarded->take(call)) {
    pending_.give(forwarded);
    answer_failure(call, builder_, abi::Reason::kNoMemory);
  } else {
    forwarded->go(decision, shards_[owner]);
  }
  return true;
}

bool Forwarder::Copied::take(const Payload& payload, const MemoryShare& share) {
  if (const ValueRef* const fetched = payload.value(); fetched != nullptr) {
    value_ = *fetched;
    return true;
  }
  ValueRef copy = ValueRef::make(payload.size(), share);  // apart: it may be this one's
  if (copy.size() != payload.size()) {
    return false;
  }
  if (payload.size() > 0) {
    payload.copy(0, copy.fill());
  }
  value_ = std::move(copy);
  return true;
}

void Forwarder::Copied::copy(size_t offset, std::span<std::byte> out) const noexcept {
  if (!out.empty()) {
    std::memcpy(out.data(), value_.bytes().data() + offset, out.size());
  }
}

bool Forwarder::Forwarded::take(Call& origin) {
  origin_ = &origin;
  operation_ = &origin.operation();
  principal_ = &origin.principal();
  metadata_ = origin.metadata();
  memory_ = origin.memory();
  session_ = origin.session();
  return payload_.take(origin.payload(), memory_);
}

void Forwarder::Forwarded::go(const Decision& decision, const Shard& owner) {
  decision_ = decision;
  calls_ = owner.calls;
  owner.post->post([this] { calls_->serve(*this, decision_); });
}

void Forwarder::Forwarded::answer(Status status, std::span<const std::byte> metadata,
                                  const ValueRef& value) {
  status_ = status;
  answer_.assign(metadata.begin(), metadata.end());
  // The count of a value in shared memory is one thread's.
  value_ = value.memory() == nullptr ? value : ValueRef::copy_of(value.bytes());
  come_back();
}

void Forwarder::Forwarded::answer_from(Status status, std::span<const std::byte> metadata,
                                       const Payload& payload) {
  status_ = status;
  answer_.assign(metadata.begin(), metadata.end());
  // The request's place is free by now, and nobody reads it again.
  lacks_memory_ = !payload_.take(payload, memory_);
  value_ = payload_.bytes();
  come_back();
}

void Forwarder::Forwarded::come_back() {
  forwarder_->shards_[forwarder_->own_].post->post([this] {
    Call& origin = *std::exchange(origin_, nullptr);
    payload_.clear();
    if (std::exchange(lacks_memory_, false)) {
      value_ = {};
      answer_failure(origin, forwarder_->builder_, abi::Reason::kNoMemory);
    } else {
      origin.answer(status_, answer_, std::exchange(value_, {}));
    }
    forwarder_->pending_.give(this);
  });
}

}  // namespace rtsup::broker
