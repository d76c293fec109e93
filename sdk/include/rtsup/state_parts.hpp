// <rtsup/state_parts.hpp>: values of any length, read and written in parts. Since 1.3.
//
//   std::ofstream file("film");
//   auto read = rtsup::read_value(store, "film", [&](auto bytes, uint64_t, uint64_t) {
//     file.write(reinterpret_cast<const char*>(bytes.data()), bytes.size());
//     return rtsup::Status();
//   });
//
// Owns:    nothing; the callbacks are called before the function returns, on its thread.
// Errors:  as of the calls, or what a callback returned. A callback that throws ends the call with
//          UNKNOWN, CALLBACK_THREW.
// Threads: any.
#pragma once

#include <rtsup/state_parts.h>

#include <rtsup/rtsup.hpp>
#include <string>

namespace rtsup {
inline namespace v1 {

namespace detail {
// A callable behind a C callback: it keeps what the callable said.
template <typename Call>
struct PartCallback {
  Call& call;
  Status status{};

  static int sink(void* context, uint64_t offset, uint64_t whole, rtsup_bytes part) noexcept {
    return static_cast<PartCallback*>(context)->run(view(part), offset, whole);
  }
  static int source(void* context, uint64_t offset, void* into, size_t length) noexcept {
    return static_cast<PartCallback*>(context)->run(
        std::span<std::byte>(static_cast<std::byte*>(into), length), offset);
  }
  template <typename... Arguments>
  int run(Arguments... arguments) noexcept {
    try {
      status = call(arguments...);
    } catch (...) {
      status = Status(RTSUP_UNKNOWN, "CALLBACK_THREW");
    }
    return status.code();
  }
};
}  // namespace detail

// Calls sink(std::span<const std::byte> bytes, uint64_t offset, uint64_t whole) -> Status for each
// part, in their order. The entry tells of the value, and has no bytes of it.
template <typename Sink>
Result<Entry> read_value(const State& state, std::string_view key, Sink&& sink,
                         const Options& options = {}) {
  Entry entry;
  detail::PartCallback<std::remove_reference_t<Sink>> callback{sink};
  const int code = rtsup_state_read(state.name(), detail::raw(key), &decltype(callback)::sink,
                                    &callback, detail::RawOptions(options).get(), entry.raw());
  if (!callback.status.ok()) {
    return callback.status;
  }
  if (code != RTSUP_OK) {
    return entry.to_status(code);
  }
  return entry;
}

// Reads the whole value into `into`, which is made as long as it is.
inline Result<Entry> read_value(const State& state, std::string_view key, std::string& into,
                                const Options& options = {}) {
  into.clear();
  return read_value(
      state, key,
      [&into](std::span<const std::byte> bytes, uint64_t /*offset*/, uint64_t whole) {
        into.reserve(static_cast<size_t>(whole));
        into.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        return Status();
      },
      options);
}

// Writes `bytes` bytes, which source(std::span<std::byte> into, uint64_t offset) -> Status fills in
// part after part. Gives the key's new etag.
template <typename Source>
Result<std::string> write_value(const State& state, std::string_view key, uint64_t bytes,
                                Source&& source, const Write& write = {},
                                const Options& options = {}) {
  Entry answer;
  detail::PartCallback<std::remove_reference_t<Source>> callback{source};
  const rtsup_state_write how = write.raw();
  auto from = RTSUP_INIT(rtsup_source);
  from.bytes = bytes;
  from.fill = &decltype(callback)::source;
  from.context = &callback;
  const int code = rtsup_state_write_parts(state.name(), detail::raw(key), &from, &how,
                                           detail::RawOptions(options).get(), answer.raw());
  if (!callback.status.ok()) {
    return callback.status;
  }
  if (code != RTSUP_OK) {
    return answer.to_status(code);
  }
  return std::string(answer.etag());
}

}  // namespace v1
}  // namespace rtsup
