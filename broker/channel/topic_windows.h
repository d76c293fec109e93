// TopicWindows: the shared memory that a session's worker was given, each under a window number of
// its own (abi/layout.h).
// Owns:    a share in each of them until the session goes: what a worker has mapped nobody can take
//          away from it, whatever it says, so the memory must count as used until then. For the
//          same reason no number is given twice.
// Threads: the shard's only.
#pragma once

#include <array>
#include <memory>

#include "abi/layout.h"
#include "broker/core/shared_memory.h"

namespace rtsup::broker::channel {

class TopicWindows {
 public:
  enum class State : uint8_t {
    kNone,
    kSent,     // its descriptor is on the session socket
    kOffered,  // the worker was told of it
    kReady,    // it has mapped it
    kRefused,  // it can not
  };
  struct Window {
    State state = State::kNone;
    std::shared_ptr<SharedMemory> memory;
  };

  static constexpr uint32_t kFirst = 2 * abi::kWindowsMax + 1;
  static constexpr bool is_one(uint32_t number) noexcept {
    return number >= kFirst && number - kFirst < abi::kTopicWindowsMax;
  }
  [[nodiscard]] uint32_t number_of(const Window& window) const noexcept {
    return kFirst + static_cast<uint32_t>(&window - windows_.data());
  }
  Window& at(uint32_t number) noexcept { return windows_[number - kFirst]; }

  // The window of the memory, a free one if it has none yet; nullptr when all are given.
  Window* find(const std::shared_ptr<SharedMemory>& memory) noexcept {
    for (Window& window : windows_) {
      if (window.state == State::kNone || window.memory == memory) {
        return &window;
      }
    }
    return nullptr;
  }
  void clear() noexcept { windows_ = {}; }

 private:
  std::array<Window, abi::kTopicWindowsMax> windows_;
};

}  // namespace rtsup::broker::channel
