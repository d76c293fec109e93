// Functions: what they are asked, what they answer, and what makes a class one. Included by
// <rtsup/rtsup.hpp>, which is the header to include.
// Owns:    Event's views end with handle().
// Errors:  what a function throws becomes status UNKNOWN (FUNCTION_THREW) with what() as the
//          message, and never crosses the ABI. Why start() failed goes to standard error.
// Threads: as the policy's concurrency says.
#pragma once

#include <chrono>
#include <cstdio>
#include <exception>
#include <optional>
#include <rtsup/call.hpp>
#include <span>
#include <string_view>

namespace rtsup {
inline namespace v1 {

// What a function is asked to do: to answer a call, or to take a message of a topic.
class Event {
 public:
  explicit Event(const rtsup_event& raw) noexcept : raw_(&raw) {}
  bool is_message() const noexcept { return raw_->kind == RTSUP_EVENT_MESSAGE; }
  // Of a message; empty and 0 otherwise.
  std::string_view component() const noexcept { return newer(&rtsup_event::component); }
  std::string_view topic() const noexcept { return newer(&rtsup_event::topic); }
  std::string_view message_id() const noexcept { return newer(&rtsup_event::message_id); }
  uint32_t attempt() const noexcept { return is_message() ? raw_->attempt : 0; }
  std::string_view caller() const noexcept { return detail::view(raw_->caller); }
  std::string_view method() const noexcept { return detail::view(raw_->method); }
  std::string_view content_type() const noexcept { return detail::view(raw_->content_type); }
  std::span<const std::byte> bytes() const noexcept { return detail::view(raw_->data); }
  std::string_view text() const noexcept { return detail::text(bytes()); }
  std::chrono::nanoseconds timeout() const noexcept {
    return std::chrono::nanoseconds(raw_->timeout_ns);
  }
  // Empty when there is no such entry.
  std::string_view metadata(std::string_view name) const noexcept {
    for (size_t i = 0; i < raw_->metadata_count; ++i) {
      if (detail::view(raw_->metadata[i].name) == name) {
        return detail::view(raw_->metadata[i].value);
      }
    }
    return {};
  }
  const rtsup_event& raw() const noexcept { return *raw_; }

 private:
  // An older base's struct ends before these.
  std::string_view newer(rtsup_string rtsup_event::*field) const noexcept {
    return is_message() ? detail::view(raw_->*field) : std::string_view();
  }
  const rtsup_event* raw_;
};

// The answer to an event.
class Reply {
 public:
  explicit Reply(rtsup_reply* raw) noexcept : raw_(raw) {}
  Status set(Data data) {
    const int code = rtsup_reply_set(raw_, data.bytes().data(), data.bytes().size());
    return code == RTSUP_OK ? Status() : Status(static_cast<rtsup_status>(code), "REPLY_NO_ROOM");
  }
  Status content_type(std::string_view type) {
    const int code = rtsup_reply_set_content_type(raw_, type.data(), type.size());
    return code == RTSUP_OK ? Status() : Status(static_cast<rtsup_status>(code), "CONTENT_TYPE");
  }
  // Room in the answer itself, to be filled in place; empty when there is none.
  std::span<std::byte> reserve(size_t length) noexcept {
    void* room = rtsup_reply_reserve(raw_, length);
    return {static_cast<std::byte*>(room), room == nullptr ? 0 : length};
  }
  rtsup_reply* raw() noexcept { return raw_; }

 private:
  rtsup_reply* raw_;
};

// A function: what to do once after loading, for each event, and once before the end.
class Function {
 public:
  virtual ~Function() = default;
  virtual Status start() { return {}; }
  virtual Status handle(const Event& event, Reply& reply) = 0;
};

namespace detail {
// The one object of the function that this shared object or program is.
template <typename Made>
class Holder {
 public:
  static std::optional<Made>& object() noexcept {
    static std::optional<Made> held;
    return held;
  }
  static int start() noexcept {
    try {
      object().emplace();
      const Status status = static_cast<Function&>(*object()).start();
      if (!status.ok()) {
        tell("start() failed", status.reason(), status.message());
      }
      return status.code();
    } catch (const std::exception& thrown) {
      tell("start() threw", thrown.what(), {});
      return RTSUP_UNKNOWN;
    } catch (...) {
      return RTSUP_UNKNOWN;
    }
  }
  static int handle(const rtsup_event* event, rtsup_reply* raw_reply) noexcept {
    try {
      Reply reply(raw_reply);
      const Status status = static_cast<Function&>(*object()).handle(Event(*event), reply);
      if (!status.ok()) {
        rtsup_reply_fail(raw_reply, status.reason().data(), status.reason().size(),
                         status.message().data(), status.message().size());
      }
      return status.code();
    } catch (const std::exception& thrown) {
      return threw(raw_reply, thrown.what());
    } catch (...) {
      return threw(raw_reply, {});
    }
  }
  static void destroy() noexcept { object().reset(); }

 private:
  static int threw(rtsup_reply* raw_reply, std::string_view what) noexcept {
    static constexpr std::string_view kReason = "FUNCTION_THREW";
    rtsup_reply_fail(raw_reply, kReason.data(), kReason.size(), what.data(), what.size());
    return RTSUP_UNKNOWN;
  }
  // Into the function's log: a start has no answer that could say why.
  static void tell(const char* what, std::string_view reason, std::string_view message) noexcept {
    (void)std::fprintf(stderr, "%s:", what);
    for (const std::string_view part : {reason, message}) {
      if (!part.empty()) {
        (void)std::fprintf(stderr, " %.*s", static_cast<int>(part.size()), part.data());
      }
    }
    (void)std::fputs("\n", stderr);
  }
};
}  // namespace detail

// For executables: int main() { return rtsup::run<Cart>(); }
template <typename Made>
int run() noexcept {
  auto callbacks = RTSUP_INIT(rtsup_callbacks);
  callbacks.start = &detail::Holder<Made>::start;
  callbacks.handle = &detail::Holder<Made>::handle;
  callbacks.destroy = &detail::Holder<Made>::destroy;
  return rtsup_run(&callbacks);
}

}  // namespace v1
}  // namespace rtsup

// Makes `Class` the function of this shared object. Once, at the top level of one source file.
#define RTSUP_FUNCTION(Class)                                                          \
  extern "C" int rtsup_start(void) { return ::rtsup::detail::Holder<Class>::start(); } \
  extern "C" int rtsup_handle(const rtsup_event* event, rtsup_reply* reply) {          \
    return ::rtsup::detail::Holder<Class>::handle(event, reply);                       \
  }                                                                                    \
  extern "C" void rtsup_destroy(void) { ::rtsup::detail::Holder<Class>::destroy(); }
