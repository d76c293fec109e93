// The function's own configuration, in C++: what the manifest says under the function's name, or
// what the operator has put in its place since.
//
//   auto limit = rtsup::Config::get("limit");        // a copy, as a string
//
//   char room[64];                                   // the same without an allocation:
//   auto limit = rtsup::Config::read("limit", room);
//   if (limit && limit->found()) use(limit->text());
//
// Owns:    what read() gives points into `room`, or holds memory of the base; it must not outlive
//          `room`.
// Errors:  as in <rtsup/rtsup.hpp>. A name without a value is none.
// Threads: any.
#pragma once

#include <rtsup/call.hpp>

namespace rtsup {
inline namespace v1 {

class Setting : public Answer {
 public:
  bool found() const noexcept { return raw_.found != 0; }
};

class Config {
 public:
  static Result<Setting> read(std::string_view name, std::span<char> room,
                              std::chrono::nanoseconds timeout = {}) {
    Setting setting;
    auto options = RTSUP_INIT(rtsup_options);
    options.timeout_ns = timeout.count() > 0 ? static_cast<uint64_t>(timeout.count()) : 0;
    const int code =
        rtsup_config_get(detail::raw(name), room.data(), room.size(), &options, setting.raw());
    if (code != RTSUP_OK) {
      return setting.to_status(code);
    }
    return setting;
  }
  static Result<std::optional<std::string>> get(std::string_view name,
                                                std::chrono::nanoseconds timeout = {}) {
    char room[RTSUP_CONFIG_VALUE_MAX];
    auto setting = read(name, room, timeout);
    if (!setting) {
      return setting.status();
    }
    return setting->found() ? std::optional<std::string>(setting->text()) : std::nullopt;
  }
};

}  // namespace v1
}  // namespace rtsup
