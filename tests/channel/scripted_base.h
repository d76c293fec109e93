// ScriptedBase: the base's end of one session by hand, so that a test says what was taken up and
// what was answered when the base died.
// Threads: one at a time.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstring>
#include <string_view>
#include <thread>
#include <vector>

#include "abi/layout.h"
#include "abi/session_message.h"
#include "gtest/gtest.h"
#include "schemas/session_generated.h"
#include "sys/event.h"
#include "sys/futex.h"
#include "sys/memory.h"
#include "sys/socket.h"

namespace rtsup::testing {

template <typename Done>
bool eventually(const Done& done) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!done()) {
    if (std::chrono::steady_clock::now() > end) {
      return false;
    }
    std::this_thread::yield();
  }
  return true;
}

class ScriptedBase {
 public:
  // Sends the attach message through the base's end of a session socket.
  ScriptedBase(const sys::UniqueFd& socket, uint64_t epoch)
      : epoch_(epoch),
        up_(sys::create_readable_region("up", abi::kRegionBytes).value()),
        down_(sys::create_writable_region("down", abi::kRegionBytes).value()),
        shard_(sys::create_writable_region("shard", abi::kHeaderBytes).value()),
        doorbell_(sys::EventFd::create().value()) {
    down().magic = abi::kDownMagic;
    down().bytes = abi::kRegionBytes;
    down().abi_major = abi::kAbiMajor;
    down().epoch = epoch;
    down().hot.store(1);
    shard().magic = abi::kShardMagic;
    shard().owner.store(1);
    abi::SessionMessage message{};
    message.magic = abi::kSessionMagic;
    message.abi_major = abi::kAbiMajor;
    message.verb = abi::SessionVerb::kAttach;
    message.epoch = epoch;
    message.item_count = 4;
    message.items[0] = {.kind = abi::ItemKind::kUp, .window = 0, .bytes = abi::kRegionBytes};
    message.items[1] = {.kind = abi::ItemKind::kDown, .window = 0, .bytes = abi::kRegionBytes};
    message.items[2] = {.kind = abi::ItemKind::kShard, .window = 0, .bytes = abi::kHeaderBytes};
    message.items[3] = {.kind = abi::ItemKind::kDoorbell, .window = 0, .bytes = 0};
    const int fds[] = {up_.fd.get(), down_.fd.get(), shard_.fd.get(), doorbell_.fd()};
    EXPECT_TRUE(sys::send_record(socket.get(), message, fds));
  }

  [[nodiscard]] bool is_joined() const { return up().attached_epoch.load() == epoch_; }
  [[nodiscard]] bool await_joined() const {
    return eventually([this] { return is_joined(); });
  }
  // How many frames the worker has published that were not taken up.
  [[nodiscard]] uint64_t waiting() const { return up().request_tail.load() - taken_; }
  [[nodiscard]] bool await_waiting(uint64_t count) const {
    return eventually([&] { return waiting() >= count; });
  }

  // The next frame, taken up.
  abi::Frame take() {
    abi::Frame frame;
    EXPECT_TRUE(await_waiting(1)) << "no frame came";
    std::memcpy(&frame, up_.mapping.bytes().data() + slot(taken_), sizeof frame);
    ++taken_;
    down().up_head.store(taken_);
    return frame;
  }
  [[nodiscard]] std::string_view text(const abi::Range& range) const {
    const auto& memory = range.window == 0 ? up_ : windows_[range.window - 1];
    return {reinterpret_cast<const char*>(memory.mapping.bytes().data()) + range.offset,
            range.length};
  }

