// What the calls of the C++ API share: bytes to send, how something went, what came back. Included
// by <rtsup/rtsup.hpp>, which is the header to include.
// Owns:    Answer holds memory that the base wrote; its views end with it.
// Errors:  nothing throws, except std::bad_alloc for text that is kept.
// Threads: one object by one thread at a time.
#pragma once

#include <rtsup/rtsup.h>

#include <chrono>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rtsup {
inline namespace v1 {

// Bytes to send: made from text or from any bytes in a row; only looked at.
class Data {
 public:
  Data() noexcept = default;
  Data(std::span<const std::byte> bytes) noexcept : bytes_(bytes) {}
  Data(std::string_view text) noexcept
      : bytes_(std::as_bytes(std::span(text.data(), text.size()))) {}
  Data(const std::string& text) noexcept : Data(std::string_view(text)) {}
  Data(const char* text) noexcept : Data(std::string_view(text)) {}
  Data(const std::vector<std::byte>& bytes) noexcept : bytes_(bytes) {}
  std::span<const std::byte> bytes() const noexcept { return bytes_; }
  rtsup_bytes raw() const noexcept { return {bytes_.data(), bytes_.size()}; }

 private:
  std::span<const std::byte> bytes_;
};

namespace detail {
inline std::string_view view(rtsup_string text) noexcept { return {text.data, text.length}; }
inline rtsup_string raw(std::string_view text) noexcept { return {text.data(), text.size()}; }
inline std::span<const std::byte> view(rtsup_bytes bytes) noexcept {
  return {static_cast<const std::byte*>(bytes.data), bytes.length};
}
inline std::string_view text(std::span<const std::byte> bytes) noexcept {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
}  // namespace detail

// How something went: one of enum rtsup_status, with the reason (UPPER_SNAKE, for programs) and a
// message for people.
class [[nodiscard]] Status {
 public:
  Status() noexcept = default;
  Status(rtsup_status code, std::string reason = {}, std::string message = {})
      : code_(code), reason_(std::move(reason)), message_(std::move(message)) {}

  bool ok() const noexcept { return code_ == RTSUP_OK; }
  rtsup_status code() const noexcept { return code_; }
  const char* name() const noexcept { return rtsup_status_name(code_); }
  const std::string& reason() const noexcept { return reason_; }
  const std::string& message() const noexcept { return message_; }

 private:
  rtsup_status code_ = RTSUP_OK;
  std::string reason_;
  std::string message_;
};

// A value, or why there is none.
template <typename Value>
class [[nodiscard]] Result {
 public:
  Result(Value value) noexcept : value_(std::move(value)) {}
  Result(Status status) noexcept : status_(std::move(status)) {}
  bool ok() const noexcept { return value_.has_value(); }
  explicit operator bool() const noexcept { return ok(); }
  const Status& status() const noexcept { return status_; }
  Value& operator*() noexcept { return *value_; }
  const Value& operator*() const noexcept { return *value_; }
  Value* operator->() noexcept { return &*value_; }
  const Value* operator->() const noexcept { return &*value_; }

 private:
  std::optional<Value> value_;
  Status status_;
};

struct Pair {
  std::string_view name;
  std::string_view value;
};

// What every call takes. No timeout: what is left of the event's deadline, or 5 s outside of an
// event.
struct Options {
  std::chrono::nanoseconds timeout{0};
  std::span<const Pair> metadata;
};

namespace detail {
class RawOptions {
 public:
  explicit RawOptions(const Options& options) : raw_(RTSUP_INIT(rtsup_options)) {
    raw_.timeout_ns =
        options.timeout.count() > 0 ? static_cast<uint64_t>(options.timeout.count()) : 0;
    pairs_.reserve(options.metadata.size());
    for (const Pair& pair : options.metadata) {
      pairs_.push_back({raw(pair.name), raw(pair.value)});
    }
    raw_.metadata = pairs_.data();
    raw_.metadata_count = pairs_.size();
  }
  const rtsup_options* get() const noexcept { return &raw_; }

 private:
  rtsup_options raw_;
  std::vector<rtsup_pair> pairs_;
};
}  // namespace detail

// The answer to a call. Its views point into memory that only the base writes, until the answer is
// destroyed.
class Answer {
 public:
  Answer() noexcept : raw_(RTSUP_INIT(rtsup_answer)) {}
  Answer(Answer&& other) noexcept : raw_(std::exchange(other.raw_, RTSUP_INIT(rtsup_answer))) {}
  Answer& operator=(Answer&& other) noexcept {
    std::swap(raw_, other.raw_);
    return *this;
  }
  ~Answer() { rtsup_answer_release(&raw_); }

  std::span<const std::byte> bytes() const noexcept { return detail::view(raw_.data); }
  std::string_view text() const noexcept { return detail::text(bytes()); }
  std::string_view content_type() const noexcept { return detail::view(raw_.content_type); }
  rtsup_answer* raw() noexcept { return &raw_; }
  Status to_status(int code) const {
    return {static_cast<rtsup_status>(code), std::string(detail::view(raw_.reason)),
            std::string(detail::view(raw_.message))};
  }

 protected:
  rtsup_answer raw_;
};

}  // namespace v1
}  // namespace rtsup
