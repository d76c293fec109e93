#include "broker/services/forwarder.h"

#include <cstring>
#include <utility>

#include "broker/core/limits.h"

namespace rtsup::broker {

Forwarder::Forwarder(const std::vector<Shard>& shards, uint32_t own, AnswerBuilder& builder)
    : shards_(shards),
      own_(own),
      builder_(builder),
      pending_(kForwardedPendingMax, [this] { return Forwarded(*this); }) {}

void Forwarder::forward(Call& call, const Decision& decision, uint32_t owner) {
  Forwarded* const forwarded = pending_.take();
  if (forwarded == nullptr) {
    return answer_failure(call, builder_, abi::Reason::kTooManyCalls);
  }
  if (!forwarded->take(call.payload())) {
    pending_.give(forwarded);
    return answer_failure(call, builder_, abi::Reason::kNoMemory);
  }
  forwarded->go(call, decision, shards_[owner]);
}

bool Forwarder::Copied::take(const Payload& payload) {
  ValueRef copy = ValueRef::make(payload.size());  // apart: it may be this one's
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

void Forwarder::Forwarded::go(Call& origin, const Decision& decision, const Shard& owner) {
  origin_ = &origin;
  decision_ = decision;
  calls_ = owner.calls;
  owner.post->post([this] { calls_->serve(*this, decision_); });
}

void Forwarder::Forwarded::answer(Status status, std::span<const std::byte> metadata,
                                  ValueRef value) {
  status_ = status;
  answer_.assign(metadata.begin(), metadata.end());
  // The count of a value in shared memory is one thread's.
  value_ = value.memory() == nullptr ? std::move(value) : ValueRef::copy_of(value.bytes());
  come_back();
}

void Forwarder::Forwarded::answer_from(Status status, std::span<const std::byte> metadata,
                                       const Payload& payload) {
  status_ = status;
  answer_.assign(metadata.begin(), metadata.end());
  // The request's place is free by now, and nobody reads it again.
  lacks_memory_ = !payload_.take(payload);
  value_ = payload_.value();
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
