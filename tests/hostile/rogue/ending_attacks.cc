// Asking too much, saying nothing, and dying.
#include <signal.h>
#include <unistd.h>

#include "tests/hostile/rogue/attack.h"

namespace rtsup::test {
namespace {

using abi::Frame;

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

// Small calls with payloads, answers held and given back, until somebody kills it.
void call_for_ever(RawSession& session, const Frame& event) {
  session.answer(event, "calling");
  session.release(event);
  for (uint32_t i = 0;; ++i) {
    Frame request = session.echo_request();
    request.payload = {.offset = abi::kArenaOffset + i % 4096, .length = 64 + i % 8192};
    session.publish(request);
    if (i % 8 == 7) {
      Frame answer;
      for (uint32_t taken = 0; taken < 8; ++taken) {
        (void)session.receive(answer);
        session.release(answer);
      }
    }
  }
}

constexpr Attack kAttacks[] = {
    {"flood", flood},
    {"deaf-flood", deaf_flood},
    {"silence", silence},
    {"exit-mid-call", exit_mid_call},
    {"kill-mid-call", kill_mid_call},
    {"call-for-ever", call_for_ever},
};

}  // namespace

std::span<const Attack> ending_attacks() { return kAttacks; }

}  // namespace rtsup::test
