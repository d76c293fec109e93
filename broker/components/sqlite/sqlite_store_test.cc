#include "broker/components/sqlite/sqlite_store.h"

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <chrono>
#include <deque>
#include <fstream>

#include "broker/components/memory/memory_store.h"
#include "broker/components/sqlite/state_file.h"
#include "broker/services/stream_conformance.h"
#include "broker/testing/crash_vfs.h"
#include "broker/testing/store_client.h"
#include "broker/testing/temp_folder.h"

namespace rtsup::broker {
namespace {

using testing::CrashVfs;
using testing::FakeLoop;
using testing::StateConformance;
using testing::StoreAnswer;
using testing::StreamConformance;
using testing::TempFolder;

// A store whose file lives as long as it does.
class StoreInFolder final : public StateStore {
 public:
  explicit StoreInFolder(FakeLoop& loop)
      : store_(*SqliteStore::create({.path = folder_.file("state.db"), .vfs = {}, .queue = {}},
                                    loop, loop)) {}
  void read(std::span<const std::string_view> keys, StateReadSink& sink) override {
    store_->read(keys, sink);
  }
  void write(std::span<const StateWrite> writes, StateWriteSink& sink) override {
    store_->write(writes, sink);
  }
  void close() override { store_->close(); }
  StreamStore* streams() noexcept override { return store_->streams(); }

 private:
  TempFolder folder_;
  std::unique_ptr<SqliteStore> store_;
};

INSTANTIATE_TEST_SUITE_P(Sqlite, StateConformance,
                         ::testing::Values(testing::StoreMaker{
                             "sqlite",
                             [](FakeLoop& loop) { return std::make_unique<StoreInFolder>(loop); }}),
                         [](const auto& maker) { return maker.param.name; });

INSTANTIATE_TEST_SUITE_P(Sqlite, StreamConformance,
                         ::testing::Values(testing::StoreMaker{
                             "sqlite",
                             [](FakeLoop& loop) { return std::make_unique<StoreInFolder>(loop); }}),
                         [](const auto& maker) { return maker.param.name; });

class SqliteStoreTest : public ::testing::Test {
 protected:
  Result<std::unique_ptr<SqliteStore>> open(sqlite::RequestQueue::Limits limits = {}) {
    return SqliteStore::create({.path = path_, .vfs = vfs_.name(), .queue = limits}, loop_, loop_);
  }
  StoreAnswer wait(StoreAnswer& answer) {
    EXPECT_TRUE(loop_.run_until([&answer] { return answer.done; }));
    return answer;
  }
  StoreAnswer set(StateStore& store, std::string_view key, const std::string& value) {
    StoreAnswer answer;
    testing::ask_set(store, key, value, answer);
    return wait(answer);
  }
  StoreAnswer get(StateStore& store, std::string_view key) {
    StoreAnswer answer;
    testing::ask_get(store, key, answer);
    return wait(answer);
  }
  Error refusal() {
    const auto result = open();
    EXPECT_FALSE(result);
    return result ? Error{} : result.error();
  }

