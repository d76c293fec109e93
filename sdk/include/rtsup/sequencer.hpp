// Numbers that are given out once each, in C++.
//
//   rtsup::Sequencer ids{"ids"};                 // a sequencer component of the manifest
//   auto id = ids.next("order");                 // Result<uint64_t>
//
// Errors:  as in <rtsup/rtsup.hpp>.
// Threads: any.
#pragma once

#include <rtsup/call.hpp>

namespace rtsup {
inline namespace v1 {

class Sequencer {
 public:
  explicit Sequencer(std::string component) : component_(std::move(component)) {}

  // The first of `count` values in a row; see rtsup_sequencer_next().
  Result<uint64_t> next(std::string_view name, uint64_t count = 1,
                        std::chrono::nanoseconds timeout = {}) const {
    Answer answer;
    auto options = RTSUP_INIT(rtsup_options);
    options.timeout_ns = timeout.count() > 0 ? static_cast<uint64_t>(timeout.count()) : 0;
    uint64_t first = 0;
    const int code = rtsup_sequencer_next(detail::raw(component_), detail::raw(name), count,
                                          &options, &first, answer.raw());
    if (code != RTSUP_OK) {
      return answer.to_status(code);
    }
    return first;
  }

 private:
  std::string component_;
};

}  // namespace v1
}  // namespace rtsup
