// The runtime page between a real shard and the library: what is written is what is read, while it
// changes too; who may write it; and when it stops to count.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>

#include "abi/runtime_page.h"
#include "tests/channel/connect.h"
#include "tests/channel/rig.h"

namespace rtsup::testing {
namespace {

using broker::PageValue;
using broker::SessionPage;
using sdk::RuntimePage;
using Values = std::map<std::string, std::string>;

// Gives every session of function 0 the values set, and no page to those of function 1.
class Source final : public broker::PageSource {
 public:
  bool wants_page(FunctionIndex function) const override { return function.value == 0; }
  void fill(FunctionIndex /*function*/, SessionPage& page) override { put(page, values); }
  static void put(SessionPage& page, const Values& all) {
    std::vector<PageValue> list;
    for (const auto& [name, value] : all) {
      list.push_back({.name = name, .value = value});
    }
    page.set_config(list);
  }
  Values values;
};

class PageTest : public ::testing::Test {
 protected:
  // The library's page once the base has opened it.
  static RuntimePage* open_page(sdk::ChannelTransport& worker) {
    RuntimePage* page = worker.page();
    char room[1];
    while (page != nullptr && page->config("absent", room).found == RuntimePage::Found::kAsk) {
      std::this_thread::yield();
    }
    return page;
  }
  static std::string read(const RuntimePage& page, std::string_view name) {
    char room[abi::kConfigValueBytesMax];
    const RuntimePage::Value value = page.config(name, room);
    return value.found == RuntimePage::Found::kFound    ? std::string(room, value.bytes)
           : value.found == RuntimePage::Found::kAbsent ? "(absent)"
                                                        : "(ask)";
  }
  void set(const Values& values) {
    source_.values = values;
    rig_.on_shard([&](broker::channel::Shard& shard) {
      shard.each_page({0}, [&](SessionPage& page) { Source::put(page, values); });
    });
  }
  void lease(const SessionPage::Sequence& sequence, SessionPage::Range range, bool fits = true) {
    rig_.on_shard([&](broker::channel::Shard& shard) {
      shard.each_page({0}, [&](SessionPage& page) {
        EXPECT_EQ(page.has_room(sequence), fits);
        EXPECT_EQ(page.lease(sequence, range), fits);
      });
    });
  }

