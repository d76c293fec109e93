// Session: taking up what the worker published. Every frame is copied once; nothing here looks at
//          the worker's region twice.
#include <flatbuffers/flatbuffers.h>

#include <algorithm>
#include <cstring>

#include "broker/channel/session.h"
#include "schemas/common_generated.h"

namespace rtsup::broker::channel {
namespace {

constexpr uint64_t kDefaultTimeoutNs = 5'000'000'000;
constexpr uint64_t kTimeoutMaxNs = 3'600'000'000'000;

// Rule 3. Deep or many tables cost time and stack; only lists of items need more than a few.
bool verify(std::span<const std::byte> bytes, const abi::Operation& operation,
            bool (*check)(flatbuffers::Verifier&)) {
  flatbuffers::Verifier::Options limits;
  limits.max_depth = 8;
  limits.max_tables = operation.target_kind == abi::TargetKind::kItems ? 1025 : 64;
  limits.check_nested_flatbuffers = false;
  flatbuffers::Verifier verifier(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size(),
                                 limits);
  return check(verifier);
}

bool verify_failure(flatbuffers::Verifier& verifier) {
  return verifier.VerifyBuffer<abi::Failure>(nullptr);
}

bool has_reserved(const abi::Frame& frame) noexcept {
  uint64_t words[sizeof frame.reserved1 / sizeof(uint64_t)];
  static_assert(sizeof words == sizeof frame.reserved1 && std::size(words) == 3);
  std::memcpy(words, frame.reserved1, sizeof words);
  const int bytes = frame.reserved0[0] | frame.reserved0[1] | frame.reserved0[2];
  return (words[0] | words[1] | words[2] | frame.metadata.reserved | frame.payload.reserved) != 0 ||
         bytes != 0;
}

}  // namespace

void Session::take_up(uint32_t frames_max) {
  uint32_t left = frames_max;
  while (left > 0 && has_work() && look_at_tail()) {
    for (; left > 0 && up_head_ != up_tail_; --left) {
      if (!take_frame()) {
        return flush();
      }
    }
  }
  flush();
}

// Once for all frames that it announces: the line travels from the worker's CPU with each look.
// False when the session has ended.
bool Session::look_at_tail() {
  const uint64_t tail = up_.request_tail();
  // Also backwards: the difference is then huge, or 0 where has_work() has just seen more.
  const uint64_t advance = tail - up_head_;
  if (advance == 0 || advance > abi::kRingFrames) {
    end(abi::ViolationReason::kIndexJump, tail);
    return false;
  }
  up_tail_ = tail;
  expect_request();
  return true;
}

// False when the session has ended or must wait.
bool Session::take_frame() {
  if (free_call_count_ == 0) {
    waits_ |= kStalled;
    return false;
  }
  expect_answer();
  const abi::Frame frame = up_.frame(up_head_);
  if (kChecks && !check_frame(frame)) {
    return false;
  }
  if (frame.kind == abi::FrameKind::kRequest) {
    return take_request(frame) && state_ < State::kEnded;
  }
  take_answer(frame);
  if ((waits_ & kFetching) != 0) {
    return false;  // the worker must not use its memory again
  }
  pass_frame();
  return state_ < State::kEnded;
}

// A library that has one call under way at a time puts every request in the same place. Lines that
// are on their way meanwhile need not be waited for.
void Session::expect_request() const noexcept { up_.expect(up_head_, likely_metadata_); }

void Session::expect_answer() const noexcept {
  const std::byte* const down = down_region_.mapping.bytes().data();
  const size_t slot = abi::kRingOffset + (tail_ & (abi::kRingFrames - 1)) * sizeof(abi::Frame);
  abi::prefetch_write_small(down + slot);
  abi::prefetch_write_small(down + memory_.next_offset());
  abi::prefetch_write(reinterpret_cast<const std::byte*>(&down_.response_tail));
}

void Session::pass_frame() noexcept {
  ++up_head_;
  // Release: the copy is done before the worker uses the slot, and an answer's memory, again;
  //          partner: its acquire load.
  down_.up_head.store(up_head_, std::memory_order_release);
}

bool Session::check_frame(const abi::Frame& frame) {
  if (frame.sequence != up_head_) {
    end(abi::ViolationReason::kSequence, frame.sequence);
    return false;
  }
  const bool is_request = frame.kind == abi::FrameKind::kRequest;
  const bool is_answer = frame.kind == abi::FrameKind::kResponse;
  const bool fits = (is_request && frame.status == 0) || (is_answer && frame.status <= kStatusMax);
  if (!fits || frame.lease != abi::kNoLease || frame.lease_generation != 0 || has_reserved(frame)) {
    end(abi::ViolationReason::kKind, static_cast<uint64_t>(frame.kind));
    return false;
  }
  return true;
}

// Rule 2: in 64 bits and without overflow, against sizes that only the base knows.
bool Session::resolve(const abi::Range& range, WorkerBytes& bytes) const noexcept {
  if (range.length == 0) {
    return range.offset == 0 && range.window == 0;
  }
  const WorkerBytes window = range.window == 0 ? up_.bytes() : windows_.bytes(range.window);
  const uint64_t first = range.window == 0 ? abi::kArenaOffset : 0;
  const uint64_t size = window.size();
  if (range.offset < first || range.offset > size || range.length > size - range.offset) {
    return false;
  }
  bytes = window.part(range.offset, range.length);
  return true;
}

bool Session::take_request(const abi::Frame& frame) {
  WorkerBytes metadata;
  WorkerBytes payload;
  if (!resolve(frame.metadata, metadata) || !resolve(frame.payload, payload)) {
    end(abi::ViolationReason::kRange,
        frame.metadata.length > 0 ? frame.metadata.offset : frame.payload.offset);
    return false;
  }
  if (unanswered_ >= abi::kRingFrames) {
    end(abi::ViolationReason::kFlood, unanswered_);
    return false;
  }
  const abi::Operation* operation = abi::find_operation(frame.opcode);
  if (operation != nullptr && operation->grant == abi::Grant::kBase) {
    end(abi::ViolationReason::kOpcode, frame.opcode);
    return false;
  }
  SessionCall& call = calls_[free_calls_[free_call_count_ - 1]];
  call.operation_ = operation;
  call.metadata_ = {};
  if (operation != nullptr && !copy_metadata(frame, metadata, *operation, call)) {
    return false;
  }
  call.payload_ = RegionPayload(payload, frame.payload.window, &meters_);
  begin_call(frame, call);
  meters_.bytes_in += metadata.size() + payload.size();
  // Before anything is done for it: should this process die now, the worker must not believe that
  // the call was never taken up.
  pass_frame();
  handle_call(call);
  return true;
}

bool Session::copy_metadata(const abi::Frame& frame, const WorkerBytes& source,
                            const abi::Operation& operation, SessionCall& call) {
  if (source.size() > operation.metadata_max) {
    end(abi::ViolationReason::kMetadataSize, source.size());
    return false;
  }
  if (source.empty()) {
    end(abi::ViolationReason::kMetadataInvalid, frame.opcode);
    return false;
  }
  const auto place = metadata_map_.take(static_cast<uint32_t>(source.size()));
  if (!place) {
    waits_ |= kStalled;  // until a call that holds some is over
    return false;
  }
  std::byte* to = metadata_memory_.get() + *place;
  likely_metadata_ = frame.metadata.window == 0 ? frame.metadata.offset : likely_metadata_;
  source.copy(0, {to, source.size()});
  meters_.bytes_copied += source.size();
  call.metadata_ = {to, source.size()};
  if (kChecks && !verify(call.metadata_, operation, operation.verify_request)) {
    end(abi::ViolationReason::kMetadataInvalid, frame.opcode);
    return false;
  }
  return true;
}

uint64_t Session::deadline_of(const abi::Frame& frame, uint32_t& depth) const noexcept {
  const uint64_t timeout =
      frame.timeout_ns == 0 ? kDefaultTimeoutNs : std::min(frame.timeout_ns, kTimeoutMaxNs);
  uint64_t deadline = core_.now_ns + timeout;
  depth = 0;
  const EventSlot& parent = events_[frame.parent % kEvents];
  // An unknown parent is no offence: a function's thread may outlive its event.
  if (frame.parent != 0 && parent.is_taken && parent.correlation == frame.parent) {
    depth = parent.depth;
    deadline = std::min(deadline, parent.deadline_ns);
  }
  return deadline;
}

void Session::begin_call(const abi::Frame& frame, SessionCall& call) {
  --free_call_count_;
  call.correlation_ = frame.correlation;
  call.deadline_ns_ = deadline_of(frame, call.depth_);
  call.is_held_ = true;
  call.is_unanswered_ = true;
  call.is_parked_ = false;
  ++held_calls_;
  ++unanswered_;
  ++meters_.calls;
  if (call.payload_.window() != 0) {
    windows_.add_user(call.payload_.window());
  }
}

void Session::handle_call(SessionCall& call) {
  if (call.operation_ == nullptr) {
    answer_reason(call, abi::Reason::kUnknownOperation);
    return;
  }
  const bool is_operator = principal_.kind == abi::PrincipalKind::kOperator;
  if (call.operation_->grant == abi::Grant::kOperator && !is_operator) {
    answer_reason(call, abi::Reason::kNotGranted);
    return;
  }
  if (call.payload_.size() > payload_bytes_max_) {
    answer_reason(call, abi::Reason::kPayloadTooLarge);
    return;
  }
  const uint64_t correlation = call.correlation_;
  if (!serve(call)) {
    call.payload_.size() > kCopiedAtOnceMax ? core_.handler.handle_long(call)
                                            : core_.handler.handle(call);
  }
  arm_if_waiting(call, correlation);
}

// The handler may have answered, and what it called may even have taken the place again.
void Session::arm_if_waiting(SessionCall& call, uint64_t correlation) {
  if (call.is_held_ && call.is_unanswered_ && call.correlation_ == correlation &&
      !call.is_armed() && state_ < State::kEnded) {
    core_.deadlines.arm(call, call.deadline_ns_);
  }
}

void Session::take_answer(const abi::Frame& frame) {
  WorkerBytes metadata;
  WorkerBytes bytes;
  if (!resolve(frame.metadata, metadata) || !resolve(frame.payload, bytes)) {
    end(abi::ViolationReason::kRange,
        frame.metadata.length > 0 ? frame.metadata.offset : frame.payload.offset);
    return;
  }
  EventSlot& slot = events_[frame.correlation % kEvents];
  if (!slot.is_taken || slot.correlation != frame.correlation || long_send_.slot == &slot) {
    end(abi::ViolationReason::kCorrelation, frame.correlation);
    return;
  }
  const abi::Operation& operation = *abi::find_operation(slot.opcode);
  if (metadata.size() > operation.metadata_max) {
    end(abi::ViolationReason::kMetadataSize, metadata.size());
    return;
  }
  metadata.copy(0, {core_.scratch.get(), metadata.size()});
  meters_.bytes_copied += metadata.size();
  const std::span<const std::byte> copy(core_.scratch.get(), metadata.size());
  const bool is_ok = frame.status == static_cast<uint8_t>(Status::kOk);
  if (kChecks && !copy.empty() &&
      !verify(copy, operation, is_ok ? operation.verify_response : &verify_failure)) {
    end(abi::ViolationReason::kMetadataInvalid, frame.correlation);
    return;
  }
  meters_.bytes_in += metadata.size() + bytes.size();
  const RegionPayload payload(bytes, frame.payload.window, &meters_);
  if (bytes.size() > kPassedAtOnceMax && slot.window == 0) {
    fetch_reply(slot, frame, copy, payload);
    return;
  }
  event_answered(slot, frame, copy, payload);
}

}  // namespace rtsup::broker::channel
