// The library's end of a session of a Rig, for tests that link the library statically.
#pragma once

#include <memory>

#include "sdk/channel_transport.h"
#include "tests/channel/one_mapping.h"
#include "tests/channel/rig.h"

namespace rtsup::testing {

inline std::unique_ptr<sdk::ChannelTransport> connect(Rig& rig, uint32_t session,
                                                      uint32_t function = 0,
                                                      uint32_t concurrency = 1) {
  auto regions =
      sdk::Regions::attach(rig.attach(session, function, concurrency), host::kAttachTimeoutNs);
  if (!regions) {
    return nullptr;
  }
#ifdef __SANITIZE_THREAD__
  use_one_mapping(*regions);
#endif
  return sdk::ChannelTransport::create(std::move(*regions));
}

}  // namespace rtsup::testing
