// Memory that a second thread changes while the base reads, copies and verifies it.
#include <unistd.h>

#include <array>
#include <atomic>
#include <thread>

#include "schemas/state_generated.h"
#include "tests/hostile/rogue/attack.h"

namespace rtsup::test {
namespace {

using abi::Frame;

constexpr uint32_t kRequests = 5000;
constexpr uint32_t kOpenMax = abi::kRingFrames / 2;
constexpr uint32_t kPayloadBytes = 4096;

// xorshift: no system call, no lock.
class Noise {
 public:
  uint32_t next() noexcept {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return static_cast<uint32_t>(state_ >> 16);
  }

 private:
  uint64_t state_ = 0x9E3779B97F4A7C15;
};

// Calls `spoil` without end on a thread of its own.
template <typename Spoil>
class Spoiler {
 public:
  explicit Spoiler(Spoil spoil)
      : thread_([this, spoil] {
          Noise noise;
          while (!over_.load(std::memory_order_relaxed)) {
            spoil(noise);
          }
        }) {}
  ~Spoiler() {
    over_.store(true);
    thread_.join();
  }

 private:
  std::atomic<bool> over_{false};
  std::thread thread_;
};

void flip(std::byte* bytes, uint32_t size, Noise& noise) {
  std::atomic_ref<std::byte>(bytes[noise.next() % size])
      .store(std::byte{static_cast<uint8_t>(noise.next())}, std::memory_order_relaxed);
}

// Publishes what `make` makes, again and again, so many at a time as the rules allow. When the base
// has ended the session no answer comes any more, and this waits for its own end.
template <typename Make>
void publish_many(RawSession& session, const Make& make) {
  uint32_t open = 0;
  for (uint32_t i = 0; i < kRequests; ++i) {
    for (Frame answer; open >= kOpenMax || !session.has_room();) {
      if (session.receive(answer, false)) {
        session.release(answer);
        --open;
      } else {
        ::usleep(100);
      }
    }
    session.publish(make());
    ++open;
  }
}

// Only what nobody parses: the base must not mind.
void flip_payload(RawSession& session, const Frame& event) {
  {
    const Spoiler spoiler([&](Noise& noise) { flip(session.up_bytes() + kOwnPlace, 64, noise); });
    publish_many(session, [&] {
      Frame frame = session.echo_request();
      frame.payload = {.offset = kOwnPlace, .length = kPayloadBytes};
      return frame;
    });
  }
  session.answer(event, "flipped");
}

// The table itself, while it is copied and verified.
void flip_table(RawSession& session, const Frame& event) {
  flatbuffers::FlatBufferBuilder table;
  table.Finish(abi::CreateStateGetRequestDirect(table, "store", "a key of some length"));
  const uint32_t size = table.GetSize();
  {
    const Spoiler spoiler([&](Noise& noise) { flip(session.up_bytes() + kOwnPlace, size, noise); });
    uint64_t correlation = 1'000'000;
    publish_many(session, [&] {
      std::memcpy(session.up_bytes() + kOwnPlace, table.GetBufferPointer(), size);
      Frame frame;
      frame.opcode = kStateGet;
      frame.correlation = ++correlation;
      frame.metadata = {.offset = kOwnPlace, .length = size};
      return frame;
    });
  }
  session.answer(event, "flipped");
}

// Frames in the ring.
void flip_frames(RawSession& session, const Frame& event) {
  {
    const Spoiler spoiler([&](Noise& noise) {
      flip(session.up_bytes() + abi::kRingOffset, abi::kRingFrames * sizeof(Frame), noise);
    });
    publish_many(session, [&] { return session.echo_request(); });
  }
  session.answer(event, "flipped");
}

// Indices and flags.
void flip_header(RawSession& session, const Frame& event) {
  {
    const Spoiler spoiler([&](Noise& noise) {
      auto& up = session.up();
      up.asleep.store(noise.next());
      up.released[noise.next() % abi::kLeases].store(noise.next());
      up.down_head.store(noise.next());
      up.request_tail.store(up.request_tail.load() + noise.next() % 3);
    });
    publish_many(session, [&] { return session.echo_request(); });
  }
  session.answer(event, "flipped");
}

constexpr Attack kAttacks[] = {
    {"flip-payload", flip_payload},
    {"flip-table", flip_table},
    {"flip-frames", flip_frames},
    {"flip-header", flip_header},
};

}  // namespace

std::span<const Attack> thread_attacks() { return kAttacks; }

}  // namespace rtsup::test
