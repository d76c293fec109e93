// Calls by hand, as tests of the broker make them: a table and a payload there, a status, bytes and
// a reason back. Whatever was leased is given back at once.
// `timeout_ns`: 0 = the default.
// Errors:  none of their own.
// Threads: those of the transport.
#pragma once

#include <string>
#include <string_view>

#include "broker/testing/tables.h"
#include "schemas/common_generated.h"
#include "sdk/transport.h"

namespace rtsup::test {

struct Reply {
  Status status = Status::kUnknown;
  std::string data;
  std::string reason;
};

inline Reply call(sdk::Transport& transport, uint16_t opcode, const broker::testing::Table& table,
                  std::string_view payload = {}, uint64_t timeout_ns = 0) {
  const sdk::Answer answer = transport.call({.opcode = opcode,
                                             .metadata = table,
                                             .payload = std::as_bytes(std::span(payload)),
                                             .timeout_ns = timeout_ns});
  Reply reply{
      .status = answer.status, .data = broker::testing::text_of(answer.payload), .reason = {}};
  if (answer.status != Status::kOk && !answer.metadata.empty()) {
    reply.reason = flatbuffers::GetRoot<abi::Failure>(answer.metadata.data())->reason()->str();
  }
  transport.release(answer.lease);
  return reply;
}

inline Reply set(sdk::Transport& transport, std::string_view component, std::string_view key,
                 std::string_view value) {
  return call(transport, abi::op::kStateSet, broker::testing::set_table(component, key), value);
}

inline Reply get(sdk::Transport& transport, std::string_view component, std::string_view key) {
  return call(transport, abi::op::kStateGet, broker::testing::get_table(component, key));
}

}  // namespace rtsup::test
