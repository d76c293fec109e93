// Values in parts in the file: when the file changes its schema, what is left of whom, and that a
// crash at any moment leaves a value whole or not at all.
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <chrono>
#include <deque>
#include <map>
#include <random>
#include <thread>

#include "broker/components/sqlite/sqlite_store.h"
#include "broker/components/sqlite/state_file.h"
#include "broker/testing/crash_vfs.h"
#include "broker/testing/fake_loop.h"
#include "broker/testing/store_client.h"
#include "broker/testing/stream_client.h"
#include "broker/testing/stream_tables.h"
#include "broker/testing/temp_folder.h"

namespace rtsup::broker {
namespace {

using testing::CrashVfs;
using testing::FakeLoop;
using testing::StoreAnswer;
using testing::StreamAnswer;
using testing::TempFolder;
using testing::varied;

int64_t number_in(const std::string& path, const char* query) {
  auto database = *sqlite::Database::open(path, "");
  return *database.query_number(query);
}

class SqliteLongTest : public ::testing::Test {
 protected:
  std::unique_ptr<SqliteStore> open(const std::string& path) {
    FakeLoop& loop = new_loop();
    return *SqliteStore::create({.path = path, .vfs = {}, .queue = {}}, loop, loop);
  }
  // Each store has its own: what it has posted must not be run when it is gone.
  FakeLoop& new_loop() { return loops_.emplace_back(); }
  template <typename Answer>
  void wait(Answer& answer) {
    EXPECT_TRUE(loops_.back().run_until([&answer] { return answer.done; }));
  }
  StreamAnswer upload(SqliteStore& store, std::string_view key, const std::string& value) {
    return testing::upload(store, key, value, [this](StreamAnswer& answer) { wait(answer); });
  }
  // An upload of one part, which is there.
  uint64_t begin_one_part(SqliteStore& store) {
    StreamAnswer begun;
    store.begin_upload(kUploadPartBytes, begun);
    wait(begun);
    StreamAnswer part;
    testing::ask_part(store, begun.upload, 0, varied(kUploadPartBytes), part);
    wait(part);
    EXPECT_EQ(part.reason, abi::Reason::kNone);
    return begun.upload;
  }
  StoreAnswer get(StateStore& store, std::string_view key) {
    StoreAnswer answer;
    testing::ask_get(store, key, answer);
    wait(answer);
    return answer;
  }
  StoreAnswer set(StateStore& store, std::string_view key, const std::string& value) {
    StoreAnswer answer;
    testing::ask_set(store, key, value, answer);
    wait(answer);
    return answer;
  }
  // Opens and closes it until nothing more is removed.
  int64_t parts_in(const std::string& path) {
    int64_t before = 0;
    int64_t parts = number_in(path, "SELECT count(*) FROM part");
    do {
      before = parts;
      auto writer = *sqlite::Writer::open(path, "");
      while (writer.has_leavings() && !writer.is_failing()) {
        writer.collect();
      }
      writer.close();
      parts = number_in(path, "SELECT count(*) FROM part");
    } while (parts != before);
    return parts;
  }

