// Forwarder: takes calls to the shard that owns what they are about, and their answers back: the
// component's for state, pubsub and sequencers, the callee's for invocations, home for the rest.
// With one shard there is none. A call is checked, limited and metered where its session is; only
// then it is forwarded, with its payload copied, so that the other thread never reads a worker's
// memory.
// Owns:    a fixed number of calls under way. The shards' Posts and the table of handlers must
//          outlive it.
// Errors:  TOO_MANY_CALLS when all places are taken, NO_MEMORY for a payload that can not be
//          copied.
// Threads: its shard's; a forwarded call is handled and answered on the owner's.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "broker/access/access.h"
#include "broker/core/answer.h"
#include "broker/core/call.h"
#include "broker/core/limits.h"
#include "broker/core/placement.h"
#include "broker/core/pool.h"
#include "broker/core/post.h"

namespace rtsup::broker {

// What the owner's side does with a call that was granted.
class GrantedCalls {
 public:
  virtual ~GrantedCalls() = default;
  virtual void serve(Call& call, const Decision& decision) = 0;
};

class Forwarder {
 public:
  // One shard as the others reach it.
  struct Shard {
    Post* post = nullptr;
    GrantedCalls* calls = nullptr;
  };
  // `shards`: all of them, filled before the first call; `own`: position of this one.
  Forwarder(const std::vector<Shard>& shards, const Placement& placement, uint32_t own,
            AnswerBuilder& builder);
  Forwarder(const Forwarder&) = delete;
  Forwarder& operator=(const Forwarder&) = delete;

  // False: the call is this shard's own. Otherwise its owner answers it.
  [[nodiscard]] bool forward(Call& call, const Decision& decision);
  size_t pending() const noexcept { return pending_.taken(); }

 private:
  // A payload in private memory.
  class Copied final : public Payload {
   public:
    // False without memory. What was fetched is shared.
    bool take(const Payload& payload, const MemoryShare& share);
    void clear() noexcept { value_ = {}; }
    [[nodiscard]] size_t size() const noexcept override { return value_.size(); }
    void copy(size_t offset, std::span<std::byte> out) const noexcept override;
    // Only what is too long to be copied at once.
    [[nodiscard]] const ValueRef* value() const noexcept override {
      return value_.size() > kCopiedAtOnceMax ? &value_ : nullptr;
    }
    [[nodiscard]] const ValueRef& bytes() const noexcept { return value_; }

   private:
    ValueRef value_;
  };

  // Belongs to the origin's thread until it is posted, then to the owner's until it is answered,
  // then to the origin's again. What it refers to in the original call never changes meanwhile.
  class Forwarded final : public Call {
   public:
    explicit Forwarded(Forwarder& forwarder) : forwarder_(&forwarder) {}
    // False without memory.
    bool take(Call& origin);
    void go(const Decision& decision, const Shard& owner);

    [[nodiscard]] const Payload& payload() const noexcept override { return payload_; }
    [[nodiscard]] uint64_t deadline_ns() const noexcept override { return origin_->deadline_ns(); }
    [[nodiscard]] uint32_t depth() const noexcept override { return origin_->depth(); }
    [[nodiscard]] MemoryShare memory() const noexcept override { return memory_; }
    [[nodiscard]] SessionId session() const noexcept override { return session_; }
    void answer(Status status, std::span<const std::byte> metadata, const ValueRef& value) override;
    void answer_from(Status status, std::span<const std::byte> metadata,
                     const Payload& payload) override;

   private:
    void come_back();

    Forwarder* forwarder_;
    Call* origin_ = nullptr;
    MemoryShare memory_;
    SessionId session_;
    GrantedCalls* calls_ = nullptr;
    Decision decision_;
    Copied payload_;
    Status status_ = Status::kOk;
    std::vector<std::byte> answer_;  // keeps its memory for the next one
    ValueRef value_;
    bool lacks_memory_ = false;  // for the answer's payload
  };

  [[nodiscard]] uint32_t owner_of(uint16_t opcode, const Decision& decision) const noexcept;

  const std::vector<Shard>& shards_;
  const Placement& placement_;
  const uint32_t own_;
  AnswerBuilder& builder_;
  Pool<Forwarded> pending_;
};

}  // namespace rtsup::broker
