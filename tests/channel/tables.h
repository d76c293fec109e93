// Finished tables of the requests that the channel's tests send.
#pragma once

#include <vector>

#include "schemas/base_generated.h"
#include "schemas/invoke_generated.h"
#include "schemas/session_generated.h"
#include "schemas/state_generated.h"

namespace rtsup::testing {

using Table = std::vector<std::byte>;

template <typename Make>
Table table(const Make& make) {
  flatbuffers::FlatBufferBuilder builder;
  builder.Finish(make(builder));
  const auto* start = reinterpret_cast<const std::byte*>(builder.GetBufferPointer());
  return Table(start, start + builder.GetSize());
}

inline Table echo_table() {
  return table([](auto& b) { return abi::CreateEchoRequest(b); });
}
inline Table ready_table() {
  return table([](auto& b) { return abi::CreateSessionReadyRequest(b); });
}
inline Table get_table(const char* key) {
  return table([&](auto& b) { return abi::CreateStateGetRequestDirect(b, "store", key); });
}
inline Table set_table(const char* key) {
  return table([&](auto& b) { return abi::CreateStateSetRequestDirect(b, "store", key); });
}
inline Table invoke_event_table(const char* method = "method") {
  return table([&](auto& b) { return abi::CreateInvokeEventDirect(b, "caller", method); });
}
inline Table invoke_reply_table() {
  return table([](auto& b) { return abi::CreateInvokeReply(b); });
}

}  // namespace rtsup::testing
