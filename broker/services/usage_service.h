// UsageService: base.usage, the meter's readings for the operator: one row per function, in the
// plan's order.
// Owns:    the functions' names. Meter, live readings and builder must outlive it.
// Threads: the shard's only.
#pragma once

#include <string>
#include <vector>

#include "broker/core/answer.h"
#include "broker/meter/meter.h"

namespace rtsup::broker {

class UsageService {
 public:
  UsageService(std::vector<std::string> names, const Meter& meter, const LiveMeters& live,
               AnswerBuilder& builder)
      : names_(std::move(names)), meter_(meter), live_(live), builder_(builder) {}
  void handle(Call& call);

 private:
  const std::vector<std::string> names_;
  const Meter& meter_;
  const LiveMeters& live_;
  AnswerBuilder& builder_;
};

}  // namespace rtsup::broker
