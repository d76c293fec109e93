// ControlRequest: one line of the control protocol, taken apart. The protocol stands in
// docs/formats/control.md.
// Errors:  a request that can not be understood is answered with a code and a sentence, never
//          guessed at.
// Threads: any; pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

namespace rtsup::supervisor {

inline constexpr int kControlVersion = 1;
// One line with its end. The longest legal request is far below it.
inline constexpr size_t kRequestBytesMax = 4096;

enum class ControlOp : uint8_t { kPs, kStop, kRestart, kSession, kUpgrade, kComplain, kLearn };
// Of an upgrade, and of what is relaxed: an hour.
inline constexpr uint64_t kTimeoutMsMax = 3'600'000;

struct ControlRequest {
  ControlOp op = ControlOp::kPs;
  std::string function{};    // kRestart, kComplain, kLearn
  uint64_t timeout_ms = 0;   // kUpgrade; 0 = not given
  uint64_t duration_ms = 0;  // kComplain, kLearn; 0 = it is over
};

struct ControlFailure {
  std::string code;     // UPPER_SNAKE; for programs
  std::string message;  // for people
};

// `line` without its end.
std::variant<ControlRequest, ControlFailure> parse_request(std::string_view line);
// {"v":1,"ok":false,"error":{...}} with its end.
std::string format_failure(const ControlFailure& failure);
// {"v":1,"ok":true} with its end.
std::string format_ok();

}  // namespace rtsup::supervisor
