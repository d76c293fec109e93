// StoreClient: asks a StateStore without a service in between, and keeps what it answered.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "broker/components/state_store.h"
#include "broker/testing/fake_call.h"

namespace rtsup::broker::testing {

class StoreAnswer final : public StateReadSink, public StateWriteSink {
 public:
  void read_done(std::span<const StateItem> items) override {
    done = true;
    found = items[0].found;
    reason = items[0].reason;
    value = text_of(items[0].value.bytes());
  }
  void write_done(std::span<const StateOutcome> outcomes) override {
    done = true;
    reason = outcomes[0].reason;
  }
  void failed(abi::Reason why, uint32_t) override {
    done = true;
    reason = why;
  }
  bool done = false;
  bool found = false;
  abi::Reason reason = abi::Reason::kNone;
  std::string value;
};

inline void ask_set(StateStore& store, std::string_view key, const std::string& value,
                    StoreAnswer& answer) {
  const StateWrite write{.key = key, .value = ValueRef::copy_of(std::as_bytes(std::span(value)))};
  store.write({&write, 1}, answer);
}
inline void ask_erase(StateStore& store, std::string_view key, StoreAnswer& answer) {
  const StateWrite write{.key = key, .erase = true};
  store.write({&write, 1}, answer);
}
inline void ask_get(StateStore& store, std::string_view key, StoreAnswer& answer) {
  store.read({&key, 1}, answer);
}

}  // namespace rtsup::broker::testing
