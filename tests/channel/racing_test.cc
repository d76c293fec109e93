// A worker that changes its region while the base reads it: one thread publishes frames that are
// right, another one turns bytes, indices and flags over, as fast as it can. Whatever the base made
// of that must hold together: the table that a service gets is a copy that nobody changes and that
// the verifier passes, and another session goes on as if nothing had been. Under ThreadSanitizer
// the worker writes through the base's own mapping, and every racing read of the base that is not
// made by abi/shared_copy.h or an atomic is reported.
#include <flatbuffers/flatbuffers.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <random>

#include "abi/shared_copy.h"
#include "sdk/regions.h"
#include "tests/channel/connect.h"
#include "tests/channel/rig.h"
#include "tests/channel/tables.h"

#ifdef __SANITIZE_THREAD__
// The copies race by design: that is what copy_once is for. Nothing else of the base may. A long
// history, because a read is only recognised as a copy's by its stack.
extern "C" __attribute__((visibility("default"))) const char* __tsan_default_suppressions();
extern "C" const char* __tsan_default_suppressions() { return "race:copy_once\n"; }
extern "C" __attribute__((visibility("default"))) const char* __tsan_default_options();
extern "C" const char* __tsan_default_options() { return "history_size=7"; }
#endif

namespace rtsup::testing {
namespace {

constexpr std::chrono::seconds kDuration(3);
constexpr uint32_t kInnocent = 1;
constexpr uint32_t kPlace = abi::kArenaOffset;

uint64_t seed() {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): nobody changes the environment
  const char* const given = std::getenv("RTSUP_RACING_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
}

// Byte by byte through atomics, so that it is the base's access that a sanitizer judges.
void write_racing(std::byte* to, std::span<const std::byte> bytes) {
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::atomic_ref<std::byte>(to[i]).store(bytes[i], std::memory_order_relaxed);
  }
}

// The worker's end, written by two threads.
class RacingWorker {
 public:
  RacingWorker(Rig& rig, uint32_t session) {
    auto attached = sdk::Regions::attach(rig.attach(session, 0, 4), host::kAttachTimeoutNs);
    EXPECT_TRUE(attached.has_value());
    regions_ = std::move(*attached);
#ifdef __SANITIZE_THREAD__
    use_one_mapping(regions_);
#endif
  }

  // Frames that are right, until the session ends.
  void publish_until(const std::atomic<bool>& is_over, std::mt19937_64& random) {
    const std::vector<Table> tables = {echo_table(), ready_table(), get_table("key"),
                                       set_table("another key")};
    const uint16_t opcodes[] = {abi::op::kBaseEcho, abi::op::kSessionReady, abi::op::kStateGet,
                                abi::op::kStateSet};
    for (uint64_t tail = 0; !is_over.load(); ++tail) {
      while (tail - regions_.down_header().up_head.load() >= abi::kRingFrames) {
        if (is_over.load()) {
          return;
        }
        take_up_answers();  // or the base would have no room for the next ones
        std::this_thread::yield();
      }
      const size_t choice = random() % tables.size();
      const uint32_t place = kPlace + static_cast<uint32_t>(tail % 64) * 1024;
      write_racing(regions_.up.data() + place, tables[choice]);
      abi::Frame frame;
      frame.sequence = tail;
      frame.correlation = tail + 1;
      frame.opcode = opcodes[choice];
      frame.metadata = {0, place, static_cast<uint32_t>(tables[choice].size()), 0};
      frame.payload = {0, place + 256, 512, 0};
      write_racing(regions_.up_slot(tail), std::as_bytes(std::span(&frame, 1)));
      regions_.up_header().request_tail.store(tail + 1);
      take_up_answers();
      static_cast<void>(regions_.doorbell.notify());
    }
  }

  // Turns something over, now and then, until the session ends.
  void spoil_until(const std::atomic<bool>& is_over, std::mt19937_64& random) {
    abi::UpHeader& up = regions_.up_header();
    while (!is_over.load()) {
      // Some acts end the session at once: most of the time it is bytes that race.
      const uint64_t act = random() % 4096;
      const std::byte noise{static_cast<uint8_t>(random())};
      if (act == 0) {
        up.request_tail.store(random() % 2 == 0 ? random() : up.request_tail.load() - 1);
      } else if (act == 1) {
        up.down_head.store(random() % 128);
      } else if (act == 2) {
        up.released[random() % abi::kLeases].store(static_cast<uint32_t>(random()));
      } else if (act < 1024) {
        up.asleep.store(static_cast<uint32_t>(random() & 1U));
      } else if (act < 1100) {
        write_racing(regions_.up.data() + abi::kRingOffset +
                         random() % (abi::kRingFrames * sizeof(abi::Frame)),
                     std::span(&noise, 1));
      } else {
        write_racing(regions_.up.data() + kPlace + random() % 65536, std::span(&noise, 1));
      }
    }
  }