  void answer(const abi::Frame& request, std::string_view payload = {}) {
    abi::Frame frame;
    frame.kind = abi::FrameKind::kResponse;
    frame.correlation = request.correlation;
    frame.opcode = request.opcode;
    publish(frame, payload);
  }
  // Without bytes, and so without a lease: there may be any number of them.
  void answer_bare(const abi::Frame& request, Status status = Status::kOk) {
    abi::Frame frame;
    frame.kind = abi::FrameKind::kResponse;
    frame.correlation = request.correlation;
    frame.opcode = request.opcode;
    frame.status = static_cast<uint8_t>(status);
    publish(frame, {}, Hold::kUnleasedEvent);
  }
  // To `session.window`: the memory through the session's socket, then the answer.
  void grant_window(const sys::UniqueFd& socket, const abi::Frame& request) {
    const uint32_t bytes =
        flatbuffers::GetRoot<abi::WindowRequest>(text(request.metadata).data())->bytes();
    windows_.push_back(sys::create_readable_region("window", bytes).value());
    const auto number = static_cast<uint32_t>(windows_.size());
    abi::SessionMessage message{};
    message.magic = abi::kSessionMagic;
    message.abi_major = abi::kAbiMajor;
    message.verb = abi::SessionVerb::kWindow;
    message.epoch = epoch_;
    message.item_count = 1;
    message.items[0] = {.kind = abi::ItemKind::kWindowUp, .window = number, .bytes = bytes};
    const int fds[] = {windows_.back().fd.get()};
    EXPECT_TRUE(sys::send_record(socket.get(), message, fds));
    flatbuffers::FlatBufferBuilder builder(256);
    builder.Finish(abi::CreateWindowResponse(builder, number, bytes));
    abi::Frame frame;
    frame.kind = abi::FrameKind::kResponse;
    frame.correlation = request.correlation;
    frame.opcode = request.opcode;
    publish(frame, {reinterpret_cast<const char*>(builder.GetBufferPointer()), builder.GetSize()},
            Hold::kTable);
  }
  void echo(const abi::Frame& request) { answer(request, text(request.payload)); }
  // An event; its correlation.
  uint64_t ask(uint16_t opcode, std::string_view metadata) {
    abi::Frame frame;
    frame.correlation = 1000 + published_;
    frame.opcode = opcode;
    frame.timeout_ns = 60'000'000'000;
    publish(frame, metadata, Hold::kEvent);
    return frame.correlation;
  }
  // The same without a lease, as of a message in memory that subscribers share: only the event
  // itself holds its bytes.
  uint64_t ask_unleased(uint16_t opcode, std::string_view metadata) {
    abi::Frame frame;
    frame.correlation = 1000 + published_;
    frame.opcode = opcode;
    frame.timeout_ns = 60'000'000'000;
    publish(frame, metadata, Hold::kUnleasedEvent);
    return frame.correlation;
  }
  [[nodiscard]] uint32_t released(uint32_t lease) const { return up().released[lease].load(); }

  // As the kernel does when the broker's thread ends.
  void die() { shard().owner.store(abi::kOwnerDied); }
  void hand_over() { down().handed_over.store(1); }
  // As the supervisor does once another base has sent its attach message.
  void wake() { sys::futex_wake(down().wake_word, 1); }

 private:
  static size_t slot(uint64_t index) {
    return abi::kRingOffset + index % abi::kRingFrames * sizeof(abi::Frame);
  }
  [[nodiscard]] const abi::UpHeader& up() const {
    return *reinterpret_cast<const abi::UpHeader*>(up_.mapping.bytes().data());
  }
  [[nodiscard]] abi::DownHeader& down() const {
    return *reinterpret_cast<abi::DownHeader*>(down_.mapping.bytes().data());
  }
  [[nodiscard]] abi::ShardPage& shard() const {
    return *reinterpret_cast<abi::ShardPage*>(shard_.mapping.bytes().data());
  }

  enum class Hold { kAnswer, kTable, kEvent, kUnleasedEvent };
  // Each in its own kilobyte, held by a lease of its own unless it shall have none.
  void publish(abi::Frame& frame, std::string_view bytes, Hold hold = Hold::kAnswer) {
    std::byte* const region = down_.mapping.bytes().data();
    const auto offset =
        bytes.empty() ? 0 : static_cast<uint32_t>(abi::kArenaOffset + published_ * 1024);
    std::copy(bytes.begin(), bytes.end(), reinterpret_cast<char*>(region) + offset);
    const abi::Range range{.window = 0,
                           .offset = offset,
                           .length = static_cast<uint32_t>(bytes.size()),
                           .reserved = 0};
    (hold == Hold::kAnswer ? frame.payload : frame.metadata) = range;
    if (hold != Hold::kUnleasedEvent) {
      frame.lease = static_cast<uint32_t>(published_);
      frame.lease_generation = 1;
    }
    frame.sequence = published_;
    std::memcpy(region + slot(published_), &frame, sizeof frame);
    ++published_;
    down().response_tail.store(published_);
    down().wake_word.fetch_add(1);
    sys::futex_wake(down().wake_word, 1);
  }

  const uint64_t epoch_;
  sys::ReadableRegion up_;
  sys::WritableRegion down_;
  sys::WritableRegion shard_;
  sys::EventFd doorbell_;
  std::vector<sys::ReadableRegion> windows_;
  uint64_t taken_ = 0;
  uint64_t published_ = 0;
};

}  // namespace rtsup::testing
