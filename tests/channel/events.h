// Events for the workers of a Rig, and who waits for their answers.
#pragma once

#include <string_view>

#include "tests/channel/rig.h"
#include "tests/channel/tables.h"

namespace rtsup::testing {

class Sink final : public broker::EventSink {
 public:
  void answered(Status status, std::span<const std::byte> metadata,
                const broker::Payload& payload) override {
    const std::lock_guard lock(mutex_);
    metadata_.assign(metadata.begin(), metadata.end());
    payload_.resize(payload.size());
    payload.copy(0, payload_);
    status_ = status;
    changed_.notify_all();
  }
  Status wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return status_.has_value(); });
    return *status_;
  }
  // After wait().
  const std::vector<std::byte>& payload() const { return payload_; }
  const std::vector<std::byte>& metadata() const { return metadata_; }

 private:
  std::vector<std::byte> metadata_;
  std::vector<std::byte> payload_;
  std::optional<Status> status_;
  std::mutex mutex_;
  std::condition_variable changed_;
};

class Bytewise final : public broker::Payload {
 public:
  explicit Bytewise(std::vector<std::byte> bytes) : bytes_(std::move(bytes)) {}
  explicit Bytewise(std::string_view text)
      : bytes_(reinterpret_cast<const std::byte*>(text.data()),
               reinterpret_cast<const std::byte*>(text.data() + text.size())) {}
  size_t size() const noexcept override { return bytes_.size(); }
  void copy(size_t offset, std::span<std::byte> out) const noexcept override {
    std::copy_n(bytes_.begin() + static_cast<ptrdiff_t>(offset), out.size(), out.begin());
  }

 private:
  std::vector<std::byte> bytes_;
};

// Sends an event to function 0 as soon as there is room for it.
inline void send_event(Rig& rig, const broker::Payload& payload, Sink& sink,
                       const char* method = "method", uint64_t timeout_ns = 5'000'000'000) {
  const Table metadata = invoke_event_table(method);
  for (bool sent = false; !sent;) {
    rig.on_shard([&](broker::channel::Shard& shard) {
      broker::Endpoint* endpoint = shard.pick({0});
      sent =
          endpoint != nullptr &&
          endpoint->send({.opcode = abi::op::kEventInvoke,
                          .metadata = metadata,
                          .payload = &payload,
                          .deadline_ns = static_cast<uint64_t>(sys::monotonic_ns()) + timeout_ns},
                         sink);
    });
  }
}

}  // namespace rtsup::testing
