// WholeBroker: a broker with all its shards as threads of this process, and a test that plays the
// supervisor. Under ThreadSanitizer both ends use one mapping (one_mapping.h).
// Owns:    the broker's thread and state folder, both ended by stop().
// Errors:  failures of the test.
// Threads: one at a time.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <thread>

#include "broker/link/broker.h"
#include "broker/testing/temp_folder.h"
#include "sdk/channel_transport.h"
#include "sdk/host.h"
#include "sys/socket.h"
#include "tests/channel/one_mapping.h"

namespace rtsup::testing {

class WholeBroker {
 public:
  // Returns once it serves. `plan` stays the caller's.
  void start(const sys::SealedMemfd& plan) {
    broker_ =
        std::move(*broker::Broker::open(sockets_.first.get(), std::move(*sys::duplicate(plan.fd())),
                                        folder_.path(), broker::Broker::Role::kFirst));
    thread_ = std::thread([this] { EXPECT_TRUE(broker_->run()); });
    EXPECT_EQ(next().verb, abi::LinkReportVerb::kServing);
  }
  void stop() {
    tell(abi::LinkCommandVerb::kShutdown, 0, 10'000);
    thread_.join();
    broker_.reset();
  }
  void tell(abi::LinkCommandVerb verb, uint32_t session, uint64_t number = 0,
            uint64_t attempt = 0) {
    abi::LinkCommand command{};
    command.magic = abi::kLinkMagic;
    command.verb = verb;
    command.session = session;
    command.number = number;
    command.attempt = attempt;
    ASSERT_TRUE(sys::send_record(sockets_.second.get(), command));
  }
  // The next record of the link but kJoined and denials, which come at any time.
  abi::LinkReport next() {
    for (;;) {
      abi::LinkReport report{};
      auto received = sys::receive_record(sockets_.second.get(), report, 1, sys::Wait::kYes);
      if (!received && received.error().status == Status::kDataLoss) {
        continue;  // longer than it: what was denied
      }
      EXPECT_TRUE(received);
      if (!received || report.verb != abi::LinkReportVerb::kJoined) {
        return report;
      }
    }
  }
  // Another session; sessions() is then its number.
  std::unique_ptr<sdk::ChannelTransport> attach(
      uint32_t function, abi::PrincipalKind kind = abi::PrincipalKind::kFunction) {
    sys::SocketPair pair = sys::create_seqpacket_pair().value();
    abi::LinkCommand command{};
    command.magic = abi::kLinkMagic;
    command.verb = abi::LinkCommandVerb::kAttach;
    command.session = ++sessions_;
    command.function = function;
    command.principal = kind;
    command.epoch = 1;
    const int fd = pair.first.get();
    EXPECT_TRUE(sys::send_record(sockets_.second.get(), command, std::span(&fd, 1)));
    EXPECT_EQ(next().verb, abi::LinkReportVerb::kAttached);
    auto regions = sdk::Regions::attach(std::move(pair.second), host::kAttachTimeoutNs);
    EXPECT_TRUE(regions);
#ifdef __SANITIZE_THREAD__
    use_one_mapping(*regions);
#endif
    return sdk::ChannelTransport::create(std::move(*regions));
  }
  [[nodiscard]] uint32_t sessions() const noexcept { return sessions_; }

 private:
  broker::testing::TempFolder folder_;
  sys::SocketPair sockets_ = sys::create_seqpacket_pair().value();
  std::unique_ptr<broker::Broker> broker_;
  std::thread thread_;
  uint32_t sessions_ = 0;
};

}  // namespace rtsup::testing
