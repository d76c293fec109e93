// A worker's death at any instruction: processes that attach and call in a loop are killed at
// random moments, thousands of times, while another session goes on calling. After each death
// nothing of the session is left, and the other one has noticed nothing.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <random>

#include "sys/clock.h"
#include "tests/channel/connect.h"
#include "tests/channel/rig.h"
#include "tests/channel/tables.h"

namespace rtsup::testing {
namespace {

#ifdef __SANITIZE_ADDRESS__
constexpr uint64_t kRoundsDefault = 300;  // each fork copies the shadow
#else
constexpr uint64_t kRoundsDefault = 2000;
#endif
constexpr uint32_t kNeighbour = 1;
// Past the attach now and then, mostly in the midst of calls.
constexpr uint64_t kLifeUsMax = 1000;

uint64_t number_from(const char* variable, uint64_t otherwise) {
  const char* const text = std::getenv(variable);  // NOLINT(concurrency-mt-unsafe): nobody sets it
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

// What the child does until it is killed: small and large calls, answers held and given back.
[[noreturn]] void call_until_killed(sys::UniqueFd socket) {
  auto regions = sdk::Regions::attach(std::move(socket), host::kAttachTimeoutNs);
  if (!regions) {
    ::_exit(2);
  }
  const auto worker = sdk::ChannelTransport::create(std::move(*regions));
  const Table echo = echo_table();
  const std::vector<std::byte> payload(40'000);  // beyond the region: a window each way
  sdk::Answer held{};
  for (size_t i = 0;; ++i) {
    const auto bytes = std::span(payload).first(i % 8 == 7 ? payload.size() : 64);
    const sdk::Answer answer =
        worker->call({.opcode = abi::op::kBaseEcho, .metadata = echo, .payload = bytes});
    if (answer.status != Status::kOk) {
      ::_exit(3);
    }
    worker->release(held.lease);
    held = answer;
  }
}

// Calls all the while, and counts what went wrong.
class Neighbour {
 public:
  explicit Neighbour(Rig& rig) : worker_(connect(rig, kNeighbour)), thread_([this] { call(); }) {}
  ~Neighbour() { stop(); }
  void stop() {
    over_ = true;
    if (thread_.joinable()) {
      thread_.join();
    }
  }
  std::atomic<uint64_t> right{0};
  std::atomic<uint64_t> wrong{0};

 private:
  void call() {
    const Table echo = echo_table();
    uint64_t number = 0;
    while (!over_) {
      ++number;
      const auto bytes = std::as_bytes(std::span(&number, 1));
      const sdk::Answer answer =
          worker_->call({.opcode = abi::op::kBaseEcho, .metadata = echo, .payload = bytes});
      const bool same = answer.status == Status::kOk && answer.payload.size() == bytes.size() &&
                        std::equal(bytes.begin(), bytes.end(), answer.payload.begin());
      ++(same ? right : wrong);
      worker_->release(answer.lease);
    }
  }
  std::atomic<bool> over_{false};
  std::unique_ptr<sdk::ChannelTransport> worker_;
  std::thread thread_;
};

TEST(ChannelDeathTest, NothingIsLeftOfAWorkerThatDiesAtAnyInstruction) {
  const uint64_t seed = number_from("RTSUP_DEATH_SEED", std::random_device()());
  const uint64_t rounds = number_from("RTSUP_DEATH_ROUNDS", kRoundsDefault);
  std::printf("RTSUP_DEATH_SEED=%llu\n", static_cast<unsigned long long>(seed));
  std::minstd_rand random(static_cast<uint32_t>(seed));
  Rig rig;
  Neighbour neighbour(rig);
  std::vector<uint64_t> reclaim_ns;
  uint64_t calls = 0;
  for (uint64_t round = 0; round < rounds; ++round) {
    const uint32_t session = kNeighbour + 1 + static_cast<uint32_t>(round);
    sys::UniqueFd socket = rig.attach(session);
    ASSERT_TRUE(rig.attached());
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      call_until_killed(std::move(socket));
    }
    socket.reset();
    ::usleep(static_cast<useconds_t>(random() % kLifeUsMax));
    ASSERT_EQ(::kill(child, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status))
        << "round " << round << ": it ended by itself with " << WEXITSTATUS(status);
    const int64_t died = sys::monotonic_ns();
    // What the supervisor asks for when it has seen the death.
    rig.on_shard([&](broker::channel::Shard& shard) { shard.detach({session}); });
    rig.records.wait([&](const Records& records) {
      return std::any_of(records.gone_.begin(), records.gone_.end(),
                         [&](const auto& gone) { return gone.first == session; });
    });
    reclaim_ns.push_back(static_cast<uint64_t>(sys::monotonic_ns() - died));
    calls += rig.records.gone_.back().second.calls;
  }
  neighbour.stop();
  EXPECT_EQ(neighbour.wrong, 0U);
  EXPECT_GT(neighbour.right, rounds) << "the neighbour hardly called";
  EXPECT_GT(calls, rounds / 10) << "the workers hardly lived";
  EXPECT_EQ(rig.records.violation_count(), 0U) << "dying is no offence";
  std::sort(reclaim_ns.begin(), reclaim_ns.end());
  std::printf("%zu deaths, %llu calls of theirs, reclaimed in %.0f us (p50), %.0f us (p99)\n",
              reclaim_ns.size(), static_cast<unsigned long long>(calls),
              static_cast<double>(reclaim_ns[reclaim_ns.size() / 2]) / 1e3,
              static_cast<double>(reclaim_ns[reclaim_ns.size() * 99 / 100]) / 1e3);
}

}  // namespace
}  // namespace rtsup::testing
