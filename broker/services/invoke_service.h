// InvokeService: the building block `invoke`: hands a call to an instance of another function and
// its reply back. Payloads are never kept: they are copied once, from one session's memory into the
// other's, by the transport.
// Owns:    a fixed number of invocations. Directory, timers and builder must outlive it; who makes
//          it has the directory tell it of room.
// Units:   an invocation ends at the earlier of the caller's deadline and the callee's event
//          timeout, counted from its arrival.
// Errors:  FUNCTION_DOWN (no ready instance), QUEUE_FULL (kInvokeQueueMax wait), DEADLINE_EXCEEDED
//          while waiting, TOO_DEEP, FUNCTION_ENDED (the instance is gone); a status and reason of
//          the callee's own pass through.
// Threads: the shard's only.
//
// Loops. A call made during an event says so (Call::depth), and an invocation deeper than
// kInvokeDepthMax is refused. A function that hides it gains nothing: each level still occupies an
// event slot of an instance until its caller's deadline.
#pragma once

#include <cstdint>
#include <vector>

#include "broker/core/answer.h"
#include "broker/core/call.h"
#include "broker/core/endpoint.h"
#include "broker/core/limits.h"
#include "broker/core/pool.h"
#include "broker/core/post.h"

namespace rtsup::broker {

class InvokeService final : public Directory::Observer {
 public:
  // `event_timeouts_ns`: of each function of the plan.
  InvokeService(std::vector<uint64_t> event_timeouts_ns, Directory& directory, Timers& timers,
                AnswerBuilder& builder);
  InvokeService(const InvokeService&) = delete;
  InvokeService& operator=(const InvokeService&) = delete;

  void handle(Call& call, FunctionIndex callee);
  void room(FunctionIndex function) override;
  void down(FunctionIndex function) override;
  size_t pending() const noexcept { return pending_.taken(); }

 private:
  class Pending final : public EventSink {
   public:
    explicit Pending(InvokeService& service) : service_(&service) {}
    void answered(Status status, std::span<const std::byte> metadata,
                  const Payload& payload) override;

    Call* call = nullptr;
    FunctionIndex callee;
    uint64_t deadline_ns = 0;
    uint64_t timer = 0;       // while it waits
    Pending* next = nullptr;  // behind it in the queue

   private:
    InvokeService* service_;
  };
  // Those that wait for an instance, oldest first.
  struct Queue {
    Pending* first = nullptr;
    Pending* last = nullptr;
    size_t count = 0;
  };

  bool send(Pending& pending);
  void push(Pending& pending);
  Pending& pop(Queue& queue);
  void remove(Pending& pending);
  void arm_timer(Pending& pending);
  void disarm_timer(Pending& pending);
  void expire(Pending& pending);
  Call& finish(Pending& pending) noexcept;

  const std::vector<uint64_t> event_timeouts_ns_;
  Directory& directory_;
  Timers& timers_;
  AnswerBuilder& builder_;
  Pool<Pending> pending_;
  std::vector<Queue> queues_;
};

}  // namespace rtsup::broker
