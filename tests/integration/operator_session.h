// OperatorSession: what `rtsup invoke` does, many times over one session: a connection to a base's
// control socket and the session it gave.
// Owns:    both.
// Errors:  failures of the test.
// Threads: call() from any.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <string>
#include <string_view>

#include "abi/operation.h"
#include "broker/testing/tables.h"
#include "sdk/channel_transport.h"
#include "sys/socket.h"

namespace rtsup::test {

class OperatorSession {
 public:
  explicit OperatorSession(const std::string& control_socket) {
    auto socket = sys::connect_unix(control_socket);
    EXPECT_TRUE(socket) << control_socket;
    if (!socket) {
      return;
    }
    socket_ = std::move(*socket);
    constexpr std::string_view kRequest = "{\"v\":1,\"op\":\"session\"}\n";
    EXPECT_TRUE(sys::send_message(socket_.get(), std::as_bytes(std::span(kRequest))));
    std::array<std::byte, 4096> line{};
    auto received = sys::receive_message(socket_.get(), line, sys::Wait::kYes);
    EXPECT_TRUE(received && received->fds.count() == 1);
    if (received && received->fds.count() == 1) {
      constexpr uint64_t kPatienceNs = 30'000'000'000;
      auto attached = sdk::ChannelTransport::attach(received->fds.take(0), kPatienceNs);
      EXPECT_TRUE(attached);
      base_ = attached ? std::move(*attached) : nullptr;
    }
  }

  struct Reply {
    Status status = Status::kUnavailable;
    std::string text{};    // the payload
    std::string reason{};  // of a failure: "REASON: message"
  };
  Reply call(std::string_view function, const std::string& data, uint64_t timeout_ns = 0) const {
    const auto table = broker::testing::invoke_table(function);
    const sdk::Answer answer = base_->call({.opcode = abi::op::kInvokeCall,
                                            .metadata = table,
                                            .payload = std::as_bytes(std::span(data)),
                                            .timeout_ns = timeout_ns});
    Reply reply{.status = answer.status, .text = broker::testing::text_of(answer.payload)};
    if (answer.reason != nullptr) {
      reply.reason = answer.reason;
    } else if (answer.status != Status::kOk && !answer.metadata.empty()) {
      const auto& failure = *flatbuffers::GetRoot<abi::Failure>(answer.metadata.data());
      reply.reason = failure.reason()->str() + ": " +
                     (failure.message() == nullptr ? "" : failure.message()->str());
    }
    base_->release(answer.lease);
    return reply;
  }

 private:
  sys::UniqueFd socket_;
  std::unique_ptr<sdk::ChannelTransport> base_;
};

}  // namespace rtsup::test