  TempFolder folder_;
  std::string path_ = folder_.file("state.db");
  CrashVfs vfs_{"held"};
  FakeLoop loop_;
};

TEST_F(SqliteStoreTest, ValuesOutliveTheStore) {
  {
    const auto store = *open();
    set(*store, "key", "value");
  }
  const auto store = *open();
  EXPECT_EQ(get(*store, "key").value, "value");
}

TEST_F(SqliteStoreTest, CloseAnswersWhatWasAccepted) {
  const auto store = *open();
  std::deque<StoreAnswer> answers(100);
  for (StoreAnswer& answer : answers) {
    testing::ask_set(*store, "key", "value", answer);
  }
  store->close();
  for (const StoreAnswer& answer : answers) {
    EXPECT_TRUE(answer.done);
    EXPECT_EQ(answer.reason, abi::Reason::kNone);
  }
}

TEST_F(SqliteStoreTest, WritesThatArriveDuringACommitShareTheNextOne) {
  const auto store = *open();
  vfs_.hold_syncs();
  StoreAnswer first;
  testing::ask_set(*store, "first", "1", first);
  vfs_.wait_until_held();
  const uint64_t syncs = vfs_.sync_count();
  std::deque<StoreAnswer> rest(200);
  for (size_t i = 0; i < rest.size(); ++i) {
    testing::ask_set(*store, "key" + std::to_string(i), "value", rest[i]);
  }
  EXPECT_FALSE(first.done);
  vfs_.release_syncs();
  wait(rest.back());
  EXPECT_TRUE(first.done);
  EXPECT_EQ(vfs_.sync_count(), syncs + 1);
}

TEST_F(SqliteStoreTest, NothingIsAcknowledgedBeforeItsSync) {
  const auto store = *open();
  set(*store, "key", "old");
  vfs_.hold_syncs();
  StoreAnswer write;
  testing::ask_set(*store, "key", "new", write);
  vfs_.wait_until_held();
  // Readers go on meanwhile, and see what was acknowledged.
  EXPECT_EQ(get(*store, "key").value, "old");
  EXPECT_FALSE(write.done);
  vfs_.release_syncs();
  wait(write);
  EXPECT_EQ(get(*store, "key").value, "new");
}

TEST_F(SqliteStoreTest, MemoryIsAnsweredAtOnceWhileACommitHangs) {
  const auto store = *open();
  MemoryStore memory(size_t{1} << 20, loop_, loop_);
  vfs_.hold_syncs();
  std::deque<StoreAnswer> durable(1000);
  testing::ask_set(*store, "key", "value", durable[0]);
  vfs_.wait_until_held();
  int answered = 0;
  for (size_t i = 0; i < durable.size(); ++i) {
    if (i > 0) {
      testing::ask_set(*store, "key", "value",
                       durable[i]);  // asking the slow one does not wait either
    }
    StoreAnswer set_answer;
    StoreAnswer get_answer;
    testing::ask_set(memory, "key", std::to_string(i), set_answer);
    testing::ask_get(memory, "key", get_answer);
    answered += set_answer.done && get_answer.value == std::to_string(i) ? 1 : 0;
  }
  EXPECT_EQ(answered, 1000);
  EXPECT_FALSE(durable[0].done);
  vfs_.release_syncs();
  wait(durable.back());
}

TEST_F(SqliteStoreTest, AFullQueueRefusesAndRecovers) {
  const auto store = *open({.requests = 4, .bytes = 1 << 20});
  vfs_.hold_syncs();
  std::deque<StoreAnswer> answers(6);
  testing::ask_set(*store, "key", "value", answers[0]);
  vfs_.wait_until_held();
  for (size_t i = 1; i < answers.size(); ++i) {
    testing::ask_set(*store, "key", "value", answers[i]);
  }
  EXPECT_FALSE(answers[4].done);
  EXPECT_EQ(answers[5].reason, abi::Reason::kStoreBusy);
  vfs_.release_syncs();
  wait(answers[4]);
  EXPECT_EQ(set(*store, "key", "value").reason, abi::Reason::kNone);
  EXPECT_EQ(set(*store, "key", std::string(2 << 20, 'v')).reason, abi::Reason::kStoreBusy);
}

TEST_F(SqliteStoreTest, AFullDiskIsSaidAndChangesNothing) {
  const auto store = *open();
  set(*store, "key", "old");
  vfs_.fail_writes(SQLITE_FULL);
  EXPECT_EQ(set(*store, "key", "new").reason, abi::Reason::kStoreFull);
  vfs_.fail_writes(SQLITE_OK);
  EXPECT_EQ(get(*store, "key").value, "old");
  EXPECT_EQ(set(*store, "key", "new").reason, abi::Reason::kNone);
  EXPECT_EQ(get(*store, "key").value, "new");
}

TEST_F(SqliteStoreTest, AnErrorBeforeTheSyncIsUnavailableAndOneInItIsUnknown) {
  const auto store = *open();
  set(*store, "key", "old");
  vfs_.fail_syncs(SQLITE_IOERR_FSYNC);
  EXPECT_EQ(set(*store, "key", "new").reason, abi::Reason::kOutcomeUnknown);
  vfs_.fail_syncs(SQLITE_OK);
  EXPECT_EQ(get(*store, "key").value, "old");
  EXPECT_EQ(set(*store, "key", "newer").reason, abi::Reason::kNone);
  EXPECT_EQ(get(*store, "key").value, "newer");
}

TEST_F(SqliteStoreTest, EndedValuesAreRemovedFromTheFile) {
  {
    const auto store = *open();
    StoreAnswer answer;
    const StateWrite write{.key = "key", .value = {}, .expires_unix_ms = loop_.unix_ms() + 10};
    store->write({&write, 1}, answer);
    wait(answer);
  }
  auto writer = *sqlite::Writer::open(path_, "");
  EXPECT_EQ(writer.next_end_unix_ms(), loop_.unix_ms() + 10);
  writer.remove_ended(loop_.unix_ms() + 9);
  EXPECT_NE(writer.next_end_unix_ms(), 0);
  writer.remove_ended(loop_.unix_ms() + 10);
  EXPECT_EQ(writer.next_end_unix_ms(), 0);
}

TEST_F(SqliteStoreTest, EndedValuesAreRemovedWhileThereIsAlwaysSomethingToWrite) {
  const auto store = *open();
  StoreAnswer answer;
  const StateWrite write{.key = "short", .value = {}, .expires_unix_ms = loop_.unix_ms() + 10};
  store->write({&write, 1}, answer);
  wait(answer);
  loop_.advance_ms(20);
  auto database = *sqlite::Database::open(path_, "");
  const auto rows = [&database] {
    return *database.query_number("SELECT count(*) FROM state WHERE expires_unix_ms > 0");
  };
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (rows() != 0 && std::chrono::steady_clock::now() < end) {
    EXPECT_EQ(set(*store, "other", "v").reason, abi::Reason::kNone);
  }
  EXPECT_EQ(rows(), 0);
}

TEST_F(SqliteStoreTest, EndedValuesAreRemovedAsFastAsTheyComeAndTheRestInSteps) {
  auto writer = *sqlite::Writer::open(path_, "");
  auto database = *sqlite::Database::open(path_, "");
  const auto rows = [&database] { return *database.query_number("SELECT count(*) FROM state"); };
  const int64_t end_ms = loop_.unix_ms() + 10;
  const auto write_keys = [&](int round, int count) {
    std::vector<sqlite::RequestPtr> group;
    group.push_back(std::make_unique<sqlite::Request>());
    group.back()->now_unix_ms = loop_.unix_ms();
    for (int i = 0; i < count; ++i) {
      sqlite::OwnedWrite& made = group.back()->writes.emplace_back();
      made.key = std::to_string(round) + "." + std::to_string(i);
      made.write.expires_unix_ms = end_ms;
    }
    writer.commit(group);
  };
  for (int round = 0; round < 4; ++round) {
    write_keys(round, 2000);
  }
  EXPECT_EQ(rows(), 8000);
  for (int round = 4; round < 40 && rows() != 0; ++round) {
    write_keys(round, 2000);
    writer.remove_ended(end_ms);
    EXPECT_TRUE(writer.has_more_ended() || rows() == 0);
  }
  EXPECT_EQ(rows(), 0) << "also what was there before";
  write_keys(99, 2000);
  write_keys(100, 1);
  writer.remove_ended(end_ms);
  EXPECT_EQ(rows(), 1500) << "no more in one step";
}

TEST_F(SqliteStoreTest, AnOlderFileIsMigratedWithItsValues) {
  {
    auto database = *sqlite::Database::open(path_, "");
    ASSERT_TRUE(database.execute(
        "CREATE TABLE state (key BLOB NOT NULL PRIMARY KEY, value BLOB NOT NULL, etag INTEGER NOT "
        "NULL,"
        " expires_unix_ms INTEGER NOT NULL, content_type BLOB NOT NULL);"
        "INSERT INTO state VALUES (CAST('key' AS BLOB), CAST('kept' AS BLOB), 5, 0, X'');"
        "PRAGMA application_id = 0x52545353; PRAGMA user_version = 1"));
  }
  {
    const auto store = *open();
    EXPECT_EQ(get(*store, "key").value, "kept");
  }
  auto database = *sqlite::Database::open(path_, "");
  EXPECT_EQ(*database.query_number("PRAGMA user_version"), sqlite::kSchemaVersion);
  EXPECT_EQ(*database.query_number("SELECT count(*) FROM sqlite_schema WHERE name = 'state_ends'"),
            1);
}

// A broker that is to take over opens it while another one writes.
TEST_F(SqliteStoreTest, WhereAnotherOneWritesNothingIsMigrated) {
  { const auto store = *open(); }
  EXPECT_TRUE(sqlite::open_state_file(path_, "", sqlite::Migrate::kNo));
  {
    auto database = *sqlite::Database::open(path_, "");
    ASSERT_TRUE(database.execute("PRAGMA user_version = 1"));
  }
  const auto refused = sqlite::open_state_file(path_, "", sqlite::Migrate::kNo);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().step, Step::kDatabaseOlder);
  auto database = *sqlite::Database::open(path_, "");
  EXPECT_EQ(*database.query_number("PRAGMA user_version"), 1);
}

TEST_F(SqliteStoreTest, ANewerFileIsRefusedUntouched) {
  { const auto store = *open(); }
  {
    auto database = *sqlite::Database::open(path_, "");
    ASSERT_TRUE(database.execute("PRAGMA user_version = 99"));
  }
  const Error error = refusal();
  EXPECT_EQ(error.step, Step::kDatabaseNewer);
  EXPECT_EQ(error.number, 99);
  EXPECT_EQ(describe(error),
            "the database file was made by a newer rtsup: FAILED_PRECONDITION [99]");
}

TEST_F(SqliteStoreTest, AForeignDatabaseIsRefused) {
  {
    auto database = *sqlite::Database::open(path_, "");
    ASSERT_TRUE(database.execute("CREATE TABLE theirs (x)"));
  }
  EXPECT_EQ(refusal().step, Step::kDatabaseForeign);
}

TEST_F(SqliteStoreTest, AFileThatIsNoDatabaseIsRefused) {
  std::ofstream(path_) << std::string(8192, 'x');
  const Error error = refusal();
  EXPECT_EQ(error.step, Step::kDatabaseDamaged);
  EXPECT_EQ(error.status, Status::kDataLoss);
}

TEST_F(SqliteStoreTest, ADamagedFileIsRefused) {
  {
    const auto store = *open();
    for (int i = 0; i < 50; ++i) {
      set(*store, "key" + std::to_string(i), std::string(3000, 'v'));
    }
  }
  std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(3 * 4096);
  file << std::string(4096 * 8, '\xa5');
  file.close();
  EXPECT_EQ(refusal().step, Step::kDatabaseDamaged);
}

TEST_F(SqliteStoreTest, AMissingFolderIsNamedByItsErrno) {
  path_ = folder_.file("absent/state.db");
  const Error error = refusal();
  EXPECT_EQ(error.step, Step::kDatabase);
  EXPECT_EQ(error.sys_errno, ENOENT);
}

}  // namespace
}  // namespace rtsup::broker
