// Access: the service boundary. Decides every call from the session's principal and the plan's
// grants; what no rule grants is denied. Decided before anything is looked up: a component, key or
// function that is absent and one that is forbidden look alike. A bulk call is denied as a whole
// when any of its items is.
// Owns:    the compiled grants. Nothing of the plan is needed after compile().
// Errors:  compile(): kInvalidArgument, Step::kPlan, number = position of the function whose rule
//          points nowhere.
// Threads: any once compiled; decide() allocates nothing.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "abi/base/ids.h"
#include "abi/base/result.h"
#include "abi/operation.h"
#include "broker/access/key_set.h"
#include "broker/core/call.h"

namespace rtsup::plan {
struct BasePlan;
}

namespace rtsup::broker {

enum class Verdict : uint8_t {
  kDenied,
  kAllowed,
  kAbsent,  // for the operator only, who may see what there is: no such function
};

struct Decision {
  Verdict verdict = Verdict::kDenied;
  ComponentIndex component{};  // state.*, pubsub.*, sequencer.*: which one was granted
  FunctionIndex callee{};      // invoke.call: whom
};

class Access {
 public:
  // The plan has passed the verifier.
  static Result<Access> compile(const plan::BasePlan& plan);

  // The call's table has passed the verifier.
  Decision decide(const Call& call) const noexcept;

 private:
  static constexpr size_t kStateOperations = 8;  // opcodes 0x0100 to 0x0107

  struct ComponentGrant {
    std::string name;
    ComponentIndex component;
    std::array<KeySet, kStateOperations> keys;  // by the opcode's low byte; empty = nothing
  };
  struct BusGrant {
    std::string name;
    ComponentIndex component;
    KeySet publish;
    KeySet subscribe;
  };
  struct Callee {
    std::string name;
    FunctionIndex function;
  };
  struct SequencerGrant {
    std::string name;
    ComponentIndex component;
    KeySet names;
  };
  struct FunctionGrants {
    std::vector<ComponentGrant> state;       // sorted by name
    std::vector<BusGrant> pubsub;            // sorted by name
    std::vector<Callee> invoke;              // sorted by name
    std::vector<SequencerGrant> sequencers;  // sorted by name
  };

  Result<void> add_state(const plan::BasePlan& plan, uint32_t function);
  Result<void> add_pubsub(const plan::BasePlan& plan, uint32_t function);
  Result<void> add_invoke(const plan::BasePlan& plan, uint32_t function);
  Result<void> add_sequencers(const plan::BasePlan& plan, uint32_t function);
  Decision decide_function(const Call& call) const noexcept;
  static Decision decide_pubsub(const Call& call, const std::vector<BusGrant>& grants) noexcept;
  Decision decide_operator(const Call& call) const noexcept;

  std::vector<FunctionGrants> functions_;
  std::vector<Callee> every_function_;  // sorted by name, for the operator
};

}  // namespace rtsup::broker
