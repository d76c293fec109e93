// The in-process transport of the broker's unit tests: calls built from tables, answers kept for a
// look.
// Threads: one at a time.
#pragma once

#include <flatbuffers/flatbuffers.h>

#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "abi/base/check.h"
#include "abi/operation.h"
#include "broker/core/call.h"
#include "schemas/common_generated.h"

namespace rtsup::broker::testing {

inline std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

class FakePayload final : public Payload {
 public:
  explicit FakePayload(std::string bytes = {}) : bytes_(std::move(bytes)) {}
  size_t size() const noexcept override { return bytes_.size(); }
  void copy(size_t offset, std::span<std::byte> out) const noexcept override {
    RTSUP_CHECK(offset <= bytes_.size() && out.size() <= bytes_.size() - offset);
    ++copies;
    if (!out.empty()) {
      std::memcpy(out.data(), bytes_.data() + offset, out.size());
    }
  }
  mutable int copies = 0;

 private:
  std::string bytes_;
};

// Bytes of a table, built by `build(builder)` which returns its offset.
template <typename Build>
std::vector<std::byte> make_table(Build build) {
  flatbuffers::FlatBufferBuilder builder;
  builder.Finish(build(builder));
  const auto* data = reinterpret_cast<const std::byte*>(builder.GetBufferPointer());
  return {data, data + builder.GetSize()};
}

inline Principal function_principal(uint32_t index, std::string name = "cart") {
  return {.kind = abi::PrincipalKind::kFunction,
          .function = {index},
          .instance = 0,
          .name = std::move(name)};
}
inline Principal operator_principal() {
  return {.kind = abi::PrincipalKind::kOperator, .function = {}, .instance = 0, .name = "operator"};
}

class FakeCall final : public Call {
 public:
  FakeCall(uint16_t opcode, std::vector<std::byte> table, std::string payload = {},
           Principal who = function_principal(0))
      : who_(std::make_shared<Principal>(std::move(who))),
        table_(std::make_shared<std::vector<std::byte>>(std::move(table))),
        payload_(std::move(payload)) {
    operation_ = abi::find_operation(opcode);
    principal_ = who_.get();
    metadata_ = *table_;
    RTSUP_CHECK(operation_ != nullptr);
    flatbuffers::Verifier verifier(reinterpret_cast<const uint8_t*>(metadata_.data()),
                                   metadata_.size());
    RTSUP_CHECK(operation_->verify_request(verifier));
  }

  const FakePayload& payload() const noexcept override { return payload_; }
  uint64_t deadline_ns() const noexcept override { return deadline; }
  uint32_t depth() const noexcept override { return nesting; }
  SessionId session() const noexcept override { return session_id; }
  MemoryShare memory() const noexcept override { return share; }

  void answer(Status answer_status, std::span<const std::byte> metadata,
              const ValueRef& value) override {
    take(answer_status, metadata);
    data = text_of(value.bytes());
  }
  void answer_from(Status answer_status, std::span<const std::byte> metadata,
                   const Payload& payload) override {
    take(answer_status, metadata);
    data.resize(payload.size());
    payload.copy(0, std::as_writable_bytes(std::span(data)));
  }

  bool answered() const { return status.has_value(); }
  template <typename Table>
  const Table& response() const {
    RTSUP_CHECK(status == Status::kOk);
    return *flatbuffers::GetRoot<Table>(answer_table.data());
  }
  std::string reason() const {
    if (!status || *status == Status::kOk || answer_table.empty()) {
      return {};
    }
    return flatbuffers::GetRoot<abi::Failure>(answer_table.data())->reason()->str();
  }
  uint32_t retry_after_ms() const {
    return flatbuffers::GetRoot<abi::Failure>(answer_table.data())->retry_after_ms();
  }

  uint64_t deadline = ~uint64_t{0};
  uint32_t nesting = 0;
  SessionId session_id{};
  MemoryShare share{};
  std::optional<Status> status;
  std::vector<std::byte> answer_table;
  std::string data;

 private:
  void take(Status answer_status, std::span<const std::byte> metadata) {
    RTSUP_CHECK(!status.has_value());  // exactly one answer
    status = answer_status;
    answer_table.assign(metadata.begin(), metadata.end());
    flatbuffers::Verifier verifier(reinterpret_cast<const uint8_t*>(answer_table.data()),
                                   answer_table.size());
    RTSUP_CHECK(answer_status == Status::kOk ? operation_->verify_response(verifier)
                                             : verifier.VerifyBuffer<abi::Failure>(nullptr));
  }

  // Shared, so that a copy says the same: Call points at them.
  std::shared_ptr<Principal> who_;
  std::shared_ptr<std::vector<std::byte>> table_;
  FakePayload payload_;
};

}  // namespace rtsup::broker::testing