  std::deque<FakeLoop> loops_;
  TempFolder folder_;
  std::string path_ = folder_.file("state.db");
};

TEST_F(SqliteLongTest, TheSchemaComesWithTheFirstValueInParts) {
  {
    const auto store = open(path_);
    set(*store, "key", std::string(3 << 20, 'v'));
    StreamAnswer part;
    store->read_part({.key = "key", .offset = 5, .length = 3}, part);
    wait(part);
    EXPECT_EQ(part.value, "vvv");
  }
  EXPECT_EQ(number_in(path_, "PRAGMA user_version"), 2);
  const std::string value = varied(2 * kUploadPartBytes + 9);
  {
    const auto store = open(path_);
    EXPECT_EQ(upload(*store, "long", value).reason, abi::Reason::kNone);
    EXPECT_EQ(get(*store, "long").value, value);
  }
  EXPECT_EQ(number_in(path_, "PRAGMA user_version"), sqlite::kLongSchemaVersion);
  const auto store = open(path_);
  EXPECT_EQ(get(*store, "long").value, value);
  EXPECT_EQ(get(*store, "key").value.size(), size_t{3} << 20);
}

// A broker that takes over opens the file while the one before may make the first such value.
TEST_F(SqliteLongTest, ASuccessorSeesValuesThatCameAfterItsStartAndEndsOpenUploads) {
  const auto store = open(path_);
  set(*store, "key", "v");
  const auto next =
      *SqliteStore::create({.path = path_, .vfs = {}, .queue = {}, .migrate = sqlite::Migrate::kNo},
                           loops_.back(), loops_.back());
  const std::string value = varied(kUploadPartBytes + 9);
  EXPECT_EQ(upload(*store, "long", value).reason, abi::Reason::kNone);
  const uint64_t begun = begin_one_part(*store);
  EXPECT_EQ(get(*next, "long").value, value);
  EXPECT_EQ(set(*next, "key", "w").reason, abi::Reason::kNone);
  StreamAnswer committed;
  next->commit_upload(begun, {.key = "stolen"}, committed);
  wait(committed);
  EXPECT_EQ(committed.reason, abi::Reason::kUploadUnknown);
  EXPECT_EQ(get(*next, "long").value, value);
  next->close();
  store->close();
  EXPECT_EQ(parts_in(path_), 2);
}

TEST_F(SqliteLongTest, WhatIsReplacedDeletedEndedOrAbortedLeavesNoParts) {
  {
    const auto store = open(path_);
    const std::string value = varied(6 * kUploadPartBytes);
    for (const char* key : {"replaced", "deleted", "kept", "twice", "twice"}) {
      EXPECT_EQ(upload(*store, key, value).reason, abi::Reason::kNone);
    }
    set(*store, "replaced", "small");
    StoreAnswer erased;
    testing::ask_erase(*store, "deleted", erased);
    wait(erased);
    StreamAnswer begun;
    store->begin_upload(value.size(), begun);
    wait(begun);
    StreamAnswer part;
    testing::ask_part(*store, begun.upload, 3, value, part);
    store->abort_upload(begun.upload);
    StreamAnswer late;
    testing::ask_part(*store, begun.upload, 4, value, late);
    wait(late);
    EXPECT_EQ(part.reason, abi::Reason::kNone);
    EXPECT_EQ(late.reason, abi::Reason::kUploadUnknown);
    EXPECT_EQ(get(*store, "kept").value, value);
  }
  EXPECT_EQ(parts_in(path_), 12);
  EXPECT_EQ(number_in(path_, "SELECT count(*) FROM long_value"), 2);
  const int64_t soon = loops_.back().unix_ms() + 1000;
  {
    const auto store = open(path_);
    StreamAnswer begun;
    store->begin_upload(3, begun);
    wait(begun);
    StreamAnswer part;
    testing::ask_part(*store, begun.upload, 0, "abc", part);
    StreamAnswer committed;
    store->commit_upload(begun.upload, {.key = "kept", .expires_unix_ms = soon}, committed);
    wait(committed);
    EXPECT_EQ(committed.reason, abi::Reason::kNone);
  }
  {
    auto writer = *sqlite::Writer::open(path_, "");
    writer.remove_ended(soon);
  }
  EXPECT_EQ(parts_in(path_), 6);
  EXPECT_EQ(number_in(path_, "SELECT count(*) FROM state"), 2) << "replaced and twice";
}

// However fast uploads are begun, filled and given up.
TEST_F(SqliteLongTest, WhatIsGivenUpIsRemovedAsFastAsItComes) {
  auto writer = *sqlite::Writer::open(path_, "");
  constexpr int64_t kParts = 50;
  const std::string bytes = "part";
  const auto commit = [&writer](const std::vector<sqlite::StreamRequest>& requests) {
    std::vector<sqlite::RequestPtr> group;
    for (const sqlite::StreamRequest& request : requests) {
      group.push_back(std::make_unique<sqlite::Request>());
      group.back()->stream = std::make_unique<sqlite::StreamRequest>(request);
    }
    writer.commit(group);
    writer.collect();
    EXPECT_EQ(group.front()->failure, abi::Reason::kNone);
    return static_cast<int64_t>(group.front()->stream->result.upload);
  };
  using Kind = sqlite::StreamRequest::Kind;
  for (int round = 0; round < 20; ++round) {
    std::vector<sqlite::StreamRequest> begin(1);
    begin.front().kind = Kind::kBegin;
    begin.front().size = kUploadPartBytes;
    const int64_t id = commit(begin);
    std::vector<sqlite::StreamRequest> requests(kParts + 1);
    for (int64_t i = 0; i < kParts; ++i) {
      sqlite::StreamRequest& put = requests[static_cast<size_t>(i)];
      put.kind = Kind::kPut;
      put.row = sqlite::LongValues::row_of(id, i);
      put.part = ValueRef::copy_of(std::as_bytes(std::span(bytes)));
    }
    requests.back().kind = Kind::kAbort;
    requests.back().row = id;
    commit(requests);
    EXPECT_LE(number_in(path_, "SELECT count(*) FROM part"), kParts) << round;
    EXPECT_LE(number_in(path_, "SELECT count(*) FROM long_value"), 2) << round;
  }
}

// Until its first write the broker before may still serve: what is left is that one's to remove.
TEST_F(SqliteLongTest, ASuccessorRemovesNothingBeforeItWrites) {
  {
    const auto store = open(path_);
    EXPECT_EQ(upload(*store, "key", varied(9 * kUploadPartBytes)).reason, abi::Reason::kNone);
    EXPECT_EQ(set(*store, "key", "small").reason, abi::Reason::kNone);
  }
  const int64_t left = number_in(path_, "SELECT count(*) FROM part");
  ASSERT_GT(left, 0);
  auto writer = *sqlite::Writer::open(path_, "", sqlite::Migrate::kNo);
  EXPECT_FALSE(writer.has_leavings());
  writer.collect();
  EXPECT_EQ(number_in(path_, "SELECT count(*) FROM part"), left);
  writer.close();
  EXPECT_EQ(parts_in(path_), 0);
}

// Its file had no such values when it started.
TEST_F(SqliteLongTest, ASuccessorLosesNoPartsOfWhatEndsBeforeItWrites) {
  const auto store = open(path_);
  EXPECT_EQ(set(*store, "key", "v").reason, abi::Reason::kNone);
  auto next = *sqlite::Writer::open(path_, "", sqlite::Migrate::kNo);
  const int64_t soon = loops_.back().unix_ms() + 1000;
  const uint64_t begun = begin_one_part(*store);
  StreamAnswer committed;
  store->commit_upload(begun, {.key = "long", .expires_unix_ms = soon}, committed);
  wait(committed);
  ASSERT_EQ(committed.reason, abi::Reason::kNone);
  next.remove_ended(soon);
  EXPECT_EQ(number_in(path_, "SELECT count(*) FROM state"), 1);
  next.close();
  store->close();
  EXPECT_EQ(parts_in(path_), 0);
}

// With a full disk an upload can not even be given up: it is once there is room.
TEST_F(SqliteLongTest, AnAbortThatFailsIsTriedAgain) {
  CrashVfs vfs("abort");
  FakeLoop& loop = new_loop();
  const auto store =
      *SqliteStore::create({.path = path_, .vfs = vfs.name(), .queue = {}}, loop, loop);
  StreamAnswer begun;
  store->begin_upload(4, begun);
  wait(begun);
  vfs.fail_writes(SQLITE_FULL);
  store->abort_upload(begun.upload);
  EXPECT_EQ(set(*store, "key", "v").reason, abi::Reason::kStoreFull) << "it comes behind the abort";
  vfs.fail_writes(SQLITE_OK);
  const auto rows = [this] { return number_in(path_, "SELECT count(*) FROM long_value"); };
  for (int i = 0; i < 1000 && rows() != 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_EQ(rows(), 0);
}

TEST_F(SqliteLongTest, ACommitThatIsRefusedChangesNothing) {
  const auto store = open(path_);
  const std::string value = varied(kUploadPartBytes + 1);
  EXPECT_EQ(upload(*store, "key", value).reason, abi::Reason::kNone);
  StreamAnswer committed;
  store->commit_upload(12345, {.key = "key"}, committed);
  wait(committed);
  EXPECT_EQ(committed.reason, abi::Reason::kUploadUnknown);
  EXPECT_EQ(get(*store, "key").value, value);
}

TEST_F(SqliteLongTest, AFullQueueTakesAbortsStill) {
  CrashVfs vfs("queue");
  FakeLoop& loop = new_loop();
  const auto store = *SqliteStore::create(
      {.path = path_, .vfs = vfs.name(), .queue = {.requests = 1, .bytes = 1 << 20}}, loop, loop);
  StreamAnswer begun;
  store->begin_upload(4, begun);
  wait(begun);
  std::deque<StreamAnswer> answers(50);
  for (StreamAnswer& answer : answers) {
    testing::ask_part(*store, begun.upload, 0, "part", answer);
  }
  store->abort_upload(begun.upload);
  StreamAnswer last;
  for (; !last.done || last.reason == abi::Reason::kStoreBusy; wait(last)) {
    last = {};
    testing::ask_part(*store, begun.upload, 0, "part", last);
  }
  EXPECT_EQ(last.reason, abi::Reason::kUploadUnknown);
  for (StreamAnswer& answer : answers) {
    wait(answer);
  }
}

// ---- crashes ----

uint64_t seed_of_run() {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): before any thread is started
  const char* text = std::getenv("RTSUP_CRASH_SEED");
  return text == nullptr ? std::random_device{}() : std::strtoull(text, nullptr, 10);
}

// Lives of a store that end at any moment; values of up to three parts and plain ones in turn.
class LongSimulation : public SqliteLongTest {
 protected:
  struct History {
    std::vector<std::string> asked = {""};  // empty = deleted
    size_t acknowledged = 0;
  };

