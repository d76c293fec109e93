// StateStreams: the operations of building block `state` on parts of values: read_part and the
// uploads. Runs after the service boundary has granted the call on its key, at every step.
// Owns:    a fixed number of requests under way, and the uploads of all sessions on the stores of
//          its shard. What Parts borrows must outlive it.
// Units:   limits in broker/core/limits.h.
// Errors:  abi/reasons.inc, "Requests" and "State".
// Threads: the shard's only.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "broker/components/state_streams.h"
#include "broker/core/answer.h"
#include "broker/core/call.h"
#include "broker/core/pool.h"
#include "broker/core/post.h"
#include "broker/core/wall_clock.h"
#include "broker/services/upload_table.h"

namespace rtsup::broker {

class StateStreams {
 public:
  static constexpr size_t kPendingMax = 4096;

  struct Parts {
    AnswerBuilder& builder;
    const WallClock& clock;
    Timers& timers;
  };
  // `prefix`: of all keys as they are stored, "TENANT/APPLICATION/". `stores`: as of StateService.
  StateStreams(std::string prefix, std::vector<StateStore*> stores, const Parts& parts);
  ~StateStreams();
  StateStreams(const StateStreams&) = delete;
  StateStreams& operator=(const StateStreams&) = delete;

  // Whether the operation is one of these.
  static constexpr bool has(uint16_t opcode) noexcept {
    return opcode >= abi::op::kStateReadPart && opcode <= abi::op::kStateUploadAbort;
  }
  void handle(Call& call, ComponentIndex component);
  // Its uploads go.
  void session_gone(SessionId session);
  // Gives its timer back: the timers may go before it does.
  void close() noexcept;
  [[nodiscard]] size_t pending() const noexcept { return pending_.taken(); }
  [[nodiscard]] const UploadTable& uploads() const noexcept { return uploads_; }

 private:
  // A request that a store has.
  class Pending final : public StreamSink {
   public:
    explicit Pending(StateStreams& streams) : streams_(&streams) {}
    void stream_done(const StreamResult& result) override;
    MemoryShare memory() const noexcept override { return call->memory(); }
    Call* call = nullptr;
    Upload* upload = nullptr;  // nullptr: of read_part
    size_t number = 0;         // of a part

   private:
    StateStreams* streams_;
  };
  struct Target {
    Call& call;
    ComponentIndex component;
    StreamStore& store;
    std::string key;
  };

  // Each returns why the request is refused, or kNone when it is answered or the store has it.
  abi::Reason serve(Target& target);
  abi::Reason read_part(Target& target);
  abi::Reason begin(Target& target);
  abi::Reason put(Target& target);
  abi::Reason commit(Target& target);
  abi::Reason abort(Target& target);

  Pending* take_pending(Call& call, Upload* upload) noexcept;
  void finished(Call& call, Upload* upload, size_t number, const StreamResult& result);
  void note(Upload& upload, uint16_t opcode, size_t number, const StreamResult& result);
  void end(Upload& upload);
  void answer(Call& call, const Upload* upload, const StreamResult& result);
  void answer_part(Call& call, const StreamResult& result);
  void arm();
  void end_silent();

  const std::string prefix_;
  const std::vector<StateStore*> stores_;
  const Parts parts_;
  Pool<Pending> pending_;
  UploadTable uploads_;
  uint64_t timer_ = 0;  // 0 = not armed
};

}  // namespace rtsup::broker
