#include "supervisor/control/request.h"

#include <nlohmann/json.hpp>
#include <set>

#include "abi/base/ids.h"
#include "supervisor/logs/escape.h"

namespace rtsup::supervisor {
namespace {

using nlohmann::json;

ControlFailure bad_request(std::string message) {
  return {.code = "BAD_REQUEST", .message = std::move(message)};
}

struct OpRow {
  std::string_view name;
  ControlOp op;
  bool has_function = false;
  bool has_timeout = false;
  bool has_duration = false;
};
constexpr OpRow kOps[] = {{"ps", ControlOp::kPs},
                          {"stop", ControlOp::kStop},
                          {"restart", ControlOp::kRestart, true},
                          {"session", ControlOp::kSession},
                          {"upgrade", ControlOp::kUpgrade, false, true},
                          {"complain", ControlOp::kComplain, true, false, true},
                          {"learn", ControlOp::kLearn, true, false, true}};

std::variant<ControlRequest, ControlFailure> read_fields(const json& object, const OpRow& row) {
  ControlRequest request{.op = row.op};
  for (const auto& [key, value] : object.items()) {
    if (key == "v" || key == "op") {
      continue;
    }
    if (key == "timeout_ms" && row.has_timeout) {
      if (!value.is_number_unsigned() || value > kTimeoutMsMax || value == 0) {
        return bad_request("field \"timeout_ms\" must be a number from 1 to " +
                           std::to_string(kTimeoutMsMax));
      }
      request.timeout_ms = value.get<uint64_t>();
      continue;
    }
    if (key == "duration_ms" && row.has_duration) {
      if (!value.is_number_unsigned() || value > kTimeoutMsMax) {
        return bad_request("field \"duration_ms\" must be a number from 0 to " +
                           std::to_string(kTimeoutMsMax));
      }
      request.duration_ms = value.get<uint64_t>();
      continue;
    }
    if (key != "function" || !row.has_function) {
      return bad_request("unknown field \"" + escape(key, 64) + "\" for op \"" +
                         std::string(row.name) + "\"");
    }
    if (!value.is_string() || !is_valid_name(value.get_ref<const std::string&>())) {
      return bad_request("field \"function\" must be the name of a function");
    }
    request.function = value.get<std::string>();
  }
  if (row.has_function && request.function.empty()) {
    return bad_request("op \"" + std::string(row.name) + "\" needs a field \"function\"");
  }
  if (row.has_duration && !object.contains("duration_ms")) {
    return bad_request("op \"" + std::string(row.name) + "\" needs a field \"duration_ms\"");
  }
  return request;
}

// The parser's own callback sees every key; a repeated one would silently win over the first.
bool parse_unique(std::string_view line, json& out) {
  bool unique = true;
  std::set<std::string> keys;
  out = json::parse(
      line,
      [&](int depth, json::parse_event_t event, json& parsed) {
        if (event == json::parse_event_t::key && depth == 1) {
          unique = keys.insert(parsed.get<std::string>()).second && unique;
        }
        return depth <= 2;
      },
      false);
  return unique;
}

}  // namespace

std::variant<ControlRequest, ControlFailure> parse_request(std::string_view line) {
  if (line.size() >= kRequestBytesMax) {
    return bad_request("the request is longer than " + std::to_string(kRequestBytesMax) + " bytes");
  }
  json object;
  const bool unique = parse_unique(line, object);
  if (object.is_discarded() || !object.is_object()) {
    return bad_request("a request is one JSON object on one line");
  }
  if (!unique) {
    return bad_request("a field is there twice");
  }
  const auto version = object.find("v");
  if (version == object.end() || !version->is_number_integer() || *version != kControlVersion) {
    return ControlFailure{.code = "VERSION",
                          .message = "this base speaks control protocol version 1: \"v\": 1"};
  }
  const auto op = object.find("op");
  if (op != object.end() && op->is_string()) {
    for (const OpRow& row : kOps) {
      if (row.name == op->get_ref<const std::string&>()) {
        return read_fields(object, row);
      }
    }
  }
  return bad_request(
      "unknown op; there are \"ps\", \"stop\", \"restart\", \"session\", \"upgrade\", "
      "\"complain\" and \"learn\"");
}

std::string format_failure(const ControlFailure& failure) {
  const json answer = {{"v", kControlVersion},
                       {"ok", false},
                       {"error", {{"code", failure.code}, {"message", failure.message}}}};
  return answer.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

std::string format_ok() { return "{\"v\":1,\"ok\":true}\n"; }

}  // namespace rtsup::supervisor
