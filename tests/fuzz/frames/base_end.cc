#include "tests/fuzz/frames/base_end.h"

#include <algorithm>
#include <array>

#include "tests/fuzz/frames/fake_kernel.h"
#include "tests/fuzz/frames/tables.h"
#include "tests/fuzz/require.h"

namespace rtsup::fuzz {
namespace {

// Low enough that windows stay cheap, and beyond what goes inline.
constexpr uint32_t kPayloadBytesMax = 200'000;
constexpr SessionId kSession{7};
constexpr uint64_t kStartNs = 1'000'000'000;
constexpr size_t kSinksMax = 256;

class Zeros final : public broker::Payload {
 public:
  explicit Zeros(size_t size) noexcept : size_(size) {}
  [[nodiscard]] size_t size() const noexcept override { return size_; }
  void copy(size_t offset, std::span<std::byte> out) const noexcept override {
    RTSUP_REQUIRE(offset <= size_ && out.size() <= size_ - offset, "reads beyond a payload");
    std::fill(out.begin(), out.end(), std::byte{0});
  }

 private:
  size_t size_;
};

size_t payload_size(Script& script) {
  switch (script.below(16)) {
    case 0:
      return script.u32() % (kPayloadBytesMax + 2);
    case 1:
      return script.u16();
    default:
      return script.byte();
  }
}

void check_payload(const broker::Payload& payload, std::span<const std::byte> expected) {
  RTSUP_REQUIRE(payload.size() == expected.size(), "a payload of another size than the frame's");
  std::array<std::byte, 512> copy;
  // Its ends: a whole one may have 200 KB.
  const size_t part = std::min(expected.size(), copy.size());
  payload.copy(0, std::span(copy).first(part));
  RTSUP_REQUIRE(
      std::equal(copy.begin(), copy.begin() + static_cast<ptrdiff_t>(part), expected.begin()),
      "other bytes than the worker's");
  payload.copy(expected.size() - part, std::span(copy).first(part));
}

}  // namespace

BaseEnd::BaseEnd()
    : options_{.payload_bytes_max = kPayloadBytesMax},
      core_{.options = options_, .handler = *this, .observer = *this} {
  core_.rooms = this;
}

void BaseEnd::begin(Script& script, bool is_operator) {
  RTSUP_REQUIRE(session_ == nullptr, "finish() comes first");
  script_ = &script;
  core_.now_ns = kStartNs;
  expected_ = {};
  was_handled_ = is_gone_ = detaches_in_callbacks = false;
  reason_.reset();
  sys::UniqueFd page(kernel().open(0));
  sys::UniqueFd down;
  auto session = broker::channel::Session::create(
      core_,
      {.session = kSession,
       .epoch = 3,
       .principal = {.kind = is_operator ? abi::PrincipalKind::kOperator
                                         : abi::PrincipalKind::kFunction,
                     .function = {0},
                     .instance = 0,
                     .name = "f"},
       .concurrency = 1U + script.below(40),
       .socket = sys::UniqueFd(kernel().open(0))},
      down);
  RTSUP_REQUIRE(session.has_value(), "a session that can not be made");
  session_ = std::move(*session);
  RTSUP_REQUIRE(session_->introduce(page.get()).has_value(), "a worker that can not be told");
}

BaseEnd::~BaseEnd() { RTSUP_REQUIRE(session_ == nullptr, "finish() comes first"); }

void BaseEnd::expect(const Verdict& verdict) {
  expected_ = verdict;
  was_handled_ = false;
}

void BaseEnd::take_up_one() {
  session_->take_up(1);
  settle();
}

void BaseEnd::settle() {
  for (size_t i = 0; i < core_.dirty.size(); ++i) {  // it may grow meanwhile
    broker::channel::Session& session = *core_.dirty[i];
    session.is_dirty = false;
    session.flush();
    session.has_left = false;
  }
  core_.dirty.clear();
}

void BaseEnd::pass_time(uint64_t elapsed_ns) {
  core_.now_ns += elapsed_ns;
  core_.deadlines.run_due(core_.now_ns);
  settle();
}

void BaseEnd::ring() {
  session_->doorbell_rang();
  settle();
}

void BaseEnd::send_event() {
  if (sinks_.size() >= kSinksMax) {
    return;
  }
  static const auto* table = new std::vector<std::byte>(request_tables().front().bytes);
  const Zeros payload(payload_size(*script_));
  auto& sink = *sinks_.emplace_back(std::make_unique<Sink>());
  sink.base = this;
  sink.is_sent = session_->send({.opcode = abi::op::kEventInvoke,
                                 .metadata = *table,
                                 .payload = &payload,
                                 .deadline_ns = core_.now_ns + 1 + script_->u32(),
                                 .depth = script_->byte()},
                                sink);
  sink.was_refused = !sink.is_sent;
  RTSUP_REQUIRE(sink.is_sent || !sink.was_answered, "an event that was not sent was answered");
}

void BaseEnd::Sink::answered(Status status, std::span<const std::byte> metadata,
                             const broker::Payload& payload) {
  RTSUP_REQUIRE(!was_answered, "an event was answered twice");
  RTSUP_REQUIRE(!was_refused, "an event that was refused was answered");
  was_answered = true;
  const Verdict& expected = base->expected_;
  // What the base says itself, when the session ends in the very step that takes an answer up.
  const bool is_of_the_base =
      (status == Status::kUnavailable || status == Status::kDeadlineExceeded) && metadata.empty() &&
      payload.size() == 0;
  const bool is_of_the_worker = expected.kind == Verdict::Kind::kAnswered && !base->was_handled_ &&
                                metadata.size() == expected.metadata.size() &&
                                payload.size() == expected.payload.size();
  RTSUP_REQUIRE(is_of_the_base || is_of_the_worker, "WRONG ACCEPT: nobody gave this answer");
  if (is_of_the_worker) {
    base->was_handled_ = true;
    RTSUP_REQUIRE(std::equal(metadata.begin(), metadata.end(), expected.metadata.begin()),
                  "another table than the worker's");
    check_payload(payload, expected.payload);
  }
}

void BaseEnd::handle(broker::Call& call) {
  RTSUP_REQUIRE(expected_.kind == Verdict::Kind::kHandled && !was_handled_,
                "WRONG ACCEPT: a frame reached a service that must not");
  was_handled_ = true;
  RTSUP_REQUIRE(&call.operation() == expected_.operation, "another operation than the frame's");
  RTSUP_REQUIRE(std::equal(call.metadata().begin(), call.metadata().end(),
                           expected_.metadata.begin(), expected_.metadata.end()),
                "another table than the worker's");
  RTSUP_REQUIRE(call.deadline_ns() != 0, "a call without a deadline");
  check_payload(call.payload(), expected_.payload);
  const Held held{&call, {call.metadata().begin(), call.metadata().end()}};
  if (script_->below(4) == 0) {
    calls_.push_back(held);
  } else {
    answer(held);
  }
}

void BaseEnd::answer(const Held& held) {
  RTSUP_REQUIRE(std::equal(held.call->metadata().begin(), held.call->metadata().end(),
                           held.metadata.begin(), held.metadata.end()),
                "the table of a call changed while a service held it");
  // The bytes must still be there, whatever the worker did meanwhile.
  std::array<std::byte, 64> bytes;
  const size_t size = std::min(held.call->payload().size(), bytes.size());
  held.call->payload().copy(held.call->payload().size() - size, std::span(bytes).first(size));
  const auto status = Status{static_cast<uint8_t>(script_->below(kStatusMax + 1))};
  const std::span<const std::byte> metadata(bytes.data(), script_->below(65));
  if (script_->below(2) == 0) {
    held.call->answer_from(status, metadata, Zeros(payload_size(*script_)));
  } else {
    held.call->answer(status, metadata, broker::ValueRef::make(payload_size(*script_)));
  }
}

void BaseEnd::answer_a_call() {
  if (calls_.empty()) {
    return;
  }
  const size_t chosen = script_->byte() % calls_.size();
  const Held held = std::move(calls_[chosen]);
  calls_.erase(calls_.begin() + static_cast<ptrdiff_t>(chosen));
  answer(held);
  settle();
}

void BaseEnd::room(FunctionIndex /*function*/) {
  if (script_->below(4) == 0) {
    send_event();
  }
}

void BaseEnd::called_back() {
  if (detaches_in_callbacks) {
    session_->detach();
  }
}

void BaseEnd::ready(SessionId /*session*/) { called_back(); }
void BaseEnd::failed(SessionId /*session*/, uint8_t /*failure*/) { called_back(); }
void BaseEnd::drained(SessionId /*session*/) { called_back(); }

void BaseEnd::violated(SessionId session, abi::ViolationReason reason, uint64_t /*number*/) {
  RTSUP_REQUIRE(session.value == kSession.value, "a violation of another session");
  RTSUP_REQUIRE(!reason_ && !is_gone_, "a session is ended once");
  reason_ = reason;
  called_back();
}

void BaseEnd::gone(SessionId /*session*/, const broker::Principal& /*principal*/,
                   const broker::channel::SessionMeters& /*meters*/) {
  RTSUP_REQUIRE(!is_gone_, "a session goes once");
  is_gone_ = true;
}

void BaseEnd::finish() {
  expect({});
  session_->detach();
  settle();
  while (!calls_.empty()) {
    answer_a_call();
  }
  pass_time(3'700'000'000'000);  // beyond every deadline
  RTSUP_REQUIRE(is_gone_, "detach() that nobody was told of");
  RTSUP_REQUIRE(session_->is_finished(), "a session that still waits for a call");
  RTSUP_REQUIRE(core_.deadlines.next_ns() == broker::channel::DeadlineHeap::kNever,
                "a deadline of a session that is gone");
  for (const auto& sink : sinks_) {
    RTSUP_REQUIRE(!sink->is_sent || sink->was_answered, "an event that nobody answered");
  }
  sinks_.clear();
  session_.reset();
}

}  // namespace rtsup::fuzz