 private:
  void take_up_answers() {
    const uint64_t published = regions_.down_header().response_tail.load();
    for (; taken_ < published; ++taken_) {
      abi::Frame frame;
      abi::copy_once(&frame, regions_.down_slot(taken_), sizeof frame);
      if (frame.lease < abi::kLeases) {
        regions_.up_header().released[frame.lease].store(frame.lease_generation);
      }
    }
    regions_.up_header().down_head.store(taken_);
  }

  sdk::Regions regions_;
  uint64_t taken_ = 0;
};

// What a service demands of a call, while the worker goes on.
void examine(broker::Call& call) {
  const std::vector<std::byte> before(call.metadata().begin(), call.metadata().end());
  flatbuffers::Verifier verifier(reinterpret_cast<const uint8_t*>(before.data()), before.size());
  EXPECT_TRUE(call.operation().verify_request(verifier)) << "a table that was not verified";
  std::array<std::byte, 512> payload;
  const size_t size = std::min(payload.size(), call.payload().size());
  call.payload().copy(0, std::span(payload).first(size));
  EXPECT_TRUE(
      std::equal(before.begin(), before.end(), call.metadata().begin(), call.metadata().end()))
      << "a table that changed while a service held it";
  call.answer(Status::kOk, {}, {});
}

class RacingTest : public ::testing::Test {
 protected:
  // One session of a hostile worker, until the base ends it or `end` comes. True when it was ended.
  bool race(uint32_t session, uint64_t round_seed, std::chrono::steady_clock::time_point end) {
    const size_t ended_before = rig_.records.violation_count();
    RacingWorker worker(rig_, session);
    std::atomic<bool> is_over{false};
    std::mt19937_64 publishing(round_seed), spoiling(~round_seed);
    std::thread publisher([&] { worker.publish_until(is_over, publishing); });
    std::thread spoiler([&] { worker.spoil_until(is_over, spoiling); });
    while (rig_.records.violation_count() == ended_before &&
           std::chrono::steady_clock::now() < end) {
      std::this_thread::yield();
    }
    is_over.store(true);
    publisher.join();
    spoiler.join();
    frames_ += rig_.meters(session).calls;
    const bool ended = rig_.records.violation_count() != ended_before;
    rig_.on_shard([session](broker::channel::Shard& shard) { shard.detach({session}); });
    return ended;
  }

  Rig rig_;
  uint64_t frames_ = 0;
};

TEST_F(RacingTest, BytesThatChangeWhileTheyAreRead) {
  const uint64_t start_seed = seed();
  std::printf("seed %llu (RTSUP_RACING_SEED)\n", static_cast<unsigned long long>(start_seed));
  rig_.service.on_call = examine;
  const auto innocent = connect(rig_, kInnocent);
  const Table metadata = echo_table();
  const std::vector<std::byte> payload(300, std::byte{0x5A});
  const auto end = std::chrono::steady_clock::now() + kDuration;
  uint32_t sessions = 0;
  uint32_t ended = 0;
  while (std::chrono::steady_clock::now() < end) {
    ended += race(kInnocent + 1 + sessions, start_seed + sessions, end) ? 1 : 0;
    ++sessions;
    const sdk::Answer answer =
        innocent->call({.opcode = abi::op::kBaseEcho, .metadata = metadata, .payload = payload});
    ASSERT_EQ(answer.status, Status::kOk);
    ASSERT_TRUE(
        std::equal(answer.payload.begin(), answer.payload.end(), payload.begin(), payload.end()));
    innocent->release(answer.lease);
  }
  std::printf("%u sessions, %u ended, %llu requests taken up\n", sessions, ended,
              static_cast<unsigned long long>(frames_));
  EXPECT_GT(ended, 0U) << "nothing that it did was ever noticed";
  EXPECT_GT(frames_, 0U) << "nothing was ever accepted";
}

}  // namespace
}  // namespace rtsup::testing
