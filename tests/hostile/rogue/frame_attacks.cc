// What a worker can write into rings and headers: frames, ranges, indices, leases.
#include <unistd.h>

#include <charconv>
#include <cstring>

#include "tests/hostile/rogue/attack.h"
#include "tests/hostile/rogue/ranges.h"

namespace rtsup::test {
namespace {

using abi::Frame;

void bad_offset(RawSession& session, const Frame& /*event*/) {
  Frame frame = session.echo_request();
  frame.payload = {.offset = 0xFFFFFFF0, .length = 64};
  session.publish(frame);
}

void bad_length(RawSession& session, const Frame& /*event*/) {
  Frame frame = session.echo_request();
  frame.payload = {.offset = abi::kArenaOffset, .length = 0xFFFFFFFF};
  session.publish(frame);
}

// A range that would be fine in a window that was never attached.
void bad_window(RawSession& session, const Frame& /*event*/) {
  Frame frame = session.echo_request();
  frame.payload = {.window = 3, .offset = abi::kArenaOffset, .length = 64};
  session.publish(frame);
}

void index_jump(RawSession& session, const Frame& /*event*/) {
  session.up().request_tail.store(session.tail + 1000);
  session.ring();
}

void index_back(RawSession& session, const Frame& /*event*/) {
  session.up().request_tail.store(session.tail - 1);
  session.ring();
}

// The reader's index of the other ring: claims to have read what was never written. The base looks
// at it when it needs room for an answer.
void head_jump(RawSession& session, const Frame& /*event*/) {
  session.up().down_head.store(session.up().down_head.load() + 1000);
  for (uint32_t i = 0; i < abi::kRingFrames * 2; ++i) {
    session.publish(session.echo_request());
    ::usleep(1000);
  }
}

void forged_correlation(RawSession& session, const Frame& event) {
  Frame forged = event;
  forged.correlation ^= 0x5555;
  session.answer(forged, "somebody else's answer");
}

// The same answer twice: the second is to an event that is no longer open.
void double_answer(RawSession& session, const Frame& event) {
  session.answer(event, "first");
  session.answer(event, "second");
}

// An old frame published again as it stood, with its old sequence.
void replay(RawSession& session, const Frame& /*event*/) {
  const Frame old = session.slot(session.tail - 1);
  session.slot(session.tail) = old;
  session.up().request_tail.store(++session.tail);
  session.ring();
}

void bad_kind(RawSession& session, const Frame& /*event*/) {
  Frame frame = session.echo_request();
  frame.kind = static_cast<abi::FrameKind>(99);
  session.publish(frame);
}

void reserved_bytes(RawSession& session, const Frame& /*event*/) {
  Frame frame = session.echo_request();
  frame.reserved1[7] = 1;
  session.publish(frame);
}

// An event's opcode, which only the base may use.
void bad_opcode(RawSession& session, const Frame& /*event*/) {
  Frame frame = session.echo_request();
  frame.opcode = 0xE001;
  session.publish(frame);
}

// Gives back, at a generation of the future, a lease that it does not hold.
void forged_lease(RawSession& session, const Frame& event) {
  for (uint32_t lease = 0; lease < abi::kLeases; ++lease) {
    session.up().released[lease].store(event.lease_generation + 100'000);
  }
  // Answers need leases: the base looks at the words when it is short of them.
  Frame answer;
  for (uint32_t i = 0; i < abi::kLeases * 4; ++i) {
    session.publish(session.echo_request());
    (void)session.receive(answer);
  }
}

constexpr uint32_t kSize = abi::kRegionBytes;
constexpr uint32_t kFirst = abi::kArenaOffset;
constexpr uint32_t kAll = 0xFFFFFFFF;
// None of them lies in a window that this worker may send from.
constexpr abi::Range kRanges[] = {
    {.offset = 0, .length = 1},
    {.offset = 64, .length = 64},
    {.offset = abi::kRingOffset, .length = sizeof(Frame)},
    {.offset = kFirst - 1, .length = 1},
    {.offset = kFirst - 1, .length = 2},
    {.offset = kFirst, .length = kSize - kFirst + 1},
    {.offset = kFirst, .length = kSize},
    {.offset = kFirst, .length = 0x7FFFFFFF},
    {.offset = kFirst, .length = 0x80000000},
    {.offset = kFirst, .length = kAll},
    {.offset = kFirst, .length = kAll - kFirst + 1},  // ends at 2^32
    {.offset = kFirst, .length = kAll - kFirst + 2},
    {.offset = kSize, .length = 1},
    {.offset = kSize - 1, .length = 2},
    {.offset = kSize + 1, .length = 1},
    {.offset = kSize + 1, .length = 0},
    {.offset = 0x7FFFFFFF, .length = 1},
    {.offset = 0x80000000, .length = 0x80000000},
    {.offset = kAll, .length = 1},
    {.offset = kAll, .length = kAll},
    {.offset = kAll - 15, .length = 64},
    {.offset = kAll - 15, .length = 16},
    {.window = 1, .offset = 0, .length = 1},
    {.window = 1, .offset = kFirst, .length = 64},
    {.window = 1, .offset = 0, .length = 0},
    {.window = abi::kWindowsMax, .offset = 0, .length = 1},
    {.window = abi::kWindowsMax + 1, .offset = 0, .length = 1},
    {.window = abi::kWindowsMax * 2 + 1, .offset = 0, .length = 1},
    {.window = 0x80000000, .offset = kFirst, .length = 1},
    {.window = kAll, .offset = kAll, .length = kAll},
};
static_assert(std::size(kRanges) == kRangeVectors);

// "range 7": the range of that number, as payload and as metadata in turn.
void range(RawSession& session, const Frame& event) {
  const std::string_view payload = session.payload(event);
  size_t number = 0;
  std::from_chars(payload.data() + payload.find(' ') + 1, payload.data() + payload.size(), number);
  Frame frame = session.echo_request();
  (number % 2 == 0 ? frame.payload : frame.metadata) = kRanges[number / 2 % std::size(kRanges)];
  session.publish(frame);
}

// All of its header that is no index, lease or flag, spoiled after the attach: nobody may look
// there again.
void header_rewrite(RawSession& session, const Frame& event) {
  auto& up = session.up();
  up.magic = ~up.magic;
  up.bytes = 0xFFFFFFFF;
  up.abi_major = 99;
  up.abi_minor = 99;
  up.attached_epoch.store(0xFFFFFFFFFFFFFFFF);
  up.asleep.store(0xFFFFFFFF);
  std::memset(session.up_bytes() + sizeof up, 0xFF, abi::kHeaderBytes - sizeof up);
  const bool served = session.ask(session.echo_request()) == 0;
  session.answer(event, served ? "still served" : "not served");
}

constexpr Attack kAttacks[] = {
    {"range", range},
    {"header-rewrite", header_rewrite},
    {"bad-offset", bad_offset},
    {"bad-length", bad_length},
    {"bad-window", bad_window},
    {"index-jump", index_jump},
    {"index-back", index_back},
    {"head-jump", head_jump},
    {"forged-correlation", forged_correlation},
    {"double-answer", double_answer},
    {"replay", replay},
    {"bad-kind", bad_kind},
    {"reserved-bytes", reserved_bytes},
    {"bad-opcode", bad_opcode},
    {"forged-lease", forged_lease},
};

}  // namespace

std::span<const Attack> frame_attacks() { return kAttacks; }

}  // namespace rtsup::test
