#include "tests/hostile/rogue/raw_session.h"

#include <linux/futex.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>

#include "schemas/base_generated.h"
#include "schemas/invoke_generated.h"
#include "schemas/session_generated.h"

namespace rtsup::test {
namespace {

constexpr size_t kPage = 4096;

std::byte* map(int fd, size_t bytes, int protection) {
  void* const memory = ::mmap(nullptr, bytes, protection, MAP_SHARED | MAP_POPULATE, fd, 0);
  if (memory == MAP_FAILED) {
    ::_exit(kExitNoMapping);
  }
  return static_cast<std::byte*>(memory);
}

// Every page is there before the base looks, so that this process's own group pays for it.
void prefault(const std::byte* bytes, size_t size) {
  for (size_t offset = 0; offset < size; offset += kPage) {
    (void)*static_cast<const volatile std::byte*>(bytes + offset);
  }
}

void prefault_writable(std::byte* bytes, size_t size) {
  for (size_t offset = 0; offset < size; offset += kPage) {
    *static_cast<volatile std::byte*>(bytes + offset) = std::byte{0};
  }
}

}  // namespace

RawSession::RawSession() {
  abi::SessionMessage message{};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * abi::kSessionItemsMax)];
  iovec part{&message, sizeof message};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  if (::recvmsg(abi::kSessionFd, &header, 0) != static_cast<ssize_t>(sizeof message)) {
    ::_exit(kExitNoMessage);
  }
  const cmsghdr* const rights = CMSG_FIRSTHDR(&header);
  if (rights == nullptr || rights->cmsg_type != SCM_RIGHTS) {
    ::_exit(kExitNoMessage);
  }
  int fds[abi::kSessionItemsMax];
  std::memcpy(fds, CMSG_DATA(rights), rights->cmsg_len - CMSG_LEN(0));
  for (uint32_t i = 0; i < message.item_count && i < abi::kSessionItemsMax; ++i) {
    take(message.items[i], fds[i]);
  }
  if (up_ == nullptr || down_ == nullptr || shard_ == nullptr || doorbell_ < 0) {
    ::_exit(kExitNoMapping);
  }
  acknowledge(message.epoch);
}

void RawSession::take(const abi::SessionItem& item, int fd) {
  switch (item.kind) {
    case abi::ItemKind::kDoorbell:
      doorbell_ = fd;
      return;
    case abi::ItemKind::kUp:
      up_ = map(up_fd_ = fd, item.bytes, PROT_READ | PROT_WRITE);
      return;
    case abi::ItemKind::kDown:
      down_ = map(down_fd_ = fd, item.bytes, PROT_READ);
      return;
    case abi::ItemKind::kShard:
      shard_ = map(shard_fd_ = fd, item.bytes, PROT_READ);
      return;
    default:
      ::close(fd);
  }
}

void RawSession::acknowledge(uint64_t epoch) {
  prefault_writable(up_, abi::kRegionBytes);
  prefault(down_, abi::kRegionBytes);
  up().magic = abi::kUpMagic;
  up().bytes = abi::kRegionBytes;
  up().abi_major = abi::kAbiMajor;
  up().abi_minor = abi::kAbiMinor;
  up().attached_epoch.store(epoch);
  ring();
}

void RawSession::ring() const {
  const uint64_t one = 1;
  const ssize_t ignored = ::write(doorbell_, &one, sizeof one);
  (void)ignored;
}

abi::Frame& RawSession::slot(uint64_t index) {
  auto* const ring_start = reinterpret_cast<abi::Frame*>(up_ + abi::kRingOffset);
  return ring_start[index & (abi::kRingFrames - 1)];
}

void RawSession::publish(abi::Frame frame) {
  frame.sequence = tail;
  slot(tail) = frame;
  up().request_tail.store(++tail);
  ring();
}

bool RawSession::has_room() const { return tail - down().up_head.load() < abi::kRingFrames; }

bool RawSession::receive(abi::Frame& frame, bool wait) {
  while (down().response_tail.load() == head_) {
    if (!wait) {
      return false;
    }
    if (down().ending.load() != 0) {
      ::_exit(0);  // the base asks this worker to leave, and it has nothing to destroy
    }
    const uint32_t word = down().wake_word.load();
    up().asleep.store(1);
    if (down().response_tail.load() == head_ && down().ending.load() == 0) {
      ::syscall(SYS_futex, &down().wake_word, FUTEX_WAIT, word, nullptr, nullptr, 0);
    }
    up().asleep.store(0);
    // The base is gone when the session socket says so.
    pollfd socket{abi::kSessionFd, POLLIN, 0};
    if (down().response_tail.load() == head_ && ::poll(&socket, 1, 0) > 0 &&
        (socket.revents & POLLHUP) != 0) {
      ::_exit(0);
    }
  }
  frame = peek(head_);
  up().down_head.store(++head_);
  return true;
}

abi::Frame RawSession::peek(uint64_t index) const {
  const auto* const ring_start = reinterpret_cast<const abi::Frame*>(down_ + abi::kRingOffset);
  return ring_start[index & (abi::kRingFrames - 1)];
}

uint8_t RawSession::ask(const abi::Frame& request) {
  publish(request);
  abi::Frame answer;
  do {
    receive(answer);
    release(answer);
  } while (answer.kind != abi::FrameKind::kResponse || answer.correlation != request.correlation);
  return answer.status;
}

void RawSession::release(const abi::Frame& frame) {
  if (frame.lease < abi::kLeases) {
    up().released[frame.lease].store(frame.lease_generation);
  }
}

abi::Range RawSession::put(std::span<const std::byte> bytes) {
  const auto room = static_cast<uint32_t>((bytes.size() + 63) & ~size_t{63});
  if (arena_next_ + room > kOwnPlace) {
    arena_next_ = abi::kArenaOffset;
  }
  std::memcpy(up_ + arena_next_, bytes.data(), bytes.size());
  const abi::Range range{.offset = arena_next_, .length = static_cast<uint32_t>(bytes.size())};
  arena_next_ += room;
  return range;
}

abi::Range RawSession::put(const flatbuffers::FlatBufferBuilder& table) {
  return put(std::as_bytes(std::span(table.GetBufferPointer(), table.GetSize())));
}

std::string_view RawSession::payload(const abi::Frame& frame) const {
  return {reinterpret_cast<const char*>(down_ + frame.payload.offset), frame.payload.length};
}

void RawSession::report_ready() {
  flatbuffers::FlatBufferBuilder table;
  table.Finish(abi::CreateSessionReadyRequest(table));
  publish(request(kSessionReady, table));
}

abi::Frame RawSession::echo_request() {
  flatbuffers::FlatBufferBuilder table;
  table.Finish(abi::CreateEchoRequest(table));
  return request(kEcho, table);
}

abi::Frame RawSession::request(uint16_t opcode, const flatbuffers::FlatBufferBuilder& table) {
  abi::Frame frame;
  frame.correlation = correlation_++;
  frame.opcode = opcode;
  frame.metadata = put(table);
  return frame;
}

void RawSession::answer(const abi::Frame& event, std::string_view data) {
  flatbuffers::FlatBufferBuilder table;
  table.Finish(abi::CreateInvokeReply(table));
  abi::Frame frame;
  frame.kind = abi::FrameKind::kResponse;
  frame.opcode = event.opcode;
  frame.correlation = event.correlation;
  frame.metadata = put(table);
  frame.payload = put(std::as_bytes(std::span(data.data(), data.size())));
  publish(frame);
}

}  // namespace rtsup::test
