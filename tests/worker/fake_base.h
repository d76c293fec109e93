// FakeBase: the base's end of one session, just enough to see a host through its start: it offers
// the regions, takes one request after the other and answers each with OK.
#pragma once

#include <optional>
#include <string>

#include "abi/layout.h"
#include "sys/event.h"
#include "sys/memory.h"
#include "sys/socket.h"

namespace rtsup::test {

class FakeBase {
 public:
  FakeBase();
  // The worker's end of the session socket.
  [[nodiscard]] int worker_end() const { return sockets_.second.get(); }
  void offer(uint16_t abi_major = abi::kAbiMajor);
  [[nodiscard]] bool await_attached();

  struct Request {
    uint16_t opcode = 0;
    std::string metadata;
  };
  // The next request, answered; nothing when none comes.
  std::optional<Request> next_request();
  // Asks the worker to leave.
  void end();

 private:
  void answer(const abi::Frame& request);
  void wake();
  [[nodiscard]] const abi::UpHeader& up() const;
  [[nodiscard]] abi::DownHeader& down() const;

  sys::SocketPair sockets_;
  sys::ReadableRegion up_;
  sys::WritableRegion down_;
  sys::WritableRegion shard_;
  sys::EventFd doorbell_;
  uint64_t taken_ = 0;
};

}  // namespace rtsup::test
