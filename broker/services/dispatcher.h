// Dispatcher: what happens with every call that the channel hands over: service boundary, quota,
// service. Nothing reaches a service that the boundary has not granted.
// Owns:    nothing; everything must outlive it.
// Threads: the shard's only.
#pragma once

#include "broker/access/access.h"
#include "broker/access/quota.h"
#include "broker/access/uses.h"
#include "broker/core/answer.h"
#include "broker/core/call_handler.h"
#include "broker/core/post.h"
#include "broker/meter/meter.h"
#include "broker/services/config_service.h"
#include "broker/services/forwarder.h"
#include "broker/services/invoke_service.h"
#include "broker/services/pubsub_service.h"
#include "broker/services/sequencer_service.h"
#include "broker/services/state_service.h"
#include "broker/services/state_stream.h"
#include "broker/services/usage_service.h"

namespace rtsup::broker {

// What only the home shard has.
struct HomeServices {
  ConfigService& config;
  SequencerService& sequencer;
  UsageService& usage;
};

class Dispatcher final : public CallHandler, public GrantedCalls {
 public:
  struct Parts {
    const Access& access;
    Quota& quota;
    Meter& meter;
    const Timers& timers;
    AnswerBuilder& builder;
    StateService& state;
    InvokeService& invoke;
    PubsubService& pubsub;
    const HomeServices* home = nullptr;  // nullptr on another shard
    Forwarder* forwarder = nullptr;      // nullptr with one shard
    StateStreams* streams = nullptr;     // nullptr: there are none
    Uses* uses = nullptr;                // nullptr: nobody is ever learned
  };
  explicit Dispatcher(const Parts& parts) : parts_(parts) {}

  void handle(Call& call) override;
  // What handle() of some shard has let through.
  void serve(Call& call, const Decision& decision) override;
  void handle_long(Call& call) override;
  void fetched(Call& call) override;
  // From now on every new call is refused; those under way are answered.
  void shut() noexcept { shut_ = true; }

 private:
  bool check(Call& call, const Decision& decision);
  bool admit(Call& call);
  void pass(Call& call, const Decision& decision);
  void refuse(Call& call);

  Parts parts_;
  bool shut_ = false;
};

}  // namespace rtsup::broker
