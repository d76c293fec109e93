// MessageGroup: messages that came as one event, while a function handles one after the other.
// Threads: the serving thread's.
#pragma once

#include <array>

#include "abi/layout.h"
#include "schemas/pubsub_generated.h"
#include "sdk/transport.h"

namespace rtsup::sdk {

struct MessageGroup {
  Event event;  // the group itself; its metadata is the list
  uint32_t window = 0;
  uint32_t count = 0;    // 0 = free
  uint32_t next = 0;     // to be handed out
  uint32_t done = 0;     // answered
  bool is_whole = true;  // all of them OK so far
  std::array<uint8_t, abi::kGroupMessagesMax> statuses{};
};

}  // namespace rtsup::sdk
