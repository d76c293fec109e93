#include "tests/worker/fake_base.h"

#include <poll.h>

#include <chrono>
#include <cstring>
#include <functional>
#include <thread>

#include "abi/session_message.h"
#include "gtest/gtest.h"
#include "schemas/session_generated.h"
#include "sys/futex.h"

namespace rtsup::test {
namespace {

constexpr uint64_t kEpoch = 1;

bool wait_until(const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) {
      return false;
    }
    std::this_thread::yield();
  }
  return true;
}

}  // namespace

FakeBase::FakeBase()
    : sockets_(sys::create_seqpacket_pair().value()),
      up_(sys::create_readable_region("up", abi::kRegionBytes).value()),
      down_(sys::create_writable_region("down", abi::kRegionBytes).value()),
      shard_(sys::create_writable_region("shard", abi::kHeaderBytes).value()),
      doorbell_(sys::EventFd::create().value()) {
  EXPECT_TRUE(sys::shutdown_socket(sockets_.first.get(), sys::Direction::kRead));
}

const abi::UpHeader& FakeBase::up() const {
  return *reinterpret_cast<const abi::UpHeader*>(up_.mapping.bytes().data());
}
abi::DownHeader& FakeBase::down() const {
  return *reinterpret_cast<abi::DownHeader*>(down_.mapping.bytes().data());
}

void FakeBase::offer(uint16_t abi_major) {
  abi::DownHeader& header = down();
  header.magic = abi::kDownMagic;
  header.bytes = abi::kRegionBytes;
  header.abi_major = abi_major;
  header.epoch = kEpoch;
  header.hot.store(1);
  auto& page = *reinterpret_cast<abi::ShardPage*>(shard_.mapping.bytes().data());
  page.magic = abi::kShardMagic;
  page.epoch = kEpoch;
  abi::SessionMessage message{};
  message.magic = abi::kSessionMagic;
  message.abi_major = abi_major;
  message.verb = abi::SessionVerb::kAttach;
  message.epoch = kEpoch;
  message.item_count = 4;
  message.items[0] = {.kind = abi::ItemKind::kUp, .window = 0, .bytes = abi::kRegionBytes};
  message.items[1] = {.kind = abi::ItemKind::kDown, .window = 0, .bytes = abi::kRegionBytes};
  message.items[2] = {.kind = abi::ItemKind::kShard, .window = 0, .bytes = abi::kHeaderBytes};
  message.items[3] = {.kind = abi::ItemKind::kDoorbell, .window = 0, .bytes = 0};
  const int fds[] = {up_.fd.get(), down_.fd.get(), shard_.fd.get(), doorbell_.fd()};
  ASSERT_TRUE(sys::send_record(sockets_.first.get(), message, fds));
}

bool FakeBase::await_attached() {
  return wait_until([this] { return up().attached_epoch.load() == kEpoch; });
}

std::optional<FakeBase::Request> FakeBase::next_request() {
  if (!wait_until([this] { return up().request_tail.load() > taken_; })) {
    return std::nullopt;
  }
  abi::Frame frame;
  const std::byte* const region = up_.mapping.bytes().data();
  std::memcpy(&frame, region + abi::kRingOffset + taken_ % abi::kRingFrames * sizeof frame,
              sizeof frame);
  Request request{.opcode = frame.opcode, .metadata = {}};
  if (frame.metadata.window == 0 && frame.metadata.length <= 4096 &&
      frame.metadata.offset <= abi::kRegionBytes - 4096) {
    request.metadata.assign(reinterpret_cast<const char*>(region) + frame.metadata.offset,
                            frame.metadata.length);
  }
  answer(frame);
  return request;
}

void FakeBase::answer(const abi::Frame& request) {
  flatbuffers::FlatBufferBuilder builder;
  builder.Finish(abi::CreateSessionReadyResponse(builder));
  std::byte* const region = down_.mapping.bytes().data();
  std::memcpy(region + abi::kArenaOffset, builder.GetBufferPointer(), builder.GetSize());
  abi::Frame frame;
  frame.sequence = taken_;
  frame.correlation = request.correlation;
  frame.opcode = request.opcode;
  frame.kind = abi::FrameKind::kResponse;
  frame.metadata = {.window = 0, .offset = abi::kArenaOffset, .length = builder.GetSize()};
  std::memcpy(region + abi::kRingOffset + taken_ % abi::kRingFrames * sizeof frame, &frame,
              sizeof frame);
  ++taken_;
  down().up_head.store(taken_);
  down().response_tail.store(taken_);
  wake();
}

void FakeBase::wake() {
  down().wake_word.fetch_add(1);
  sys::futex_wake(down().wake_word, 1);
}

void FakeBase::end() {
  down().ending.store(1);
  wake();
}

}  // namespace rtsup::test
