#include "tests/fuzz/frames/model.h"

#include <flatbuffers/flatbuffers.h>

#include <algorithm>
#include <cstring>

#include "schemas/common_generated.h"
#include "schemas/session_generated.h"
#include "tests/fuzz/require.h"
#include "tests/fuzz/table_walk.h"

namespace rtsup::fuzz {
namespace {

using Kind = Verdict::Kind;
using Reason = abi::ViolationReason;

// The frame as docs/formats/channel.md has it, by offset and not by the broker's struct.
constexpr size_t kFrameBytes = 128;
constexpr size_t kSequenceAt = 0;
constexpr size_t kCorrelationAt = 8;
constexpr size_t kOpcodeAt = 16;
constexpr size_t kKindAt = 18;
constexpr size_t kStatusAt = 19;
constexpr size_t kLeaseAt = 20;
constexpr size_t kMetadataAt = 32;
constexpr size_t kPayloadAt = 48;
constexpr uint8_t kRequest = 1;
constexpr uint8_t kResponse = 2;
constexpr uint8_t kHighestStatus = 16;
constexpr uint64_t kFirstArenaByte = 4096 + 64 * kFrameBytes;
constexpr uint64_t kFramesMax = 64;

// "All other bytes are zero", and a worker holds no lease to name: from, up to.
constexpr struct {
  size_t from, to;
} kZeros[] = {{kMetadataAt + 12, kMetadataAt + 16},
              {kPayloadAt + 12, kPayloadAt + 16},
              {89, 92},
              {92, 96},
              {104, kFrameBytes}};

template <typename Number>
Number number_at(const uint8_t* frame, size_t at) noexcept {
  Number value;
  std::memcpy(&value, frame + at, sizeof value);
  return value;
}

bool is_well_formed(const uint8_t* frame) noexcept {
  const uint8_t status = frame[kStatusAt];
  const bool is_request = frame[kKindAt] == kRequest && status == 0;
  const bool is_response = frame[kKindAt] == kResponse && status <= kHighestStatus;
  if ((!is_request && !is_response) || number_at<uint32_t>(frame, kLeaseAt) != 0xFFFFFFFF) {
    return false;
  }
  return std::all_of(std::begin(kZeros), std::end(kZeros), [frame](const auto& zero) {
    return std::all_of(frame + zero.from, frame + zero.to, [](uint8_t byte) { return byte == 0; });
  });
}

const abi::Operation* operation_of(uint16_t opcode) noexcept {
  for (const abi::Operation& row : abi::operations()) {
    if (row.opcode == opcode) {
      return &row;
    }
  }
  return nullptr;
}

// A copy that ends where its block ends, so that ASan sees whatever reads beyond it.
std::vector<std::byte> copy_of(std::span<const std::byte> bytes) {
  return {bytes.begin(), bytes.end()};
}

// Limits of rule 3: 8 levels, 64 tables, and 1025 where a request lists items.
bool passes(const std::vector<std::byte>& bytes, bool (*check)(flatbuffers::Verifier&),
            const abi::Operation& operation) {
  flatbuffers::Verifier::Options limits;
  limits.max_depth = 8;
  limits.max_tables = operation.target_kind == abi::TargetKind::kItems ? 1025 : 64;
  flatbuffers::Verifier verifier(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size(),
                                 limits);
  return check(verifier);
}

bool is_failure_table(flatbuffers::Verifier& verifier) {
  return verifier.VerifyBuffer<abi::Failure>(nullptr);
}

bool is_served_by_the_channel(uint16_t opcode) noexcept {
  return opcode == 0xF102 || (opcode >= 0xF001 && opcode <= 0xF005);
}

Verdict ended(Verdict verdict, Reason reason) {
  verdict.kind = Kind::kEnd;
  verdict.reason = reason;
  return verdict;
}

}  // namespace

Verdict Model::predict() const {
  Verdict verdict;
  const uint64_t tail = header().request_tail.load();
  if (!is_attached_ || tail == head_) {
    return verdict;
  }
  if (tail - head_ > kFramesMax) {
    return ended(verdict, Reason::kIndexJump);
  }
  uint8_t frame[kFrameBytes];
  std::memcpy(frame, up_.data() + 4096 + (head_ % kFramesMax) * kFrameBytes, kFrameBytes);
  if (number_at<uint64_t>(frame, kSequenceAt) != head_) {
    return ended(verdict, Reason::kSequence);
  }
  if (!is_well_formed(frame)) {
    return ended(verdict, Reason::kKind);
  }
  const auto metadata = range(frame, kMetadataAt);
  const auto payload = range(frame, kPayloadAt);
  if (!metadata || !payload) {
    return ended(verdict, Reason::kRange);
  }
  verdict.correlation = number_at<uint64_t>(frame, kCorrelationAt);
  verdict.metadata = *metadata;
  verdict.payload = *payload;
  return frame[kKindAt] == kRequest
             ? predict_request(verdict, number_at<uint16_t>(frame, kOpcodeAt))
             : predict_answer(verdict, frame[kStatusAt]);
}

std::optional<std::span<const std::byte>> Model::range(const uint8_t* frame, size_t at) const {
  const auto window = number_at<uint32_t>(frame, at);
  const uint64_t offset = number_at<uint32_t>(frame, at + 4);
  const uint64_t length = number_at<uint32_t>(frame, at + 8);
  if (length == 0) {  // an empty range is all zero
    return offset == 0 && window == 0 ? std::optional(std::span<const std::byte>()) : std::nullopt;
  }
  std::span<const std::byte> bytes = up_;
  if (window != 0) {
    const auto found = windows_.find(window);
    if (found == windows_.end() || found->second.state != WindowState::kReady) {
      return std::nullopt;
    }
    bytes = found->second.bytes;
  } else if (offset < kFirstArenaByte) {
    return std::nullopt;
  }
  return offset + length <= bytes.size() ? std::optional(bytes.subspan(offset, length))
                                         : std::nullopt;
}

Verdict Model::predict_request(Verdict verdict, uint16_t opcode) const {
  if (unanswered_count_ >= kFramesMax) {
    return ended(verdict, Reason::kFlood);
  }
  verdict.operation = operation_of(opcode);
  verdict.kind = Kind::kRefused;
  if (verdict.operation == nullptr) {
    return verdict;
  }
  const abi::Operation& operation = *verdict.operation;
  if (operation.grant == abi::Grant::kBase) {
    return ended(verdict, Reason::kOpcode);
  }
  if (verdict.metadata.size() > operation.metadata_max) {
    return ended(verdict, Reason::kMetadataSize);
  }
  const std::vector<std::byte> metadata = copy_of(verdict.metadata);
  if (metadata.empty() || !passes(metadata, operation.verify_request, operation)) {
    return ended(verdict, Reason::kMetadataInvalid);
  }
  operation_tables().request(opcode, metadata);
  if ((operation.grant == abi::Grant::kOperator && !setting_.is_operator) ||
      verdict.payload.size() > setting_.payload_bytes_max) {
    return verdict;
  }
  verdict.kind = is_served_by_the_channel(opcode) ? Kind::kServed : Kind::kHandled;
  return verdict;
}

Verdict Model::predict_answer(Verdict verdict, uint8_t status) const {
  const auto event = events_.find(verdict.correlation);
  if (event == events_.end()) {
    return ended(verdict, Reason::kCorrelation);
  }
  verdict.operation = operation_of(event->second ? 0xE002 : 0xE001);
  if (verdict.metadata.size() > verdict.operation->metadata_max) {
    return ended(verdict, Reason::kMetadataSize);
  }
  const auto check = status == 0 ? verdict.operation->verify_response : &is_failure_table;
  const std::vector<std::byte> metadata = copy_of(verdict.metadata);
  if (!metadata.empty() && !passes(metadata, check, *verdict.operation)) {
    return ended(verdict, Reason::kMetadataInvalid);
  }
  if (!metadata.empty() && status == 0) {
    operation_tables().response(verdict.operation->opcode, metadata);
  }
  verdict.kind = Kind::kAnswered;
  return verdict;
}

void Model::taken(const Verdict& verdict) {
  ++head_;
  if (verdict.kind == Kind::kAnswered) {
    events_.erase(verdict.correlation);
    std::erase(event_order_, verdict.correlation);
    return;
  }
  ++unanswered_count_;
  ++unanswered_[verdict.correlation];
  if (verdict.kind == Kind::kServed) {
    apply_window_request(verdict);
  }
}

void Model::apply_window_request(const Verdict& verdict) {
  const std::vector<std::byte> metadata = copy_of(verdict.metadata);
  if (verdict.operation->opcode == 0xF004) {
    const auto& table = *flatbuffers::GetRoot<abi::WindowReadyRequest>(metadata.data());
    if (const auto found = windows_.find(table.window()); found != windows_.end()) {
      found->second.state = WindowState::kReady;
    }
  } else if (verdict.operation->opcode == 0xF005) {
    windows_.erase(flatbuffers::GetRoot<abi::WindowReleaseRequest>(metadata.data())->window());
  }
}

void Model::window_given(uint32_t number, std::span<const std::byte> bytes) {
  RTSUP_REQUIRE(number >= 1 && number <= abi::kWindowsMax && !windows_.contains(number),
                "the base gives a window that is there already");
  windows_[number] = {WindowState::kGiven, bytes};
}

void Model::observe_published() {
  const auto& header = *reinterpret_cast<const abi::DownHeader*>(down_.data());
  const uint64_t tail = header.response_tail.load();
  RTSUP_REQUIRE(tail - published_ <= kFramesMax, "the base publishes more than the ring holds");
  for (; published_ != tail; ++published_) {
    abi::Frame frame;
    std::memcpy(&frame, down_.data() + 4096 + (published_ % kFramesMax) * kFrameBytes, kFrameBytes);
    RTSUP_REQUIRE(frame.sequence == published_, "a frame of the base out of its place");
    check_down_range(frame.metadata);
    check_down_range(frame.payload);
    if (frame.lease != abi::kNoLease) {
      RTSUP_REQUIRE(frame.lease < abi::kLeases, "a lease beyond the last");
      RTSUP_REQUIRE(frame.lease_generation == ++generations_[frame.lease],
                    "a lease given twice, or its generation leapt over");
    }
    if (static_cast<uint8_t>(frame.kind) == kResponse) {
      published_answer(frame);
    } else {
      RTSUP_REQUIRE(!events_.contains(frame.correlation), "two events of one correlation");
      events_[frame.correlation] = frame.opcode == 0xE002;
      event_order_.push_back(frame.correlation);
    }
  }
}

void Model::published_answer(const abi::Frame& frame) {
  const auto found = unanswered_.find(frame.correlation);
  RTSUP_REQUIRE(found != unanswered_.end(), "an answer to what was not asked, or a second one");
  --unanswered_count_;
  if (--found->second == 0) {
    unanswered_.erase(found);
  }
}

void Model::check_down_range(const abi::Range& range) const {
  if (range.length == 0) {
    RTSUP_REQUIRE(range.offset == 0 && range.window == 0, "an empty range that is not zero");
    return;
  }
  uint64_t size = down_.size();
  if (range.window != 0) {
    const auto found = down_windows_.find(range.window);
    RTSUP_REQUIRE(found != down_windows_.end(), "an answer in a window that was never offered");
    size = found->second;
  } else {
    RTSUP_REQUIRE(range.offset >= kFirstArenaByte, "an answer in the header or the ring");
  }
  RTSUP_REQUIRE(uint64_t{range.offset} + range.length <= size, "an answer that leaves its window");
}

}  // namespace rtsup::fuzz
