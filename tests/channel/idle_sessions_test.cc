// Sessions that ask nothing: the shard does not go on looking at them, and hears them all the same.
#include <gtest/gtest.h>

#include "tests/channel/connect.h"
#include "tests/channel/rig.h"
#include "tests/channel/tables.h"

namespace rtsup::testing {
namespace {

constexpr uint32_t kBusy = 1;
constexpr uint32_t kIdle = 2;

struct Watched {
  std::unique_ptr<sdk::ChannelTransport> worker;
  std::span<const std::byte> down;
  [[nodiscard]] bool is_hot() const {
    return reinterpret_cast<const abi::DownHeader*>(down.data())->hot.load() != 0;
  }
};

Watched connect_watched(Rig& rig, uint32_t session) {
  auto regions = sdk::Regions::attach(rig.attach(session), host::kAttachTimeoutNs);
  EXPECT_TRUE(regions.has_value());
#ifdef __SANITIZE_THREAD__
  use_one_mapping(*regions);
#endif
  const std::span<const std::byte> down = regions->down;
  return {.worker = sdk::ChannelTransport::create(std::move(*regions)), .down = down};
}

void echo(sdk::ChannelTransport& worker) {
  const Table metadata = echo_table();
  const sdk::Answer answer = worker.call({.opcode = abi::op::kBaseEcho, .metadata = metadata});
  EXPECT_EQ(answer.status, Status::kOk);
  worker.release(answer.lease);
}

TEST(IdleSessionsTest, WhoAsksNothingIsNotLookedAtAndHeardWhenItAsks) {
  Rig rig;
  const Watched busy = connect_watched(rig, kBusy);
  const Watched idle = connect_watched(rig, kIdle);
  for (int again = 0; again < 3; ++again) {
    echo(*idle.worker);
    EXPECT_TRUE(idle.is_hot());
    for (int calls = 0; idle.is_hot() && calls < 1'000'000; ++calls) {
      echo(*busy.worker);
    }
    EXPECT_FALSE(idle.is_hot()) << "it is looked at in every turn";
    EXPECT_TRUE(busy.is_hot());
  }
  EXPECT_EQ(rig.records.violation_count(), 0U);
}

}  // namespace
}  // namespace rtsup::testing
