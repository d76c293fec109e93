// SessionCall: one request of a worker, from its frame to its answer, and the payload that still
// stands in the worker's memory.
// Owns:    nothing; its session owns it, all its bytes, and the answer while that waits for room.
// Units:   nanoseconds of CLOCK_MONOTONIC.
// Threads: the shard's only.
#pragma once

#include <algorithm>

#include "abi/reason.h"
#include "broker/channel/copy_queue.h"
#include "broker/channel/deadline_heap.h"
#include "broker/channel/observer.h"
#include "broker/channel/up_region.h"
#include "broker/core/call.h"
#include "broker/core/limits.h"
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
    if (is_fetched()) {
      std::copy_n(value_.bytes().begin() + static_cast<ptrdiff_t>(offset), out.size(), out.begin());
    } else {
      bytes_.copy(offset, out);
    }
    unread_ -= out.size() < unread_ ? out.size() : unread_;
    meters_->bytes_copied += out.size();
    ++meters_->payload_copies;
  }
  [[nodiscard]] bool counts_copies() const noexcept override { return true; }
  [[nodiscard]] bool is_read() const noexcept { return unread_ == 0; }
  [[nodiscard]] uint32_t window() const noexcept { return window_; }

  // Fetching: false when there is no memory.
  [[nodiscard]] const ValueRef* value() const noexcept override {
    return is_fetched() ? &value_ : nullptr;
  }
  [[nodiscard]] bool begin_fetch(const MemoryShare& share) noexcept {
    value_ = ValueRef::make(size(), share);
    return value_.size() == size();
  }
  // True when all of it is there. Each byte is read once.
  bool fetch_part() noexcept {
    const size_t part = std::min(kPartBytes, size() - fetched_);
    bytes_.copy(fetched_, value_.fill().subspan(fetched_, part));
    fetched_ += part;
    unread_ -= part;
    meters_->bytes_copied += part;
    meters_->payload_copies += fetched_ == size() ? 1 : 0;
    return fetched_ == size();
  }
  void drop_fetched() noexcept {
    value_ = {};
    fetched_ = 0;
  }

 private:
  [[nodiscard]] bool is_fetched() const noexcept { return fetched_ != 0 && fetched_ == size(); }

  WorkerBytes bytes_;
  uint32_t window_ = 0;
  mutable size_t unread_ = 0;
  size_t fetched_ = 0;
  ValueRef value_;
  SessionMeters* meters_ = nullptr;
};

// Of an answer that the base gives itself, when the worker does not.
class NoPayload final : public Payload {
 public:
  [[nodiscard]] size_t size() const noexcept override { return 0; }
  void copy(size_t /*offset*/, std::span<std::byte> /*out*/) const noexcept override {}
};

class Session;

// What an answer carries: bytes of the base's, or a payload in another worker's memory.
struct Body {
  std::span<const std::byte> bytes;
  const Payload* payload = nullptr;
  [[nodiscard]] size_t size() const noexcept {
    return payload == nullptr ? bytes.size() : payload->size();
  }
};

// One request, from its frame to its answer. Taken by a service until it answers, and by the
// session until the answer is sent: both must be over before the place is used again.
class SessionCall final : public Call, public Deadline, public LongCopy {
 public:
  [[nodiscard]] const Payload& payload() const noexcept override { return payload_; }
  [[nodiscard]] uint64_t deadline_ns() const noexcept override { return deadline_ns_; }
  [[nodiscard]] uint32_t depth() const noexcept override { return depth_; }
  SessionPage* page() noexcept override;
  [[nodiscard]] MemoryShare memory() const noexcept override;
  [[nodiscard]] SessionId session() const noexcept override;
  Fetch fetch_payload() override;
  bool copy_part() override;
  void count_time(uint64_t ns) noexcept override;
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
  MemoryCharge parked_charge_;
};

}  // namespace rtsup::broker::channel
