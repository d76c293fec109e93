// Regions: a worker's end of one session, mapped: its own region to write, the base's to read, and
// the way to ring the base.
// Owns:    the session socket, the doorbell and the mappings. The regions' descriptors are closed
//          once mapped.
// Errors:  as sdk/host.h says for attach.
// Threads: attach() one; receive_window() one at a time; the mappings follow abi/layout.h.
#pragma once

#include "abi/base/result.h"
#include "abi/layout.h"
#include "abi/runtime_page.h"
#include "abi/session_message.h"
#include "sys/event.h"
#include "sys/memory.h"
#include "sys/socket.h"

namespace rtsup::sdk {

struct Regions {
  sys::UniqueFd socket;
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

// A window's descriptor, out of the next message of the socket; kUnavailable when none is there.
struct ReceivedWindow {
  uint32_t window = 0;
  uint64_t bytes = 0;
  abi::ItemKind kind = abi::ItemKind::kWindowUp;
  sys::UniqueFd fd;
};
Result<ReceivedWindow> receive_window(const sys::UniqueFd& socket);
// Whether the base's end of the socket is closed. Costs a system call.
bool is_base_gone(const sys::UniqueFd& socket) noexcept;

}  // namespace rtsup::sdk
