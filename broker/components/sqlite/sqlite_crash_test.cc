// No acknowledged write is lost when the power fails. Rounds of random writes through CrashVfs,
// each ended at a random moment while commits are under way; the next round goes on with what the
// crash left. RTSUP_CRASH_SEED repeats a run, RTSUP_CRASH_ROUNDS makes it longer.
#include <gtest/gtest.h>

#include <deque>
#include <filesystem>
#include <map>
#include <random>

#include "broker/components/sqlite/sqlite_store.h"
#include "broker/testing/crash_vfs.h"
#include "broker/testing/fake_loop.h"
#include "broker/testing/store_client.h"
#include "broker/testing/temp_folder.h"

namespace rtsup::broker {
namespace {

using testing::CrashVfs;
using testing::FakeLoop;
using testing::StoreAnswer;
using testing::TempFolder;

uint64_t from_environment(const char* name, uint64_t otherwise) {
  const char* text =
      std::getenv(name);  // NOLINT(concurrency-mt-unsafe): before any thread is started
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

// What was asked for one key, oldest first; empty = deleted.
struct History {
  std::vector<std::string> asked = {""};
  size_t acknowledged = 0;  // index of the newest that was
};

struct Ask {
  StoreAnswer answer;
  std::string key;
  size_t version = 0;
  bool seen = false;
};

class Simulation {
 public:
  explicit Simulation(uint64_t seed) : random_(seed), current_(std::make_unique<TempFolder>()) {}

  // One life of the store, up to the crash. With `lying_disk` the disk keeps nothing that it says
  // it has.
  void live(bool lying_disk) {
    CrashVfs vfs("crash");
    FakeLoop loop;
    const auto store = *SqliteStore::create(
        {.path = current_->file("state.db"), .vfs = vfs.name(), .queue = {}}, loop, loop);
    if (lying_disk) {
      vfs.lie_about_syncs();
    }
    std::deque<Ask> asks;
    const uint64_t steps = 5 + random_() % 120;
    for (uint64_t step = 0; step < steps; ++step) {
      const uint64_t burst = 1 + random_() % 8;
      for (uint64_t i = 0; i < burst; ++i) {
        ask(*store, asks);
      }
      if (random_() % 4 != 0) {
        Ask& awaited = asks[random_() % asks.size()];
        ASSERT_TRUE(loop.run_until([&awaited] { return awaited.answer.done; }));
      }
    }
    // In this order: what is acknowledged by now must survive a crash from now on.
    note_acknowledged(asks);
    auto next = std::make_unique<TempFolder>();
    vfs.crash_into(current_->path(), next->path(), random_);
    store->close();
    current_ = std::move(next);
  }

  // How many acknowledged writes are lost; what is there becomes the new truth.
  int count_lost() {
    FakeLoop loop;
    const auto store = *SqliteStore::create(
        {.path = current_->file("state.db"), .vfs = {}, .queue = {}}, loop, loop);
    int lost = 0;
    for (auto& [key, history] : histories_) {
      StoreAnswer got;
      testing::ask_get(*store, key, got);
      EXPECT_TRUE(loop.run_until([&got] { return got.done; }));
      EXPECT_EQ(got.reason, abi::Reason::kNone);
      const auto oldest = history.asked.begin() + static_cast<ptrdiff_t>(history.acknowledged);
      lost += std::find(oldest, history.asked.end(), got.value) == history.asked.end() ? 1 : 0;
      history = {.asked = {got.value}, .acknowledged = 0};
    }
    return lost;
  }

 private:
  void ask(SqliteStore& store, std::deque<Ask>& asks) {
    const std::string key = "key" + std::to_string(random_() % 40);
    History& history = histories_[key];
    Ask& ask = asks.emplace_back();
    ask.key = key;
    ask.version = history.asked.size();
    if (random_() % 5 == 0) {
      history.asked.emplace_back();
      testing::ask_erase(store, key, ask.answer);
      return;
    }
    history.asked.push_back(std::to_string(++last_value_) + std::string(random_() % 12'000, 'v'));
    testing::ask_set(store, key, history.asked.back(), ask.answer);
  }

  void note_acknowledged(const std::deque<Ask>& asks) {
    for (const Ask& ask : asks) {
      History& history = histories_[ask.key];
      if (ask.answer.done && ask.answer.reason == abi::Reason::kNone) {
        history.acknowledged = std::max(history.acknowledged, ask.version);
      }
    }
  }

  std::mt19937_64 random_;
  std::unique_ptr<TempFolder> current_;
  std::map<std::string, History> histories_;
  uint64_t last_value_ = 0;
};

TEST(SqliteCrashTest, NoAcknowledgedWriteIsLost) {
  const uint64_t seed = from_environment("RTSUP_CRASH_SEED", std::random_device{}());
  const uint64_t rounds = from_environment("RTSUP_CRASH_ROUNDS", 60);
  std::cout << "RTSUP_CRASH_SEED=" << seed << " RTSUP_CRASH_ROUNDS=" << rounds << "\n";
  Simulation simulation(seed);
  for (uint64_t round = 0; round < rounds; ++round) {
    simulation.live(false);
    ASSERT_EQ(simulation.count_lost(), 0) << "seed " << seed << ", round " << round;
  }
}

// Proves that the test above can fail.
TEST(SqliteCrashTest, ADiskThatLiesIsCaught) {
  int lost = 0;
  for (uint64_t seed = 1; seed <= 20 && lost == 0; ++seed) {
    Simulation simulation(seed);
    simulation.live(true);
    lost = simulation.count_lost();
  }
  EXPECT_GT(lost, 0);
}

}  // namespace
}  // namespace rtsup::broker