  void live(uint64_t steps) {
    CrashVfs vfs("long-crash");
    FakeLoop& loop = new_loop();
    const auto store = *SqliteStore::create(
        {.path = current_->file("state.db"), .vfs = vfs.name(), .queue = {}}, loop, loop);
    for (uint64_t step = 0; step < steps; ++step) {
      act(*store);
    }
    begin_one_more(*store, random_() % 4);
    auto next = std::make_unique<TempFolder>();
    vfs.crash_into(current_->path(), next->path(), random_);
    store->close();
    current_ = std::move(next);
    pending_.clear();
  }
  // Every key has something that was asked of it, whole, and not older than what was acknowledged.
  void check() {
    const std::string path = current_->file("state.db");
    int64_t kept = 0;
    {
      const auto store = open(path);
      for (auto& [key, history] : histories_) {
        const StoreAnswer got = get(*store, key);
        ASSERT_EQ(got.reason, abi::Reason::kNone) << key;
        const auto oldest = history.asked.begin() + static_cast<ptrdiff_t>(history.acknowledged);
        ASSERT_NE(std::find(oldest, history.asked.end(), got.value), history.asked.end()) << key;
        history = {.asked = {got.value}, .acknowledged = 0};
        const bool is_long = got.found && got.value.size() >= kUploadPartBytes;
        kept += is_long ? static_cast<int64_t>(parts_of(got.value.size())) : 0;
      }
    }
    if (number_in(path, "PRAGMA user_version") == sqlite::kLongSchemaVersion) {
      EXPECT_EQ(parts_in(path), kept) << "parts that nobody has were left";
    }
  }

