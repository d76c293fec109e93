#include "supervisor/base/relaxer.h"

#include <string>

#include "supervisor/logs/log.h"

namespace rtsup::supervisor {
namespace {

std::string seconds_text(Time span) {
  return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(span).count()) + " s";
}

}  // namespace

std::optional<ControlFailure> Relaxer::request(uint32_t function, const ControlRequest& request) {
  const RelaxedFor wanted =
      request.op == ControlOp::kLearn ? RelaxedFor::kLearning : RelaxedFor::kComplaining;
  const RelaxedFor now_is = context_.relaxations[function].at(now());
  if (now_is != RelaxedFor::kNothing && now_is != wanted) {
    return ControlFailure{.code = "BUSY",
                          .message = now_is == RelaxedFor::kLearning
                                         ? "the function is being learned"
                                         : "the function is in complain mode"};
  }
  if (request.duration_ms != 0) {
    begin(function,
          {.what = wanted, .until = now() + std::chrono::milliseconds(request.duration_ms)});
  } else if (now_is != RelaxedFor::kNothing) {
    end(function);
  }
  return std::nullopt;
}

void Relaxer::begin(uint32_t function, const Relaxation& wanted) {
  const bool goes_on = context_.relaxations[function].at(now()) == wanted.what;
  context_.relaxations[function] = wanted;
  const bool is_learning = wanted.what == RelaxedFor::kLearning;
  if (!goes_on) {
    context_.log.warning(context_.manifest.functions[function].name +
                         (is_learning ? " is being learned" : " is in complain mode") +
                         ": calls that its policy denies are made, for " +
                         seconds_text(wanted.until - now()) + " or until it is told again");
  }
  if (is_learning && !goes_on) {
    tell_broker(function, true);
    lifecycle_.restart(function, now());  // with the filter for it
  } else {
    workers_.relax(function);
  }
  context_.loop.call_at(wanted.until, [this, function, until = wanted.until] {
    if (context_.relaxations[function].until == until) {
      end(function);
    }
  });
}

void Relaxer::end(uint32_t function) {
  const RelaxedFor was = context_.relaxations[function].what;
  context_.relaxations[function] = {};
  context_.log.info(context_.manifest.functions[function].name + " is held to its policy again");
  if (was != RelaxedFor::kLearning) {
    workers_.relax(function);
    return;
  }
  tell_broker(function, false);
  if (!lifecycle_.stopping()) {
    lifecycle_.restart(function, now());  // with the filter of its policy
  }
}

void Relaxer::tell_broker() {
  for (uint32_t function = 0; function < context_.relaxations.size(); ++function) {
    if (context_.relaxations[function].at(now()) == RelaxedFor::kLearning) {
      tell_broker(function, true);
    }
  }
}

// One that does not serve now is told when it does.
void Relaxer::tell_broker(uint32_t function, bool on) {
  abi::LinkCommand command{};
  command.verb = abi::LinkCommandVerb::kLearn;
  command.function = function;
  command.number = on ? 1 : 0;
  if (daemons_.broker() && !daemons_.broker().send(command) && on) {
    context_.log.warning(
        "the broker can not be told of what is learned: uses of services are missed");
  }
}

}  // namespace rtsup::supervisor
