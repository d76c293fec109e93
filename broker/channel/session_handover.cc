// Session: while its broker is about to give its place to another one, and when it does.
#include <bit>

#include "broker/channel/session.h"

namespace rtsup::broker::channel {

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
// all of it is taken up, and afterwards nothing.
void Session::note_hold() noexcept {
  if (core_.is_held && !has_open_event()) {
    waits_ |= kHeld;
  } else {
    waits_ &= static_cast<uint8_t>(~kHeld);
  }
}

bool Session::is_busy() const noexcept {
  return state_ < State::kEnded && (unanswered_ > parked_count_ || has_open_event());
}

void Session::hand_over() noexcept {
  // Before the next broker can change what stands there.
  close_page();
  if (state_ < State::kEnded && unanswered_ == 0) {
    // seq_cst: after up_head and the last answer; partner: the worker's load before it publishes.
    down_.handed_over.store(1);
  }
}

}  // namespace rtsup::broker::channel
