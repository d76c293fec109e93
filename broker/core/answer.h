// AnswerBuilder: the one buffer in which answers' tables are built, kept warm so that answering
// allocates nothing; and the answers that every service gives in the same way.
// Owns:    the buffer. What finished() returns is valid until the next start(). An observer must
//          outlive the calls.
// Threads: the shard's only; one table at a time.
#pragma once

#include <flatbuffers/flatbuffers.h>

#include <cstdint>
#include <span>

#include "abi/reason.h"
#include "broker/core/call.h"

namespace rtsup::broker {

// Hears of each call that answer_failure() ends, while its table is still there.
class RefusalObserver {
 public:
  virtual ~RefusalObserver() = default;
  virtual void refused(const Call& call, abi::Reason reason) = 0;
};

class AnswerBuilder {
 public:
  AnswerBuilder() : builder_(kWarmBytes) {}

  void observe(RefusalObserver* observer) noexcept { observer_ = observer; }
  void refuse(const Call& call, abi::Reason reason) const {
    if (observer_ != nullptr) {
      observer_->refused(call, reason);
    }
  }

  // An empty builder, for a new table.
  flatbuffers::FlatBufferBuilder& start() {
    builder_.Clear();
    return builder_;
  }
  // The builder of the table under construction.
  flatbuffers::FlatBufferBuilder& current() noexcept { return builder_; }
  template <typename Table>
  std::span<const std::byte> finish(flatbuffers::Offset<Table> root) {
    builder_.Finish(root);
    return {reinterpret_cast<const std::byte*>(builder_.GetBufferPointer()), builder_.GetSize()};
  }

 private:
  static constexpr size_t kWarmBytes = 16 * 1024;  // most answers; a larger one grows it once
  flatbuffers::FlatBufferBuilder builder_;
  RefusalObserver* observer_ = nullptr;
};

// Answers with the reason's own status, a Failure table and no payload.
void answer_failure(Call& call, AnswerBuilder& builder, abi::Reason reason,
                    uint32_t retry_after_ms = 0);
// The same with a status of the caller's choice.
void answer_failure_as(Call& call, AnswerBuilder& builder, Status status, abi::Reason reason);

}  // namespace rtsup::broker
