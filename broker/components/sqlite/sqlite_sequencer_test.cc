#include "broker/components/sqlite/sqlite_sequencer.h"

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <deque>
#include <random>
#include <set>

#include "broker/components/sqlite/state_file.h"
#include "broker/testing/crash_vfs.h"
#include "broker/testing/fake_loop.h"
#include "broker/testing/temp_folder.h"

namespace rtsup::broker {
namespace {

using testing::CrashVfs;
using testing::FakeLoop;
using testing::TempFolder;

struct Ask final : SequenceSink {
  void reserved(uint64_t given) override {
    first = given;
    done = true;
  }
  void failed(abi::Reason why) override {
    reason = why;
    done = true;
  }
  uint64_t count = 1;
  uint64_t first = 0;
  abi::Reason reason = abi::Reason::kNone;
  bool done = false;
};

std::unique_ptr<SqliteSequencer> open(const std::string& path, FakeLoop& loop,
                                      const std::string& vfs = {}) {
  return std::move(*SqliteSequencer::create(path, vfs, loop));
}

uint64_t next(Sequencer& sequencer, FakeLoop& loop, const char* name, uint64_t count = 1) {
  Ask ask;
  sequencer.reserve(name, count, ask);
  EXPECT_TRUE(loop.run_until([&ask] { return ask.done; }));
  EXPECT_EQ(ask.reason, abi::Reason::kNone);
  return ask.first;
}

TEST(SqliteSequencerTest, EachNameCountsByItselfFromOneAndGoesOnAfterARestart) {
  const TempFolder folder;
  FakeLoop loop;
  {
    const auto ids = open(folder.file("ids.db"), loop);
    EXPECT_EQ(next(*ids, loop, "a"), 1U);
    EXPECT_EQ(next(*ids, loop, "a", 10), 2U);
    EXPECT_EQ(next(*ids, loop, "b"), 1U);
  }
  const auto ids = open(folder.file("ids.db"), loop);
  EXPECT_EQ(next(*ids, loop, "a"), 12U);
  EXPECT_EQ(next(*ids, loop, "b"), 2U);
}

TEST(SqliteSequencerTest, NobodyHearsOfValuesBeforeTheyAreOnTheDisk) {
  const TempFolder folder;
  CrashVfs vfs("sequencer-held");
  FakeLoop loop;
  const auto ids = open(folder.file("ids.db"), loop, vfs.name());
  vfs.hold_syncs();
  Ask ask;
  ids->reserve("a", 5, ask);
  vfs.wait_until_held();
  EXPECT_FALSE(ask.done);
  vfs.release_syncs();
  ASSERT_TRUE(loop.run_until([&ask] { return ask.done; }));
  EXPECT_EQ(ask.first, 1U);
}

TEST(SqliteSequencerTest, AFailedSyncGivesNothingAndTheNextGoesOn) {
  const TempFolder folder;
  CrashVfs vfs("sequencer-failing");
  FakeLoop loop;
  const auto ids = open(folder.file("ids.db"), loop, vfs.name());
  EXPECT_EQ(next(*ids, loop, "a"), 1U);
  vfs.fail_syncs(SQLITE_IOERR_FSYNC);
  Ask ask;
  ids->reserve("a", 1, ask);
  ASSERT_TRUE(loop.run_until([&ask] { return ask.done; }));
  EXPECT_EQ(ask.reason, abi::Reason::kOutcomeUnknown);
  vfs.fail_syncs(SQLITE_OK);
  EXPECT_GE(next(*ids, loop, "a"), 2U);
}

TEST(SqliteSequencerTest, TheFileOfAStateStoreIsNotTaken) {
  const TempFolder folder;
  FakeLoop loop;
  { const auto file = sqlite::open_state_file(folder.file("s.db"), {}).value(); }
  const auto refused = SqliteSequencer::create(folder.file("s.db"), {}, loop);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().step, Step::kDatabaseForeign);
}

// Rounds of reservations, each ended by a power failure while commits are under way; the next goes
// on with what the disk kept. How many values were given out twice.
uint64_t count_repeated(uint64_t seed, int rounds, bool lying_disk) {
  std::mt19937_64 random(seed);
  auto current = std::make_unique<TempFolder>();
  std::set<uint64_t> given;
  uint64_t repeated = 0;
  for (int round = 0; round < rounds; ++round) {
    CrashVfs vfs("sequencer-crash");
    FakeLoop loop;
    const auto ids = open(current->file("ids.db"), loop, vfs.name());
    if (lying_disk) {
      vfs.lie_about_syncs();
    }
    std::deque<Ask> asks;
    for (uint64_t step = 3 + random() % 30; step > 0; --step) {
      for (uint64_t i = 1 + random() % 5; i > 0; --i) {
        asks.emplace_back().count = 1 + random() % 20;
        ids->reserve("order", asks.back().count, asks.back());
      }
      if (random() % 3 != 0) {
        Ask& awaited = asks[random() % asks.size()];
        EXPECT_TRUE(loop.run_until([&awaited] { return awaited.done; }));
      }
    }
    // What the callers have by now is out in the world; what comes after the crash never happened.
    for (const Ask& ask : asks) {
      for (uint64_t i = 0; ask.done && i < ask.count; ++i) {
        repeated += given.insert(ask.first + i).second ? 0 : 1;
      }
    }
    auto after = std::make_unique<TempFolder>();
    vfs.crash_into(current->path(), after->path(), random);
    ids->close();
    current = std::move(after);
  }
  return repeated;
}

TEST(SqliteSequencerCrashTest, NoValueComesTwice) {
  const uint64_t seed = std::random_device{}();
  EXPECT_EQ(count_repeated(seed, 40, false), 0U) << "seed " << seed;
}

// Proves that the test above can fail.
TEST(SqliteSequencerCrashTest, ADiskThatLiesIsCaught) {
  uint64_t repeated = 0;
  for (uint64_t seed = 1; seed <= 20 && repeated == 0; ++seed) {
    repeated = count_repeated(seed, 3, true);
  }
  EXPECT_GT(repeated, 0U);
}

}  // namespace
}  // namespace rtsup::broker
