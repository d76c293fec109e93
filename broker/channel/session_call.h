// SessionCall: one request of a worker, from its frame to its answer, and the payload that still
// stands in the worker's memory.
// Owns:    nothing; its session owns it, all its bytes, and the answer while that waits for room.
// Units:   nanoseconds of CLOCK_MONOTONIC.
// Threads: the shard's only.
#pragma once

#include "abi/reason.h"
#include "broker/channel/deadline_heap.h"
#include "broker/channel/observer.h"
#include "broker/channel/up_region.h"
#include "broker/core/call.h"
#include "broker/core/value.h"

namespace rtsup::broker::channel {

// Bytes in a worker's region. Counts what was not read yet, to know when the worker may reuse them.
class RegionPayload final : public Payload {
 public:
  RegionPayload() noexcept = default;
  RegionPayload(WorkerBytes bytes, uint32_t window, SessionMeters* meters) noexcept
      : bytes_(bytes), window_(window), unread_(bytes.size()), meters_(meters) {}
  [[nodiscard]] size_t size() const noexcept override { return bytes_.size(); }
  void copy(size_t offset, std::span<std::byte> out) const noexcept override {
    bytes_.copy(offset, out);
    unread_ -= out.size() < unread_ ? out.size() : unread_;
    meters_->bytes_copied += out.size();
    ++meters_->payload_copies;
  }
  [[nodiscard]] bool counts_copies() const noexcept override { return true; }
  [[nodiscard]] bool is_read() const noexcept { return unread_ == 0; }
  [[nodiscard]] uint32_t window() const noexcept { return window_; }

 private:
  WorkerBytes bytes_;
  uint32_t window_ = 0;
  mutable size_t unread_ = 0;
  SessionMeters* meters_ = nullptr;
};

class Session;

// One request, from its frame to its answer. Taken by a service until it answers, and by the
// session until the answer is sent: both must be over before the place is used again.
class SessionCall final : public Call, public Deadline {
 public:
  [[nodiscard]] const Payload& payload() const noexcept override { return payload_; }
  [[nodiscard]] uint64_t deadline_ns() const noexcept override { return deadline_ns_; }
  [[nodiscard]] uint32_t depth() const noexcept override { return depth_; }
  SessionPage* page() noexcept override;
  void answer(Status status, std::span<const std::byte> metadata, const ValueRef& value) override;
  void answer_from(Status status, std::span<const std::byte> metadata,
                   const Payload& payload) override;
  void expired() override;

 private:
  friend class Session;
  Session* session_ = nullptr;
  uint64_t correlation_ = 0;
  uint64_t deadline_ns_ = 0;
  uint32_t depth_ = 0;
  RegionPayload payload_;
  bool is_held_ = false;        // by a service
  bool is_unanswered_ = false;  // the worker waits for it
  bool is_parked_ = false;      // the answer below waits for room
  Status parked_status_ = Status::kOk;
  abi::Reason parked_reason_ = abi::Reason::kNone;  // in place of metadata and value
  ValueRef parked_metadata_;
  ValueRef parked_value_;
};

}  // namespace rtsup::broker::channel
