// Regions: a worker's end of one session, mapped: its own region to write, the base's to read, and
// the way to ring the base.
// Owns:    the session socket, the doorbell and the mappings. The regions' descriptors are closed
//          once mapped.
// Errors:  as sdk/host.h says for attach.
// Threads: attach() one; receiving one at a time; the mappings follow abi/layout.h.
#pragma once

#include <array>

#include "abi/base/result.h"
#include "abi/layout.h"
#include "abi/runtime_page.h"
#include "abi/session_message.h"
#include "sys/event.h"
#include "sys/memory.h"
#include "sys/socket.h"

namespace rtsup::sdk {

// A message of the session socket and its descriptors, each beside its item.
struct Delivery {
  abi::SessionMessage message{};
  std::array<sys::UniqueFd, abi::kSessionItemsMax> fds;
};
// The next one: kUnavailable when none is there, kAborted when the base's end is closed.
Result<Delivery> receive_delivery(const sys::UniqueFd& socket);

struct Regions {
  sys::UniqueFd socket;  // of the first attach only: a session keeps its socket
  uint64_t epoch = 0;
  sys::EventFd doorbell;
  sys::WritableMapping up_mapping;
  sys::ReadOnlyMapping down_mapping;
  sys::ReadOnlyMapping shard_mapping;
  sys::ReadOnlyMapping page_mapping;  // empty: this session has no runtime page
  // The bytes of the mappings. Apart, because the ThreadSanitizer tests point them at the
  // base's own mappings: it knows memory by its address and does not see that two mappings are one
  // memory.
  std::span<std::byte> up;
  std::span<const std::byte> down;
  std::span<const std::byte> shard;
  std::span<const std::byte> page;

  // Waits for the attach message and takes it up, including the acknowledgement.
  static Result<Regions> attach(sys::UniqueFd socket, uint64_t timeout_ns);
  // Maps what an attach message brings. The base learns of it by acknowledge().
  static Result<Regions> take_up(Delivery& delivery);
  void acknowledge() const noexcept;

  abi::UpHeader& up_header() const noexcept { return *reinterpret_cast<abi::UpHeader*>(up.data()); }
  const abi::DownHeader& down_header() const noexcept {
    return *reinterpret_cast<const abi::DownHeader*>(down.data());
  }
  const abi::ShardPage& shard_page() const noexcept {
    return *reinterpret_cast<const abi::ShardPage*>(shard.data());
  }
  std::byte* up_slot(uint64_t index) const noexcept { return up.data() + slot_offset(index); }
  const std::byte* down_slot(uint64_t index) const noexcept {
    return down.data() + slot_offset(index);
  }

 private:
  static size_t slot_offset(uint64_t index) noexcept {
    return abi::kRingOffset + (index & (abi::kRingFrames - 1)) * sizeof(abi::Frame);
  }
};

// A window's descriptor, out of a message of the socket.
struct ReceivedWindow {
  uint64_t epoch = 0;
  uint32_t window = 0;
  uint64_t bytes = 0;
  abi::ItemKind kind = abi::ItemKind::kWindowUp;
  sys::UniqueFd fd;
};
Result<ReceivedWindow> window_of(Delivery& delivery);

}  // namespace rtsup::sdk
