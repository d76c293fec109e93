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

// Opcodes, as docs/formats/abi.md lists them.
inline constexpr uint16_t kStateGet = 0x0101;
inline constexpr uint16_t kInvokeCall = 0x0201;
inline constexpr uint16_t kSubscribe = 0x0302;
inline constexpr uint16_t kSessionReady = 0xF001;
inline constexpr uint16_t kWindow = 0xF003;
inline constexpr uint16_t kWindowReady = 0xF004;
inline constexpr uint16_t kUsage = 0xF101;
inline constexpr uint16_t kEcho = 0xF102;
inline constexpr uint16_t kEventMessage = 0xE003;

// put() leaves the end of the region to attacks that need a place of their own.
inline constexpr uint32_t kOwnBytes = 32 * 1024;
inline constexpr uint32_t kOwnPlace = abi::kRegionBytes - kOwnBytes;

class RawSession {
 public:
  // Waits for the attach message on descriptor 3, maps, prefaults, acknowledges.
  RawSession();

  // -- as the rules say ------------------------------------------------------------------------
  // Publishes the frame in the next slot, with the right sequence, and rings.
  void publish(abi::Frame frame);
  // Whether the base has taken up enough for one more frame.
  [[nodiscard]] bool has_room() const;
  // The next frame that the base published; sleeps for it when `wait`. False: nothing there.
  bool receive(abi::Frame& frame, bool wait = true);
  // Publishes the request and waits for its answer; everything before it is released. The status.
  uint8_t ask(const abi::Frame& request);
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
  [[nodiscard]] abi::Frame request(uint16_t opcode, const flatbuffers::FlatBufferBuilder& table);

  // -- as an attacker likes --------------------------------------------------------------------
  [[nodiscard]] abi::UpHeader& up() { return *reinterpret_cast<abi::UpHeader*>(up_); }
  [[nodiscard]] abi::Frame& slot(uint64_t index);
  [[nodiscard]] std::byte* up_bytes() const { return up_; }
  [[nodiscard]] int doorbell() const { return doorbell_; }
  void ring() const;
  [[nodiscard]] const abi::DownHeader& down() const {
    return *reinterpret_cast<const abi::DownHeader*>(down_);
  }
  [[nodiscard]] const abi::ShardPage& shard() const {
    return *reinterpret_cast<const abi::ShardPage*>(shard_);
  }
  // A frame of down, without taking it up.
  [[nodiscard]] abi::Frame peek(uint64_t index) const;
  // An honest worker would have closed them.
  [[nodiscard]] int up_fd() const { return up_fd_; }
  [[nodiscard]] int down_fd() const { return down_fd_; }
  [[nodiscard]] int shard_fd() const { return shard_fd_; }
  uint64_t tail = 0;  // index of the next frame of up

 private:
  void take(const abi::SessionItem& item, int fd);
  void acknowledge(uint64_t epoch);

  std::byte* up_ = nullptr;
  const std::byte* down_ = nullptr;
  const std::byte* shard_ = nullptr;
  int up_fd_ = -1;
  int down_fd_ = -1;
  int shard_fd_ = -1;
  int doorbell_ = -1;
  uint64_t head_ = 0;  // index of the next frame of down
  uint32_t arena_next_ = abi::kArenaOffset;
  uint64_t correlation_ = 1;
};

}  // namespace rtsup::test
