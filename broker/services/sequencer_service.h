// SequencerService: sequencer.next. Reserves what is asked for and, for a caller with a runtime
// page, a range for later, which it leases to that page: the caller's next values cost no call.
// Owns:    the requests under way. Sequencers and builder must outlive it.
// Errors:  SEQUENCE_INVALID, TOO_MANY_CALLS, and those of the component.
// Threads: the shard's only.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "broker/components/sequencer.h"
#include "broker/core/answer.h"
#include "broker/core/pool.h"

namespace rtsup::broker {

class SequencerService {
 public:
  struct Component {
    std::string name;
    Sequencer* sequencer = nullptr;  // nullptr: no sequencer
    uint64_t lease = 0;              // values that a page gets at a time; 0 = none
  };
  // `components`: all of the plan, in its order.
  SequencerService(std::string_view tenant, std::string_view application,
                   std::vector<Component> components, AnswerBuilder& builder);
  SequencerService(const SequencerService&) = delete;
  SequencerService& operator=(const SequencerService&) = delete;

  void handle(Call& call, ComponentIndex component);
  size_t pending() const noexcept { return pending_.taken(); }

 private:
  class Pending final : public SequenceSink {
   public:
    explicit Pending(SequencerService& service) : service_(&service) {}
    void reserved(uint64_t first) override;
    void failed(abi::Reason reason) override;
    Call* call = nullptr;
    const Component* component = nullptr;
    uint64_t count = 0;
    uint64_t lease = 0;

   private:
    Call& finish() noexcept;
    SequencerService* service_;
  };

  const std::string prefix_;
  const std::vector<Component> components_;
  AnswerBuilder& builder_;
  Pool<Pending> pending_;
  std::string stored_name_;
};

}  // namespace rtsup::broker