  std::mt19937_64 random_;
  std::unique_ptr<TempFolder> current_ = std::make_unique<TempFolder>();

 private:
  void act(SqliteStore& store) {
    const std::string key = "key" + std::to_string(random_() % 3);
    History& history = histories_[key];
    if (random_() % 3 == 0) {
      history.asked.push_back("plain" + std::to_string(random_()));
      const StoreAnswer answer = set(store, key, history.asked.back());
      ASSERT_EQ(answer.reason, abi::Reason::kNone);
    } else if (random_() % 3 == 0) {
      history.asked.emplace_back();
      StoreAnswer answer;
      testing::ask_erase(store, key, answer);
      wait(answer);
    } else {
      const size_t size = kUploadPartBytes * (1 + random_() % 2) + random_() % 1000;
      history.asked.push_back(varied(size, static_cast<uint32_t>(random_())));
      ASSERT_EQ(upload(store, key, history.asked.back()).reason, abi::Reason::kNone);
    }
    history.acknowledged = history.asked.size() - 1;
  }
  // Left where the crash finds it: begun, some parts there, or its commit under way.
  void begin_one_more(SqliteStore& store, uint64_t how_far) {
    History& history = histories_["key0"];
    const std::string value = varied(kUploadPartBytes + 77, static_cast<uint32_t>(random_()));
    StreamAnswer begun;
    store.begin_upload(value.size(), begun);
    wait(begun);
    for (uint32_t i = 0; i < 2 && i < how_far; ++i) {
      testing::ask_part(store, begun.upload, i, value, pending_.emplace_back());
    }
    if (how_far == 3) {
      history.asked.push_back(value);
      store.commit_upload(begun.upload, {.key = "key0"}, pending_.emplace_back());
    }
  }

