// Session: while its broker is about to give its place to another one, and when it does.
#include <bit>

#include "broker/channel/session.h"

namespace rtsup::broker::channel {
namespace {

constexpr uint64_t kMakingRoomNs = 250'000'000;  // less than Quiescence::kHoldMaxNs

}  // namespace

// Somebody waits for its answer.
bool Session::has_open_event() const noexcept {
  for (uint64_t left = taken_events_; left != 0; left &= left - 1) {
    if (events_[std::countr_zero(left)].sink != nullptr) {
      return true;
    }
  }
  return false;
}

// Requests and answers to events come in one ring, in their order: as long as an event is under way
// all of it is taken up, and afterwards nothing. A window that an answer needs is taken by a frame
// as well, so that who has answers to come is read a while longer; who takes none, not for ever.
void Session::note_hold() noexcept {
  const bool makes_room = parked_count_ > 0 && core_.now_ns - core_.held_since_ns < kMakingRoomNs;
  if (core_.is_held && !makes_room && !has_open_event()) {
    waits_ |= kHeld;
  } else {
    waits_ &= static_cast<uint8_t>(~kHeld);
  }
}

bool Session::is_busy() const noexcept {
  return state_ < State::kEnded && (unanswered_ > parked_count_ || has_open_event());
}

bool Session::has_unread() const noexcept { return state_ < State::kEnded && parked_count_ > 0; }

void Session::hand_over() noexcept {
  // Before the next broker can change what stands there.
  close_page();
  if (state_ < State::kEnded && unanswered_ == 0) {
    down_.response_tail.store(tail_, std::memory_order_release);  // the last group of answers
    // seq_cst: after up_head and the last answer; partner: the worker's load before it publishes.
    down_.handed_over.store(1);
  }
}

}  // namespace rtsup::broker::channel
