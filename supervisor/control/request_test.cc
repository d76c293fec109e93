#include "supervisor/control/request.h"

#include <gtest/gtest.h>

namespace rtsup::supervisor {
namespace {

ControlRequest good(std::string_view line) {
  const auto parsed = parse_request(line);
  EXPECT_TRUE(std::holds_alternative<ControlRequest>(parsed)) << line;
  return std::holds_alternative<ControlRequest>(parsed) ? std::get<ControlRequest>(parsed)
                                                        : ControlRequest{};
}

std::string refused(std::string_view line) {
  const auto parsed = parse_request(line);
  const auto* const failure = std::get_if<ControlFailure>(&parsed);
  return failure == nullptr ? "accepted" : failure->code;
}

TEST(ControlRequest, EachOpIsUnderstood) {
  EXPECT_EQ(good(R"({"v":1,"op":"ps"})").op, ControlOp::kPs);
  EXPECT_EQ(good(R"({"op":"stop","v":1})").op, ControlOp::kStop);
  EXPECT_EQ(good(R"({"v":1,"op":"session"})").op, ControlOp::kSession);
  const ControlRequest restart = good(R"({"v":1,"op":"restart","function":"cart"})");
  EXPECT_EQ(restart.op, ControlOp::kRestart);
  EXPECT_EQ(restart.function, "cart");
}

TEST(ControlRequest, AnUpgradeMayHaveATimeLimit) {
  EXPECT_EQ(good(R"({"v":1,"op":"upgrade"})").op, ControlOp::kUpgrade);
  EXPECT_EQ(good(R"({"v":1,"op":"upgrade"})").timeout_ms, 0U);
  EXPECT_EQ(good(R"({"v":1,"op":"upgrade","timeout_ms":250})").timeout_ms, 250U);
  for (const char* const wrong :
       {"0", "-1", "1.5", "\"1\"", "null", "3600001", "18446744073709551616", "true"}) {
    EXPECT_EQ(refused(R"({"v":1,"op":"upgrade","timeout_ms":)" + std::string(wrong) + "}"),
              "BAD_REQUEST")
        << wrong;
  }
  EXPECT_EQ(refused(R"({"v":1,"op":"ps","timeout_ms":1})"), "BAD_REQUEST");
}

TEST(ControlRequest, RelaxingAFunctionHasAnEnd) {
  for (const auto& [name, op] :
       {std::pair{"complain", ControlOp::kComplain}, std::pair{"learn", ControlOp::kLearn}}) {
    const std::string head = R"({"v":1,"op":")" + std::string(name) + R"(","function":"cart")";
    const ControlRequest request = good(head + R"(,"duration_ms":5000})");
    EXPECT_EQ(request.op, op);
    EXPECT_EQ(request.function, "cart");
    EXPECT_EQ(request.duration_ms, 5000U);
    EXPECT_EQ(good(head + R"(,"duration_ms":0})").duration_ms, 0U);
    EXPECT_EQ(refused(head + "}"), "BAD_REQUEST") << "for ever";
    for (const char* const wrong : {"-1", "1.5", "\"1\"", "null", "3600001", "true"}) {
      EXPECT_EQ(refused(head + R"(,"duration_ms":)" + wrong + "}"), "BAD_REQUEST") << wrong;
    }
  }
  EXPECT_EQ(refused(R"({"v":1,"op":"learn","duration_ms":1})"), "BAD_REQUEST");
  EXPECT_EQ(refused(R"({"v":1,"op":"restart","function":"cart","duration_ms":1})"), "BAD_REQUEST");
}

TEST(ControlRequest, AnotherVersionIsNamed) {
  EXPECT_EQ(refused(R"({"v":2,"op":"ps"})"), "VERSION");
  EXPECT_EQ(refused(R"({"op":"ps"})"), "VERSION");
  EXPECT_EQ(refused(R"({"v":"1","op":"ps"})"), "VERSION");
  EXPECT_EQ(refused(R"({"v":1.0,"op":"ps"})"), "VERSION");
}

TEST(ControlRequest, WhatIsNotUnderstoodIsRefused) {
  EXPECT_EQ(refused(""), "BAD_REQUEST");
  EXPECT_EQ(refused("[]"), "BAD_REQUEST");
  EXPECT_EQ(refused("{\"v\":1,"), "BAD_REQUEST");
  EXPECT_EQ(refused(R"({"v":1})"), "BAD_REQUEST");
  EXPECT_EQ(refused(R"({"v":1,"op":7})"), "BAD_REQUEST");
  EXPECT_EQ(refused(R"({"v":1,"op":"reboot"})"), "BAD_REQUEST");
  EXPECT_EQ(refused(R"({"v":1,"op":"ps","op":"stop"})"), "BAD_REQUEST");
  EXPECT_EQ(refused(R"({"v":1,"op":"ps","function":"cart"})"), "BAD_REQUEST");
  EXPECT_EQ(refused(R"({"v":1,"op":"restart"})"), "BAD_REQUEST");
  EXPECT_EQ(refused(R"({"v":1,"op":"restart","function":"../etc"})"), "BAD_REQUEST");
  EXPECT_EQ(refused(R"({"v":1,"op":"restart","function":{"a":[1]}})"), "BAD_REQUEST");
  EXPECT_EQ(refused("{\"v\":1,\"op\":\"\xff\xfe\"}"), "BAD_REQUEST");
}

TEST(ControlRequest, LongAndDeepInputIsRefusedNotRecursed) {
  EXPECT_EQ(refused(std::string(kRequestBytesMax, '[')), "BAD_REQUEST");
  EXPECT_EQ(refused(std::string(kRequestBytesMax - 1, '[')), "BAD_REQUEST");
}

TEST(ControlRequest, AFailureIsOneLineOfJson) {
  EXPECT_EQ(format_failure({.code = "X", .message = "a\n\"b\""}),
            "{\"error\":{\"code\":\"X\",\"message\":\"a\\n\\\"b\\\"\"},\"ok\":false,\"v\":1}\n");
}

}  // namespace
}  // namespace rtsup::supervisor
