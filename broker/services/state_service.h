// StateService: the building block `state`: checks requests, turns them into reads and writes of a
// component, and answers. Runs after the service boundary has granted the call.
// Owns:    a fixed number of requests under way. Stores, clock and builder must outlive it.
// Units:   limits in broker/core/limits.h.
// Errors:  abi/reasons.inc, "Requests" and "State"; of bulk calls per item where an item is at
//          fault.
// Threads: the shard's only. Getting from a store that answers at once allocates nothing.
//
// Keys are stored as "TENANT/APPLICATION/KEY". Names hold no slash, so no two applications ever
// share a stored key.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "broker/components/etag.h"
#include "broker/components/state_store.h"
#include "broker/core/answer.h"
#include "broker/core/call.h"
#include "broker/core/fixed_table.h"
#include "broker/core/limits.h"
#include "broker/core/pool.h"
#include "broker/core/wall_clock.h"
#include "schemas/state_generated.h"

namespace rtsup::broker {

class StateService {
 public:
  // `stores`: one per component of the plan; nullptr for one that is no state store.
  StateService(std::string_view tenant, std::string_view application,
               std::vector<StateStore*> stores, AnswerBuilder& builder, const WallClock& clock);
  StateService(const StateService&) = delete;
  StateService& operator=(const StateService&) = delete;

  void handle(Call& call, ComponentIndex component);
  size_t pending() const noexcept { return pending_.taken(); }

 private:
  // A request that a store has: the sink that knows which call to answer.
  class Pending final : public StateReadSink, public StateWriteSink {
   public:
    explicit Pending(StateService& service) : service_(&service) {}
    Call* call = nullptr;
    void read_done(std::span<const StateItem> items) override;
    void write_done(std::span<const StateOutcome> outcomes) override;
    void failed(abi::Reason reason, uint32_t retry_after_ms) override;
    MemoryShare memory() const noexcept override;

   private:
    Call& finish() noexcept;
    StateService* service_;
  };

  // Each returns why the request is refused, or kNone when the store has taken it.
  abi::Reason get(Call& call, StateStore& store);
  abi::Reason set(Call& call, StateStore& store);
  abi::Reason erase(Call& call, StateStore& store);
  abi::Reason bulk_get(Call& call, StateStore& store);
  abi::Reason bulk_set(Call& call, StateStore& store);
  abi::Reason bulk_erase(Call& call, StateStore& store);

  abi::Reason submit_read(Call& call, StateStore& store);
  abi::Reason submit_write(Call& call, StateStore& store);
  // Checks the key and appends its stored form to keys_.
  abi::Reason add_key(std::string_view key);
  void start_request() noexcept;
  bool has_duplicates();

  void answer_get(Call& call, const StateItem& item);
  void answer_bulk_get(Call& call, std::span<const StateItem> items);
  void answer_bulk_write(Call& call, std::span<const StateOutcome> outcomes);
  flatbuffers::Offset<flatbuffers::String> etag_string(uint64_t etag);

  // What a get and a set are answered with, mostly: a value that never ends, of no type.
  FixedTable<abi::StateGetResponse, EtagText().size()> found_;
  FixedTable<abi::StateSetResponse, EtagText().size()> written_;
  const std::string prefix_;
  const std::vector<StateStore*> stores_;
  AnswerBuilder& builder_;
  const WallClock& clock_;
  Pool<Pending> pending_;

  // The request being read; reserved once.
  std::unique_ptr<char[]> key_bytes_;
  size_t key_size_ = 0;
  std::vector<std::string_view> keys_;
  std::vector<std::string_view> sorted_keys_;
  std::vector<StateWrite> writes_;
};

}  // namespace rtsup::broker
