// RawSession: a worker's end of the channel without the SDK's manners. It attaches as every worker
// must, and then lets its owner write any byte of its region at any time.
// Owns:    the mappings and the doorbell, for the life of the process.
// Errors:  none: what does not work ends the process with an exit code of its own (kExit...), which
//          shows in `rtsup ps` as the cause.
// Threads: one at a time, unless the attack is about threads.
// Source:  docs/formats/channel.md; only abi/ is used, as an attacker would.
#pragma once

#include <flatbuffers/flatbuffers.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "abi/layout.h"
#include "abi/session_message.h"

namespace rtsup::test {

inline constexpr int kExitNoMessage = 101;
inline constexpr int kExitNoMapping = 102;

class RawSession {
 public:
  // Waits for the attach message on descriptor 3, maps, prefaults, acknowledges.
  RawSession();

  // -- as the rules say ------------------------------------------------------------------------
  // Publishes the frame in the next slot, with the right sequence, and rings.
  void publish(abi::Frame frame);
  // The next frame that the base published; sleeps for it when `wait`. False: nothing there.
  bool receive(abi::Frame& frame, bool wait = true);
  void release(const abi::Frame& frame);
  // Puts bytes into the arena; a range of it. The arena is used round and round, without care for
  // what the base may still want to read.
  abi::Range put(std::span<const std::byte> bytes);
  abi::Range put(const flatbuffers::FlatBufferBuilder& table);
  [[nodiscard]] std::string_view payload(const abi::Frame& frame) const;
  void report_ready();
  void answer(const abi::Frame& event, std::string_view data);
  // A well-formed request without payload.
  [[nodiscard]] abi::Frame echo_request();

  // -- as an attacker likes --------------------------------------------------------------------
  [[nodiscard]] abi::UpHeader& up() { return *reinterpret_cast<abi::UpHeader*>(up_); }
  [[nodiscard]] abi::Frame& slot(uint64_t index);
  [[nodiscard]] std::byte* up_bytes() const { return up_; }
  [[nodiscard]] int doorbell() const { return doorbell_; }
  void ring() const;
  uint64_t tail = 0;  // index of the next frame of up

 private:
  [[nodiscard]] const abi::DownHeader& down() const {
    return *reinterpret_cast<const abi::DownHeader*>(down_);
  }
  void acknowledge(uint64_t epoch);

  std::byte* up_ = nullptr;
  const std::byte* down_ = nullptr;
  int doorbell_ = -1;
  uint64_t head_ = 0;  // index of the next frame of down
  uint32_t arena_next_ = abi::kArenaOffset;
  uint64_t correlation_ = 1;
};

}  // namespace rtsup::test
