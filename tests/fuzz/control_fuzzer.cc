// Control: one line of the control protocol, as anybody who may connect can send it.
#include <nlohmann/json.hpp>

#include "abi/base/ids.h"
#include "supervisor/control/request.h"
#include "tests/fuzz/require.h"

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer finds it by this name
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using rtsup::supervisor::ControlFailure;
  using rtsup::supervisor::ControlOp;
  using rtsup::supervisor::ControlRequest;
  const std::string line(reinterpret_cast<const char*>(data), size);
  const auto parsed = rtsup::supervisor::parse_request(line);
  if (const auto* request = std::get_if<ControlRequest>(&parsed); request != nullptr) {
    RTSUP_REQUIRE(size < rtsup::supervisor::kRequestBytesMax, "WRONG ACCEPT: a line too long");
    RTSUP_REQUIRE((request->op == ControlOp::kRestart) == !request->function.empty(),
                  "WRONG ACCEPT: a function where there is none to name");
    RTSUP_REQUIRE(request->function.empty() || rtsup::is_valid_name(request->function),
                  "WRONG ACCEPT: a name that is none");
    const auto object = nlohmann::json::parse(line);
    RTSUP_REQUIRE(object.is_object() && object.at("v") == 1 && object.size() <= 3,
                  "WRONG ACCEPT: not a request of version 1");
    return 0;
  }
  const std::string answer = rtsup::supervisor::format_failure(std::get<ControlFailure>(parsed));
  RTSUP_REQUIRE(answer.find('\n') == answer.size() - 1, "an answer of more than one line");
  RTSUP_REQUIRE(!nlohmann::json::parse(answer).at("ok"), "an answer that is not one");
  return 0;
}
