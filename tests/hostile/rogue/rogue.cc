// rogue: a worker that behaves until its input names an attack on the channel, and then really does
// it. One program for all, so that every attack starts from a session that was in order.
// The attacks are documented where they are called from: tests/hostile/hostile_test.cc.
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <string_view>

#include "tests/hostile/rogue/raw_session.h"

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

void bad_flatbuffer(RawSession& session, const Frame& /*event*/) {
  std::array<std::byte, 256> garbage{};
  garbage.fill(std::byte{0xFE});
  Frame frame = session.echo_request();
  frame.metadata = session.put(garbage);
  session.publish(frame);
}

void long_flatbuffer(RawSession& session, const Frame& /*event*/) {
  static const std::array<std::byte, 5000> too_much{};
  Frame frame = session.echo_request();
  frame.metadata = session.put(too_much);
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

// Asks as fast as it can and takes up every answer, so that only its appetite is wrong.
void flood(RawSession& session, const Frame& /*event*/) {
  const Frame request = session.echo_request();
  uint64_t correlation = request.correlation;
  uint64_t unanswered = 0;
  while (true) {
    Frame answer;
    while (unanswered > 0 && session.receive(answer, unanswered >= abi::kRingFrames / 2)) {
      session.release(answer);
      --unanswered;
    }
    Frame next = request;
    next.correlation = ++correlation;
    session.publish(next);
    ++unanswered;
  }
}

// Asks without ever taking up an answer.
void deaf_flood(RawSession& session, const Frame& /*event*/) {
  for (uint64_t i = 0; i < uint64_t{abi::kRingFrames} * 3; ++i) {
    session.publish(session.echo_request());
    ::usleep(1000);
  }
  ::pause();
}

void silence(RawSession& /*session*/, const Frame& /*event*/) {
  while (true) {
    ::pause();
  }
}

void exit_mid_call(RawSession& session, const Frame& /*event*/) {
  session.publish(session.echo_request());
  ::_exit(7);
}

void kill_mid_call(RawSession& session, const Frame& /*event*/) {
  session.publish(session.echo_request());
  (void)::tgkill(::getpid(), ::gettid(), SIGKILL);  // what rtsup:native lets it call
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

// Answers the event with the status of a request with this opcode.
void ask_and_tell(RawSession& session, const Frame& event, uint16_t opcode) {
  Frame request = session.echo_request();
  request.opcode = opcode;
  session.publish(request);
  Frame answer;
  while (session.receive(answer) && answer.correlation != request.correlation) {
    session.release(answer);
  }
  const char digits[] = {static_cast<char>('0' + answer.status / 10),
                         static_cast<char>('0' + answer.status % 10)};
  session.release(answer);
  session.answer(event, {digits, sizeof digits});
}

void unknown_opcode(RawSession& session, const Frame& event) {
  ask_and_tell(session, event, 0x7777);
}

// base.usage is the operator's.
void operator_opcode(RawSession& session, const Frame& event) {
  ask_and_tell(session, event, 0xF101);
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

// O_NONBLOCK of the doorbell is shared with the base: a base that reads or writes it would hang.
void blocking_doorbell(RawSession& session, const Frame& event) {
  (void)::fcntl(session.doorbell(), F_SETFL, 0);
  session.answer(event, "cleared");
  // The first write fills it, the second one sleeps for ever: here, and in whoever else writes it.
  const uint64_t almost_full = 0xFFFFFFFFFFFFFFFE;
  while (::write(session.doorbell(), &almost_full, sizeof almost_full) > 0) {
  }
}

// Rings without end and without a reason.
void doorbell_storm(RawSession& session, const Frame& event) {
  session.answer(event, "storming");
  while (true) {
    session.ring();
  }
}

// Descriptors sent up the session socket would pile up at the base, if it could be sent anything.
void descriptor_flood(RawSession& session, const Frame& event) {
  int sent = 0;
  for (int i = 0; i < 100; ++i) {
    int fd = 0;
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof fd)] = {};
    char byte = 0;
    iovec part{&byte, 1};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    cmsghdr* const rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof fd);
    std::memcpy(CMSG_DATA(rights), &fd, sizeof fd);
    sent += ::sendmsg(abi::kSessionFd, &header, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0 ? 1 : 0;
  }
  session.answer(event, sent == 0 ? "nothing went through" : "descriptors went through");
}

// Takes the memory under its own region away, so that the base would have to pay for reading it.
void punch_hole(RawSession& session, const Frame& event) {
  (void)::madvise(session.up_bytes() + abi::kArenaOffset, 64UL * 1024, MADV_REMOVE);
  session.answer(event, "punched");
}

struct Attack {
  std::string_view name;
  void (*run)(RawSession&, const Frame& event);
};

constexpr Attack kAttacks[] = {
    {"bad-offset", bad_offset},
    {"bad-length", bad_length},
    {"bad-window", bad_window},
    {"bad-flatbuffer", bad_flatbuffer},
    {"long-flatbuffer", long_flatbuffer},
    {"index-jump", index_jump},
    {"index-back", index_back},
    {"head-jump", head_jump},
    {"forged-correlation", forged_correlation},
    {"double-answer", double_answer},
    {"replay", replay},
    {"flood", flood},
    {"deaf-flood", deaf_flood},
    {"silence", silence},
    {"exit-mid-call", exit_mid_call},
    {"kill-mid-call", kill_mid_call},
    {"bad-kind", bad_kind},
    {"reserved-bytes", reserved_bytes},
    {"bad-opcode", bad_opcode},
    {"unknown-opcode", unknown_opcode},
    {"operator-opcode", operator_opcode},
    {"forged-lease", forged_lease},
    {"blocking-doorbell", blocking_doorbell},
    {"doorbell-storm", doorbell_storm},
    {"descriptor-flood", descriptor_flood},
    {"punch-hole", punch_hole},
};

void serve(RawSession& session) {
  Frame event;
  while (session.receive(event)) {
    if (event.kind != abi::FrameKind::kRequest) {
      session.release(event);
      continue;
    }
    const std::string_view wanted = session.payload(event);
    bool attacked = false;
    for (const Attack& attack : kAttacks) {
      if (attack.name == wanted) {
        attack.run(session, event);
        attacked = true;
      }
    }
    if (!attacked) {
      session.answer(event, wanted);
    }
    session.release(event);
  }
}

}  // namespace
}  // namespace rtsup::test

int main() {
  rtsup::test::RawSession session;
  session.report_ready();
  rtsup::test::serve(session);
  return 0;
}
