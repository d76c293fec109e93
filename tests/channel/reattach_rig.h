// A worker whose base is replaced by another one, both played by hand.
// Threads: one at a time, but for what the worker's functions allow.
#pragma once

#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "sdk/channel_transport.h"
#include "tests/channel/scripted_base.h"

namespace rtsup::testing {

inline sdk::Bytes bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

inline constexpr uint64_t kPatienceNs = 30'000'000'000;

class ReattachTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto pair = sys::create_seqpacket_pair();
    socket_ = std::move(pair->first);
    ASSERT_TRUE(sys::shutdown_socket(socket_.get(), sys::Direction::kRead));
    first_ = std::make_unique<ScriptedBase>(socket_, 1);
    worker_ = std::move(*sdk::ChannelTransport::attach(std::move(pair->second), kPatienceNs));
  }

  std::future<sdk::Answer> call(uint16_t opcode, std::string payload = {}) {
    return std::async(std::launch::async, [this, opcode, payload = std::move(payload)] {
      return worker_->call({.opcode = opcode,
                            .metadata = bytes_of("table"),
                            .payload = bytes_of(payload),
                            .timeout_ns = kPatienceNs});
    });
  }
  // The second base, as the supervisor starts it.
  void replace(uint64_t epoch = 2) {
    second_ = std::make_unique<ScriptedBase>(socket_, epoch);
    waker_ = std::jthread([this](const std::stop_token& stopped) {
      while (!stopped.stop_requested() && !second_->is_joined()) {
        first_->wake();
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    });
  }
  void crash() {
    first_->die();
    replace();
  }

  sys::UniqueFd socket_;
  std::unique_ptr<ScriptedBase> first_;
  std::unique_ptr<ScriptedBase> second_;
  std::unique_ptr<sdk::ChannelTransport> worker_;
  // A worker on its way to sleep would not notice one call: the supervisor repeats it as well.
  std::jthread waker_;
};

}  // namespace rtsup::testing
