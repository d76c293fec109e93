#include "broker/services/invoke_service.h"

#include <algorithm>

#include "broker/core/table.h"
#include "schemas/invoke_generated.h"

namespace rtsup::broker {
namespace {

using abi::Reason;

constexpr uint32_t kRetryWhenDownMs = 200;  // about a restart
constexpr uint32_t kRetryWhenFullMs = 20;

// The reply's bytes are passed on as the response: the two tables have the same fields in the same
// slots.
static_assert(int{abi::InvokeReply::VT_CONTENT_TYPE} == int{abi::InvokeResponse::VT_CONTENT_TYPE});
static_assert(int{abi::InvokeReply::VT_METADATA} == int{abi::InvokeResponse::VT_METADATA});

std::span<const std::byte> make_event(AnswerBuilder& answer, const Call& call) {
  const auto& request = table_of<abi::InvokeRequest>(call);
  auto& builder = answer.start();
  const auto metadata = copy_pairs(builder, request.metadata());
  const std::string& caller = call.principal().name;
  const auto caller_at = builder.CreateString(caller.data(), caller.size());
  const auto method = copy_text(builder, request.method());
  const auto content_type = copy_text(builder, request.content_type());
  return answer.finish(abi::CreateInvokeEvent(builder, caller_at, method, content_type, metadata));
}

}  // namespace

InvokeService::InvokeService(std::vector<uint64_t> event_timeouts_ns, Directory& directory,
                             Timers& timers, AnswerBuilder& builder)
    : event_timeouts_ns_(std::move(event_timeouts_ns)),
      directory_(directory),
      timers_(timers),
      builder_(builder),
      pending_(kInvokePendingMax, [this] { return Pending(*this); }),
      queues_(event_timeouts_ns_.size()) {}

void InvokeService::handle(Call& call, FunctionIndex callee) {
  if (call.depth() >= kInvokeDepthMax) {
    return answer_failure(call, builder_, Reason::kTooDeep);
  }
  if (!directory_.has_ready(callee)) {
    return answer_failure(call, builder_, Reason::kFunctionDown, kRetryWhenDownMs);
  }
  Queue& queue = queues_[callee.value];
  if (queue.count >= kInvokeQueueMax) {
    return answer_failure(call, builder_, Reason::kQueueFull, kRetryWhenFullMs);
  }
  Pending* pending = pending_.take();
  if (pending == nullptr) {
    return answer_failure(call, builder_, Reason::kTooManyCalls, kRetryWhenFullMs);
  }
  pending->call = &call;
  pending->callee = callee;
  pending->deadline_ns =
      std::min(call.deadline_ns(), timers_.now_ns() + event_timeouts_ns_[callee.value]);
  // Nobody overtakes those that wait.
  if (queue.count > 0 || !send(*pending)) {
    push(*pending);
  }
}

bool InvokeService::send(Pending& pending) {
  Endpoint* endpoint = directory_.pick(pending.callee);
  if (endpoint == nullptr) {
    return false;
  }
  const Event event{.opcode = abi::op::kEventInvoke,
                    .metadata = make_event(builder_, *pending.call),
                    .payload = &pending.call->payload(),
                    .deadline_ns = pending.deadline_ns,
                    .depth = pending.call->depth() + 1};
  return endpoint->send(event, pending);
}

void InvokeService::room(FunctionIndex function) {
  Queue& queue = queues_[function.value];
  while (queue.first != nullptr && directory_.pick(function) != nullptr) {
    // Out of the queue before it is sent: an answer that comes at once must not find it there.
    Pending& pending = pop(queue);
    if (!send(pending)) {
      pending.next = queue.first;
      queue.first = &pending;
      queue.last = queue.last == nullptr ? &pending : queue.last;
      ++queue.count;
      arm_timer(pending);
      return;
    }
  }
}

void InvokeService::down(FunctionIndex function) {
  Queue& queue = queues_[function.value];
  while (queue.first != nullptr) {
    Pending& pending = pop(queue);
    answer_failure(finish(pending), builder_, Reason::kFunctionDown, kRetryWhenDownMs);
  }
}

void InvokeService::push(Pending& pending) {
  Queue& queue = queues_[pending.callee.value];
  pending.next = nullptr;
  (queue.last == nullptr ? queue.first : queue.last->next) = &pending;
  queue.last = &pending;
  ++queue.count;
  arm_timer(pending);
}

void InvokeService::arm_timer(Pending& pending) {
  pending.timer = timers_.at(pending.deadline_ns, [this, &pending] { expire(pending); });
}

void InvokeService::disarm_timer(Pending& pending) {
  if (pending.timer != 0) {
    timers_.cancel(pending.timer);
    pending.timer = 0;
  }
}

InvokeService::Pending& InvokeService::pop(Queue& queue) {
  Pending& pending = *queue.first;
  queue.first = pending.next;
  queue.last = queue.first == nullptr ? nullptr : queue.last;
  --queue.count;
  pending.next = nullptr;
  disarm_timer(pending);
  return pending;
}

void InvokeService::remove(Pending& pending) {
  Queue& queue = queues_[pending.callee.value];
  Pending* before = nullptr;
  for (Pending* at = queue.first; at != &pending; at = at->next) {
    before = at;
  }
  (before == nullptr ? queue.first : before->next) = pending.next;
  queue.last = queue.last == &pending ? before : queue.last;
  --queue.count;
}

void InvokeService::expire(Pending& pending) {
  pending.timer = 0;
  remove(pending);
  answer_failure(finish(pending), builder_, Reason::kDeadlineExceeded);
}

Call& InvokeService::finish(Pending& pending) noexcept {
  Call& call = *pending.call;
  pending.call = nullptr;
  pending_.give(&pending);
  return call;
}

void InvokeService::Pending::answered(Status status, std::span<const std::byte> metadata,
                                      const Payload& payload) {
  InvokeService& service = *service_;
  Call& answered = service.finish(*this);
  // What the instance said, success or failure, goes to the caller as it is.
  if (!metadata.empty()) {
    answered.answer_from(status, metadata, payload);
    return;
  }
  switch (status) {
    case Status::kOk: {
      auto& builder = service.builder_.start();
      answered.answer_from(status, service.builder_.finish(abi::CreateInvokeResponse(builder)),
                           payload);
      return;
    }
    case Status::kUnavailable:
      return answer_failure(answered, service.builder_, Reason::kFunctionEnded);
    case Status::kDeadlineExceeded:
      return answer_failure(answered, service.builder_, Reason::kDeadlineExceeded);
    default:
      return answer_failure_as(answered, service.builder_, status, Reason::kFunctionFailed);
  }
}

}  // namespace rtsup::broker
