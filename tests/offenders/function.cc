// The offender as a function: an event's payload is the order, the answer is what came of it.
#include <rtsup/rtsup.hpp>

#include "tests/offenders/act.h"

class Offender : public rtsup::Function {
 public:
  rtsup::Status handle(const rtsup::Event& event, rtsup::Reply& reply) override {
    return reply.set(rtsup::offenders::carry_out(event.text()));
  }
};

RTSUP_FUNCTION(Offender)
