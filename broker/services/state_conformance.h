// The state conformance suite: what a caller sees of building block `state`, the same on every
// component. Follows the list of dapr/components-contrib tests/conformance/state, as far as the
// Runtime ABI has the operation. A component joins by INSTANTIATE_TEST_SUITE_P with a maker of its
// store.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>

#include "broker/services/state_service.h"
#include "broker/services/state_stream.h"
#include "broker/testing/fake_loop.h"
#include "broker/testing/tables.h"

namespace rtsup::broker::testing {

struct StoreMaker {
  std::string name;
  std::function<std::unique_ptr<StateStore>(FakeLoop& loop)> make;
};

class StateConformance : public ::testing::TestWithParam<StoreMaker> {
 protected:
  StateConformance()
      : store_(GetParam().make(loop_)),
        service_("shop", "shop", {store_.get()}, builder_, loop_),
        streams_("shop/shop/", {store_.get()},
                 {.builder = builder_, .clock = loop_, .timers = loop_}) {}
  ~StateConformance() override { store_->close(); }

  // Runs one call to its answer.
  FakeCall run(uint16_t opcode, Table table, std::string payload = {}, uint32_t session = 1) {
    FakeCall call(opcode, std::move(table), std::move(payload));
    call.session_id = {session};
    if (StateStreams::has(opcode)) {
      streams_.handle(call, ComponentIndex{0});
    } else {
      service_.handle(call, ComponentIndex{0});
    }
    loop_.advance_ms(0);  // what takes several turns
    EXPECT_TRUE(loop_.run_until([&call] { return call.answered(); }));
    return call;
  }
  FakeCall get(const std::string& key) { return run(abi::op::kStateGet, get_table("store", key)); }
  FakeCall set(const Write& write) {
    return run(abi::op::kStateSet, set_table("store", write.key, write), write.value);
  }
  FakeCall erase(const Write& write) {
    return run(abi::op::kStateDelete, delete_table("store", write.key, write));
  }
  FakeCall bulk_get(const std::vector<std::string>& keys) {
    return run(abi::op::kStateBulkGet, bulk_get_table("store", keys));
  }
  FakeCall bulk_set(const std::vector<Write>& writes) {
    return run(abi::op::kStateBulkSet, bulk_set_table("store", writes), joined_values(writes));
  }
  FakeCall bulk_erase(const std::vector<Write>& writes) {
    return run(abi::op::kStateBulkDelete, bulk_delete_table("store", writes));
  }
  bool has(const std::string& key) { return get(key).response<abi::StateGetResponse>().found(); }
  std::string etag_of(const std::string& key) {
    const FakeCall call = get(key);
    const auto* etag = call.response<abi::StateGetResponse>().etag();
    return etag == nullptr ? "" : etag->str();
  }

  FakeLoop loop_;
  AnswerBuilder builder_;
  std::unique_ptr<StateStore> store_;
  StateService service_;
  StateStreams streams_;
};

}  // namespace rtsup::broker::testing
