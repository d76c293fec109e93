// Call: one request of one session, from admission to its single answer. The seam between the
// channel (or the in-process transport of unit tests) and the services: services see nothing of
// rings, windows and leases.
// Owns:    belongs to its transport; a service keeps the reference until it answers, and not
//          afterwards.
// Threads: the shard's thread only. A component that works elsewhere comes back through Shard::post
//          (broker/core/post.h).
#pragma once

#include <cstdint>
#include <span>

#include "abi/base/status.h"
#include "abi/operation.h"
#include "broker/core/principal.h"
#include "broker/core/session_page.h"
#include "broker/core/value.h"

namespace rtsup::broker {

// The request's payload: bytes in memory that the worker can still write. Read each at most once.
class Payload {
 public:
  virtual ~Payload() = default;
  virtual size_t size() const noexcept = 0;
  // Copies [offset, offset + out.size()); the range was checked by the caller against size().
  virtual void copy(size_t offset, std::span<std::byte> out) const noexcept = 0;
  // Whether copy() meters itself, for whoever it was read from.
  virtual bool counts_copies() const noexcept { return false; }
  // The same bytes as a value, once they have been fetched (Call::fetch_payload()); else nullptr.
  virtual const ValueRef* value() const noexcept { return nullptr; }
};

enum class Fetch : uint8_t {
  kNotNeeded,  // it can be copied as it is
  kBegun,      // the handler hears of the end: CallHandler::fetched(), or never if the caller goes
  kNoMemory,
};

class Call {
 public:
  virtual ~Call() = default;
  const abi::Operation& operation() const noexcept { return *operation_; }
  const Principal& principal() const noexcept { return *principal_; }
  // The request's table: a private copy that the verifier has passed. Valid until the answer.
  std::span<const std::byte> metadata() const noexcept { return metadata_; }
  virtual const Payload& payload() const noexcept = 0;
  // CLOCK_MONOTONIC; never 0. Answers after it are turned into DEADLINE_EXCEEDED by the transport.
  virtual uint64_t deadline_ns() const noexcept = 0;
  // How many events deep the caller is: the depth of the event that the frame's `parent` names, 0
  // outside of one.
  virtual uint32_t depth() const noexcept { return 0; }
  // Takes a payload that is too long to be copied at once out of the caller's memory, in parts,
  // between which others are served.
  virtual Fetch fetch_payload() { return Fetch::kNotNeeded; }
  // Whom memory that the call needs counts against.
  virtual MemoryShare memory() const noexcept { return {}; }
  // The caller's runtime page; nullptr when it has none, or none any more. Asked for anew after
  // every wait.
  virtual SessionPage* page() noexcept { return nullptr; }

  // Which session it came in; ids are not used twice while a broker runs.
  virtual SessionId session() const noexcept { return {}; }

  // The one answer. `metadata` (the response table, or Failure when status is not OK) is copied
  // before it returns; `value` is kept by reference until it was copied to the caller. The call is
  // gone afterwards.
  virtual void answer(Status status, std::span<const std::byte> metadata,
                      const ValueRef& value) = 0;
  // The same with a payload in another session's memory: copied once, before it returns (into the
  // caller's region, or into a Value when there is no room there now).
  virtual void answer_from(Status status, std::span<const std::byte> metadata,
                           const Payload& payload) = 0;

 protected:
  // Asked for many times a call: set by the transport before anybody sees it.
  const abi::Operation* operation_ = nullptr;
  const Principal* principal_ = nullptr;
  std::span<const std::byte> metadata_;
};

}  // namespace rtsup::broker