  Source source_;
  Rig rig_{{}, &source_};
};

TEST_F(PageTest, ShowsWhatWasThereAtAttachAndWhatChanges) {
  source_.values = {
      {"a", "1"}, {"eight888", "exactly8"}, {"empty", ""}, {"nine99999", "ninebytes"}};
  const auto worker = connect(rig_, 1);
  const RuntimePage* page = open_page(*worker);
  ASSERT_NE(page, nullptr);
  for (const auto& [name, value] : source_.values) {
    EXPECT_EQ(read(*page, name), value) << name;
  }
  EXPECT_EQ(read(*page, "b"), "(absent)");
  EXPECT_EQ(read(*page, ""), "(ask)");
  EXPECT_EQ(read(*page, std::string(128, 'n')), "(ask)");
  set({{"b", "2"}});
  EXPECT_EQ(read(*page, "a"), "(absent)");
  EXPECT_EQ(read(*page, "b"), "2");
}

TEST_F(PageTest, NamesAndValuesOfEveryLengthComeThrough) {
  Values values;
  for (size_t length = 1; length <= abi::kConfigNameBytesMax; ++length) {
    std::string name(length, 'n');
    name.back() = 'z';
    values[name] = std::string(length * 3 % 97, static_cast<char>('a' + length % 26));
  }
  set(values);
  const auto worker = connect(rig_, 1);
  const RuntimePage* page = open_page(*worker);
  for (const auto& [name, value] : values) {
    ASSERT_EQ(read(*page, name), value) << name;
    EXPECT_EQ(read(*page, name + "x"), name.size() == 127 ? "(ask)" : "(absent)");
  }
}

TEST_F(PageTest, WhatHasNoRoomIsAskedFor) {
  Values values;
  for (int i = 0; i < 20; ++i) {
    values["v" + std::to_string(100 + i)] = std::string(4000, static_cast<char>('a' + i));
  }
  source_.values = values;
  const auto worker = connect(rig_, 1);
  const RuntimePage* page = worker->page();
  while (read(*page, "v100") == "(ask)") {
    std::this_thread::yield();
  }
  EXPECT_EQ(read(*page, "v100"), values["v100"]);
  EXPECT_EQ(read(*page, "v119"), "(ask)");
  EXPECT_EQ(read(*page, "absent"), "(ask)") << "it could be one that had no room";
  char small[10];
  EXPECT_EQ(page->config("v100", small).found, RuntimePage::Found::kAsk);
}

TEST_F(PageTest, AReaderNeverSeesHalfOfAChange) {
  source_.values = {{"a", "0"}, {"b", "0"}};
  const auto worker = connect(rig_, 1);
  const RuntimePage* page = open_page(*worker);
  std::atomic<bool> over{false};
  std::atomic<uint64_t> seen{0};
  std::vector<std::jthread> readers;
  readers.reserve(2);
  for (int i = 0; i < 2; ++i) {
    readers.emplace_back([&] {
      while (!over.load()) {
        const std::string value = read(*page, "a");
        // Each value is one letter, so many times that it takes several words.
        EXPECT_TRUE(value == "(ask)" || value.find_first_not_of(value.front()) == std::string::npos)
            << value;
        seen.fetch_add(value == "(ask)" ? 0 : 1);
      }
    });
  }
  for (int i = 0; i < 2000; ++i) {
    const auto letter = static_cast<char>('a' + i % 26);
    set({{"a", std::string(size_t(1 + i % 300), letter)}, {"b", std::string(size_t(i % 7), 'x')}});
  }
  over.store(true);
  readers.clear();
  EXPECT_GT(seen.load(), 0U);
  EXPECT_EQ(read(*page, "a").size(), size_t{1 + 1999 % 300});
}

TEST_F(PageTest, ASessionWithoutAnythingOnItHasNoPage) {
  const auto worker = connect(rig_, 1, 1);
  EXPECT_EQ(worker->page(), nullptr);
}

TEST_F(PageTest, AnEndedSessionsPageDoesNotCount) {
  source_.values = {{"a", "1"}};
  const auto worker = connect(rig_, 1);
  const auto other = connect(rig_, 2);
  const RuntimePage* page = open_page(*worker);
  rig_.on_shard(
      [](broker::channel::Shard& shard) { shard.end({1}, abi::ViolationReason::kFlood, 0); });
  EXPECT_EQ(read(*page, "a"), "(ask)");
  EXPECT_EQ(read(*open_page(*other), "a"), "1");
}

TEST(PageEndTest, WithoutItsBaseThePageDoesNotCount) {
  Source source;
  source.values = {{"a", "1"}};
  auto rig = std::make_unique<Rig>(broker::channel::ShardOptions{}, &source);
  auto regions = sdk::Regions::attach(rig->attach(1), host::kAttachTimeoutNs);
  ASSERT_TRUE(regions);
  const auto worker = sdk::ChannelTransport::create(std::move(*regions));
  char room[8];
  while (worker->page()->config("a", room).found != RuntimePage::Found::kFound) {
    std::this_thread::yield();
  }
  rig.reset();
  EXPECT_EQ(worker->page()->config("a", room).found, RuntimePage::Found::kAsk);
}

// ---- sequences

TEST_F(PageTest, LeasedValuesAreTakenOnceAndInOrder) {
  const auto worker = connect(rig_, 1);
  RuntimePage* page = open_page(*worker);
  EXPECT_EQ(page->take({"ids", "order"}, 1), std::nullopt);
  lease({"ids", "order"}, {.first = 10, .end = 13});
  EXPECT_EQ(page->take({"ids", "order"}, 1), 10U);
  EXPECT_EQ(page->take({"ids", "order"}, 3), std::nullopt) << "only two are left";
  EXPECT_EQ(page->take({"ids", "order"}, 2), 11U);
  EXPECT_EQ(page->take({"ids", "order"}, 1), std::nullopt);
  EXPECT_EQ(page->take({"ids", "orde"}, 1), std::nullopt);
  EXPECT_EQ(page->take({"id", "order"}, 1), std::nullopt);
  lease({"ids", "order"}, {.first = 20, .end = 30});
  page->pass({"ids", "order"}, 25);
  EXPECT_EQ(page->take({"ids", "order"}, 1), 25U);
}

TEST_F(PageTest, SequencesBeyondTheSlotsAreAskedFor) {
  const auto worker = connect(rig_, 1);
  RuntimePage* page = open_page(*worker);
  std::vector<std::string> names;
  for (uint64_t i = 0; i < abi::kPageSequences; ++i) {
    names.push_back("name" + std::to_string(i));
    lease({"ids", names.back()}, {.first = 100 * i, .end = 100 * i + 10});
  }
  lease({"ids", "one more"}, {.first = 1, .end = 2}, false);
  lease({"ids", std::string(128, 'n')}, {.first = 1, .end = 2}, false);
  EXPECT_EQ(page->take({"ids", "one more"}, 1), std::nullopt);
  for (uint64_t i = 0; i < names.size(); ++i) {
    EXPECT_EQ(page->take({"ids", names[i]}, 1), 100 * i);
  }
}

TEST_F(PageTest, ThreadsNeverTakeTheSameValue) {
  const auto worker = connect(rig_, 1);
  RuntimePage* page = open_page(*worker);
  constexpr uint64_t kRanges = 300;
  std::atomic<bool> over{false};
  std::atomic<uint64_t> count{0};
  std::vector<std::vector<uint64_t>> taken(3);
  std::vector<std::jthread> takers;
  takers.reserve(taken.size());
  for (auto& mine : taken) {
    takers.emplace_back([&] {
      while (!over.load()) {
        if (const auto value = page->take({"ids", "order"}, 1)) {
          mine.push_back(*value);
          count.fetch_add(1);
        }
      }
    });
  }
  for (uint64_t i = 0; i < kRanges; ++i) {
    lease({"ids", "order"}, {.first = 1000 * i, .end = 1000 * i + 20});
  }
  while (count.load() == 0) {  // the last range is still there
    std::this_thread::yield();
  }
  over.store(true);
  takers.clear();
  std::vector<uint64_t> all;
  for (const auto& mine : taken) {
    EXPECT_TRUE(std::is_sorted(mine.begin(), mine.end()));
    all.insert(all.end(), mine.begin(), mine.end());
  }
  std::sort(all.begin(), all.end());
  EXPECT_EQ(std::adjacent_find(all.begin(), all.end()), all.end()) << "a value came twice";
  for (const uint64_t value : all) {
    ASSERT_LT(value % 1000, 20U) << "never leased";
  }
}

// ---- hostile

TEST_F(PageTest, NobodyButTheBaseCanMapItWritableOrPunchHoles) {
  const sys::UniqueFd socket = rig_.attach(1);
  abi::SessionMessage message{};
  auto received =
      sys::receive_record(socket.get(), message, abi::kSessionItemsMax, sys::Wait::kYes);
  ASSERT_TRUE(received);
  ASSERT_EQ(message.item_count, 5U);
  ASSERT_EQ(message.items[4].kind, abi::ItemKind::kRuntimePage);
  const sys::UniqueFd fd = received->fds.take(4);
  EXPECT_TRUE(sys::check_seals(fd.get(), sys::kSealsWritableRegion));
  EXPECT_FALSE(sys::WritableMapping::create(fd.get(), abi::kPageBytes));
  EXPECT_TRUE(sys::ReadOnlyMapping::create(fd.get(), abi::kPageBytes));
  EXPECT_LT(::fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), 0);
  EXPECT_LT(::ftruncate(fd.get(), 0), 0);
}

// A library of ABI 1.0 closes what it does not know: the base takes the page back and goes on.
TEST_F(PageTest, AnOlderLibraryDoesWithout) {
  source_.values = {{"a", "1"}};
  sys::UniqueFd socket = rig_.attach(1);
  abi::SessionMessage message{};
  auto received =
      sys::receive_record(socket.get(), message, abi::kSessionItemsMax, sys::Wait::kYes);
  ASSERT_TRUE(received);
  const auto up = sys::WritableMapping::create(received->fds.take(0).get(), abi::kRegionBytes,
                                               sys::Prefault::kYes);
  const auto down = sys::ReadOnlyMapping::create(received->fds.take(1).get(), abi::kRegionBytes,
                                                 sys::Prefault::kYes);
  const auto page = sys::ReadOnlyMapping::create(received->fds.take(4).get(), abi::kPageBytes);
  ASSERT_TRUE(up && down && page);
  auto& header = *reinterpret_cast<abi::UpHeader*>(up->bytes().data());
  header.abi_major = abi::kAbiMajor;
  header.abi_minor = 0;
  header.attached_epoch.store(message.epoch, std::memory_order_release);
  ASSERT_TRUE(sys::EventFd::adopt(received->fds.take(3)).notify());
  while (rig_.meters(1).doorbells_received == 0) {
    std::this_thread::yield();
  }
  EXPECT_EQ(reinterpret_cast<const abi::PageHeader*>(page->bytes().data())->in_use.load(), 0U);
  set({{"a", "2"}});
  EXPECT_EQ(rig_.records.violation_count(), 0U);
}

}  // namespace
}  // namespace rtsup::testing
