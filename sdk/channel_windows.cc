// The large windows of ChannelTransport: asked for when a request does not fit the region, offered
// by the base when an answer does not.
#include <bit>
#include <string_view>

#include "abi/operation.h"
#include "schemas/common_generated.h"
#include "schemas/session_generated.h"
#include "sdk/channel_transport.h"
#include "sys/clock.h"

namespace rtsup::sdk {
namespace {

constexpr uint32_t kSmallestWindow = 256 * 1024;
constexpr uint32_t kWindowStep =
    1024 * 1024;  // above it windows grow in steps, so that 64 MiB and a table do not take 128

uint32_t window_bytes_for(uint32_t bytes) noexcept {
  if (bytes <= kSmallestWindow) {
    return kSmallestWindow;
  }
  return bytes <= kWindowStep ? std::bit_ceil(bytes)
                              : (bytes + kWindowStep - 1) / kWindowStep * kWindowStep;
}

Bytes bytes_of(const flatbuffers::FlatBufferBuilder& builder) noexcept {
  return std::as_bytes(std::span(builder.GetBufferPointer(), builder.GetSize()));
}

Answer no_window(Status status, const char* reason) noexcept {
  return {.status = status, .reason = reason};
}

// Why the base gives none: the text in the answer goes with the answer.
const char* refusal(const Answer& asked) noexcept {
  if (asked.status == Status::kResourceExhausted && !asked.metadata.empty()) {
    const auto* reason = flatbuffers::GetRoot<abi::Failure>(asked.metadata.data())->reason();
    if (reason != nullptr && std::string_view(reason->c_str(), reason->size()) == "NO_MEMORY") {
      return "NO_MEMORY";
    }
  }
  return "PAYLOAD_TOO_LARGE";
}

}  // namespace

// OK when there is a window of the size; kAny: even if it is in use now.
Answer ChannelTransport::ensure_window(uint32_t bytes, uint64_t deadline_ns,
                                       Window wanted) noexcept {
  OneSession session;
  for (;;) {
    uint32_t released = 0;
    {
      const std::lock_guard lock(mutex_);
      collect();
      UpMemory& memory = current().memory;
      session = {.serial = current().serial, .epoch = current().regions.epoch};
      if (wanted == Window::kFree ? memory.has_free_window(bytes) : memory.has_window(bytes)) {
        return {.status = Status::kOk};
      }
      if (memory.has_window_place()) {
        memory.window_asked(true);
        break;
      }
      released = memory.remove_free_window();
    }
    if (released != 0) {  // whatever the time: the base does not know it yet
      flatbuffers::FlatBufferBuilder builder(256);
      builder.Finish(abi::CreateWindowReleaseRequest(builder, released));
      release(call_in(session,
                      {.opcode = abi::op::kSessionWindowRelease, .metadata = bytes_of(builder)})
                  .lease);
      continue;
    }
    if (static_cast<uint64_t>(sys::monotonic_ns()) >= deadline_ns || closed_.load()) {
      return no_window(Status::kResourceExhausted, "NO_ROOM");
    }
    pause(static_cast<uint64_t>(sys::monotonic_ns()) + 100'000);
  }
  Answer answer = ask_window(window_bytes_for(bytes), session);
  const std::lock_guard lock(mutex_);
  if (current().serial == session.serial) {
    current().memory.window_asked(false);
  }
  return answer;
}

Answer ChannelTransport::ask_window(uint32_t bytes, const OneSession& session) noexcept {
  flatbuffers::FlatBufferBuilder builder(256);
  builder.Finish(abi::CreateWindowRequest(builder, abi::Direction::Up, bytes));
  const Answer asked =
      call_in(session, {.opcode = abi::op::kSessionWindow, .metadata = bytes_of(builder)});
  if (asked.status != Status::kOk || asked.metadata.empty()) {
    const char* const reason = asked.reason != nullptr ? asked.reason : refusal(asked);
    release(asked.lease);
    return asked.status == Status::kResourceExhausted || asked.status == Status::kOk
               ? no_window(Status::kResourceExhausted, reason)
               : no_window(asked.status, asked.reason == nullptr ? "WINDOW_REFUSED" : asked.reason);
  }
  const auto* granted = flatbuffers::GetRoot<abi::WindowResponse>(asked.metadata.data());
  const uint32_t number = granted->window();
  const uint32_t size = granted->bytes();
  release(asked.lease);
  const sys::UniqueFd fd = find_window(number, session.epoch);
  auto mapping = sys::WritableMapping::create(fd.get(), size, sys::Prefault::kYes);
  if (!mapping) {
    return no_window(Status::kResourceExhausted, "WINDOW_MAP");
  }
  builder.Clear();
  builder.Finish(abi::CreateWindowReadyRequest(builder, number));
  const Answer ready =
      call_in(session, {.opcode = abi::op::kSessionWindowReady, .metadata = bytes_of(builder)});
  release(ready.lease);
  if (ready.status != Status::kOk) {
    return no_window(ready.status, "WINDOW_REFUSED");
  }
  const std::lock_guard lock(mutex_);
  if (current().serial != session.serial) {
    return no_window(Status::kUnavailable, "BASE_GONE");
  }
  current().memory.add_window(number, std::move(*mapping));
  return {.status = Status::kOk};
}

// The descriptor that the base sent for the window; messages about other windows are kept for who
// waits for them.
sys::UniqueFd ChannelTransport::find_window(uint32_t number, uint64_t epoch) noexcept {
  const std::lock_guard lock(socket_mutex_);
  for (ReceivedWindow& early : early_) {
    if (early.fd.is_open() && early.window == number && early.epoch == epoch) {
      return std::move(early.fd);
    }
  }
  for (;;) {
    auto delivery = receive_delivery(socket_);
    if (!delivery) {
      return {};
    }
    if (delivery->message.verb == abi::SessionVerb::kAttach) {
      arrived_ = std::move(*delivery);  // the leader's: this window will never come
      return {};
    }
    auto received = window_of(*delivery);
    if (!received || received->epoch < epoch) {
      continue;
    }
    if (received->window == number && received->epoch == epoch) {
      return std::move(received->fd);
    }
    keep_window(std::move(*received));
  }
}

// For who asks for it later.
void ChannelTransport::keep_window(ReceivedWindow window) noexcept {
  for (ReceivedWindow& early : early_) {
    if (!early.fd.is_open()) {
      early = std::move(window);
      return;
    }
  }
}

// The base offers a window to receive into, or takes one back (bytes 0). No span into it is held
// then: the base waits for that.
void ChannelTransport::take_offer(const abi::Frame& frame) noexcept {
  ChannelEpoch& epoch = current();
  const Bytes metadata = resolve(epoch, frame.metadata);
  Status status = Status::kInvalidArgument;
  if (!metadata.empty()) {
    const auto* offer = flatbuffers::GetRoot<abi::WindowOfferEvent>(metadata.data());
    const uint32_t index = offer->window() - abi::kWindowsMax - 1;
    if (index < epoch.down_windows.size() && offer->bytes() == 0) {
      epoch.down_windows[index] = {};
      status = Status::kOk;
    } else if (index < epoch.down_windows.size()) {
      const sys::UniqueFd fd = find_window(offer->window(), epoch.regions.epoch);
      auto mapping = sys::ReadOnlyMapping::create(fd.get(), offer->bytes(), sys::Prefault::kYes);
      if (mapping) {
        epoch.down_windows[index] = std::move(*mapping);
        status = Status::kOk;
      } else {
        status = Status::kResourceExhausted;
      }
    }
  }
  give_back(frame);
  publish_answer({.correlation = frame.correlation, .session = epoch.serial, .status = status});
}

}  // namespace rtsup::sdk
