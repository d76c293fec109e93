// UpWindows: the large windows that a worker was given to send from.
// Owns:    the windows. Spans of an ended window stay valid until the session goes, because a
//          window in use can not be taken away.
// Errors:  nothing/false when the worker asks out of turn: the session must end.
// Threads: the shard's only.
#pragma once

#include <array>
#include <optional>

#include "abi/layout.h"
#include "broker/channel/up_region.h"
#include "broker/core/memory_budget.h"
#include "sys/memory.h"

namespace rtsup::broker::channel {

class UpWindows {
 public:
  struct NewWindow {
    uint32_t number = 0;
    int fd = -1;
  };
  // kResourceExhausted: all places are taken, or no memory.
  // `share` pays for it: the worker can punch holes into it, and then whoever reads it pays again.
  Result<NewWindow> make(uint32_t bytes, const MemoryShare& share) noexcept {
    for (Window& window : windows_) {
      if (window.state == State::kNone) {
        if (!window.charge.take(share, bytes)) {
          break;
        }
        RTSUP_ASSIGN(window.region, sys::create_readable_region("rtsup-window-up", bytes));
        window.state = State::kGiven;
        return NewWindow{static_cast<uint32_t>(&window - windows_.data()) + 1,
                         window.region.fd.get()};
      }
    }
    return Error{.status = Status::kResourceExhausted, .step = Step::kWindow};
  }
  // Undoes make(), when the descriptor could not be sent.
  void undo(uint32_t number) noexcept { windows_[number - 1] = Window(); }
  [[nodiscard]] bool is_given(uint32_t number) const noexcept { return is(number, State::kGiven); }
  // The worker has prefaulted it. kFailedPrecondition: it has not.
  Result<void> accept(uint32_t number) noexcept {
    Window& window = windows_[number - 1];
    RTSUP_TRY(sys::check_no_hole(window.region.fd.get(), window.region.mapping.size()));
    window.region.fd.reset();
    window.state = State::kReady;
    return {};
  }
  // False when the window is not there, or a call still reads from it.
  [[nodiscard]] bool release(uint32_t number) noexcept {
    if (!is(number, State::kReady) || windows_[number - 1].users != 0) {
      return false;
    }
    windows_[number - 1] = Window();
    return true;
  }
  // The bytes of a usable window; empty otherwise.
  [[nodiscard]] WorkerBytes bytes(uint32_t number) const noexcept {
    return is(number, State::kReady) ? WorkerBytes(windows_[number - 1].region.mapping.bytes())
                                     : WorkerBytes();
  }
  void add_user(uint32_t number) noexcept { ++windows_[number - 1].users; }
  void drop_user(uint32_t number) noexcept { --windows_[number - 1].users; }

 private:
  enum class State : uint8_t { kNone, kGiven, kReady };
  struct Window {
    State state = State::kNone;
    uint32_t users = 0;
    sys::ReadableRegion region;
    MemoryCharge charge;
  };
  [[nodiscard]] bool is(uint32_t number, State state) const noexcept {
    return number >= 1 && number <= windows_.size() && windows_[number - 1].state == state;
  }
  std::array<Window, abi::kWindowsMax> windows_;
};

}  // namespace rtsup::broker::channel