  std::map<std::string, History> histories_;
  std::deque<StreamAnswer> pending_;
};

TEST_F(LongSimulation, ACrashLeavesAValueWholeOrNotAtAll) {
  const uint64_t seed = seed_of_run();
  std::cout << "RTSUP_CRASH_SEED=" << seed << "\n";
  random_.seed(seed);
  for (int round = 0; round < 8; ++round) {
    live(random_() % 6);
    check();
    ASSERT_FALSE(HasFatalFailure()) << "seed " << seed << ", round " << round;
  }
}

// The first value in parts brings the schema: a crash while it does leaves the file as before or
// as afterwards.
TEST_F(LongSimulation, ACrashDuringTheMigrationLeavesAGoodFile) {
  const uint64_t seed = seed_of_run();
  std::cout << "RTSUP_CRASH_SEED=" << seed << "\n";
  random_.seed(seed);
  for (int round = 0; round < 8; ++round) {
    current_ = std::make_unique<TempFolder>();
    CrashVfs vfs("migration-crash");
    FakeLoop& loop = new_loop();
    const auto store = *SqliteStore::create(
        {.path = current_->file("state.db"), .vfs = vfs.name(), .queue = {}}, loop, loop);
    set(*store, "key", "kept");
    StreamAnswer begun;
    store->begin_upload(4, begun);
    for (uint64_t spins = random_() % 300; spins > 0; --spins) {
      std::this_thread::yield();
    }
    auto next = std::make_unique<TempFolder>();
    vfs.crash_into(current_->path(), next->path(), random_);
    store->close();
    current_ = std::move(next);
    const std::string path = current_->file("state.db");
    const int64_t version = number_in(path, "PRAGMA user_version");
    EXPECT_TRUE(version == 2 || version == 3) << version;
    const auto again = open(path);
    EXPECT_EQ(get(*again, "key").value, "kept");
    EXPECT_EQ(upload(*again, "long", varied(kUploadPartBytes + 1)).reason, abi::Reason::kNone);
  }
}

}  // namespace
}  // namespace rtsup::broker
