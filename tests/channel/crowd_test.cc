// Who may spin: one worker beside the base, but not more of them than there are CPUs.
#include <gtest/gtest.h>
#include <sched.h>

#include "tests/channel/connect.h"
#include "tests/channel/tables.h"

namespace rtsup::testing {
namespace {

// Lets this thread, and a shard that it makes, use two CPUs.
class TwoCpus {
 public:
  TwoCpus() {
    ::sched_getaffinity(0, sizeof all_, &all_);
    cpu_set_t two;
    CPU_ZERO(&two);
    for (size_t cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&two) < 2; ++cpu) {
      if (CPU_ISSET(cpu, &all_)) {
        CPU_SET(cpu, &two);
      }
    }
    has_two_ = CPU_COUNT(&two) == 2 && ::sched_setaffinity(0, sizeof two, &two) == 0;
  }
  ~TwoCpus() { ::sched_setaffinity(0, sizeof all_, &all_); }
  bool has_two() const { return has_two_; }

 private:
  cpu_set_t all_{};
  bool has_two_ = false;
};

struct Worker {
  explicit Worker(Rig& rig, uint32_t session) {
    auto regions = sdk::Regions::attach(rig.attach(session), host::kAttachTimeoutNs);
    down = &regions->down_header();
    transport = sdk::ChannelTransport::create(std::move(*regions));
  }
  void call() const {
    static const Table table = echo_table();
    transport->release(transport->call({.opcode = abi::op::kBaseEcho, .metadata = table}).lease);
  }
  uint32_t budget() const { return down->spin_budget_ns.load(std::memory_order_relaxed); }

  const abi::DownHeader* down = nullptr;
  std::unique_ptr<sdk::ChannelTransport> transport;
};

TEST(CrowdTest, WorkersThatWouldSpinForOneAnothersCpuSleep) {
  const TwoCpus cpus;
  if (!cpus.has_two()) {
    GTEST_SKIP() << "this test needs two CPUs";
  }
  Rig rig;
  const Worker first(rig, 1);
  const Worker second(rig, 2);
  EXPECT_NE(first.budget(), 0U);
  for (int i = 0; i < 2000 && first.budget() != 0; ++i) {
    first.call();
    second.call();
  }
  EXPECT_EQ(first.budget(), 0U);
  EXPECT_EQ(second.budget(), 0U);
  for (int i = 0; i < 2000 && first.budget() == 0; ++i) {
    first.call();
  }
  EXPECT_NE(first.budget(), 0U) << "alone again";
  EXPECT_NE(second.budget(), 0U);
}

}  // namespace
}  // namespace rtsup::testing
