#include "tests/fuzz/frames/tables.h"

#include <string>

#include "abi/layout.h"
#include "abi/operation.h"
#include "schemas/base_generated.h"
#include "schemas/invoke_generated.h"
#include "schemas/session_generated.h"
#include "schemas/state_generated.h"

namespace rtsup::fuzz {
namespace {

using flatbuffers::FlatBufferBuilder;
using flatbuffers::Offset;

template <typename Make>
ValidTable table(uint16_t opcode, const Make& make) {
  FlatBufferBuilder builder;
  builder.Finish(make(builder));
  const auto* start = reinterpret_cast<const std::byte*>(builder.GetBufferPointer());
  return {opcode, {start, start + builder.GetSize()}};
}

std::vector<Offset<abi::Pair>> pairs(FlatBufferBuilder& builder) {
  return {abi::CreatePairDirect(builder, "name", "value"), abi::CreatePairDirect(builder, "", "")};
}

void add_state(std::vector<ValidTable>& all) {
  namespace op = abi::op;
  all.push_back(table(op::kStateGet, [](auto& b) {
    const auto metadata = pairs(b);
    return abi::CreateStateGetRequestDirect(b, "store", "key", &metadata);
  }));
  all.push_back(table(op::kStateSet, [](auto& b) {
    return abi::CreateStateSetRequestDirect(b, "store", "key", "etag", abi::Concurrency::FirstWrite,
                                            1000, "text/plain");
  }));
  all.push_back(table(op::kStateDelete, [](auto& b) {
    return abi::CreateStateDeleteRequestDirect(b, "store", "key", "etag");
  }));
  all.push_back(table(op::kStateBulkGet, [](auto& b) {
    const std::vector<Offset<flatbuffers::String>> keys = {b.CreateString("a"),
                                                           b.CreateString("bb")};
    return abi::CreateStateBulkGetRequestDirect(b, "store", &keys);
  }));
  all.push_back(table(op::kStateBulkSet, [](auto& b) {
    const abi::Part part(0, 16);
    const std::vector<Offset<abi::StateBulkSetItem>> items = {
        abi::CreateStateBulkSetItemDirect(b, "a", &part),
        abi::CreateStateBulkSetItemDirect(b, "b", &part)};
    return abi::CreateStateBulkSetRequestDirect(b, "store", &items);
  }));
  all.push_back(table(op::kStateBulkDelete, [](auto& b) {
    const std::vector<Offset<abi::StateBulkDeleteItem>> items = {
        abi::CreateStateBulkDeleteItemDirect(b, "a")};
    return abi::CreateStateBulkDeleteRequestDirect(b, "store", &items);
  }));
}

void add_parts(std::vector<ValidTable>& all) {
  namespace op = abi::op;
  all.push_back(table(op::kStateReadPart, [](auto& b) {
    return abi::CreateStateReadPartRequestDirect(b, "store", "key", 1U << 20, 1U << 20, "etag");
  }));
  all.push_back(table(op::kStateUploadBegin, [](auto& b) {
    return abi::CreateStateUploadBeginRequestDirect(b, "store", "key", uint64_t{1} << 63);
  }));
  all.push_back(table(op::kStateUploadPart, [](auto& b) {
    return abi::CreateStateUploadPartRequestDirect(b, "store", "key", 7, 1U << 20);
  }));
  all.push_back(table(op::kStateUploadCommit, [](auto& b) {
    return abi::CreateStateUploadCommitRequestDirect(
        b, "store", "key", 7, "etag", abi::Concurrency::FirstWrite, 1000, "text/plain");
  }));
  all.push_back(table(op::kStateUploadAbort, [](auto& b) {
    return abi::CreateStateUploadAbortRequestDirect(b, "store", "key", 7);
  }));
}

void add_session(std::vector<ValidTable>& all) {
  namespace op = abi::op;
  all.push_back(
      table(op::kSessionReady, [](auto& b) { return abi::CreateSessionReadyRequest(b); }));
  all.push_back(table(op::kSessionFailed, [](auto& b) {
    return abi::CreateSessionFailedRequest(b, abi::LoadFailure::StartFailed);
  }));
  for (const uint32_t bytes : {abi::kInlineBytesMax, 50'001U, 120'000U}) {
    all.push_back(table(op::kSessionWindow, [bytes](auto& b) {
      return abi::CreateWindowRequest(b, abi::Direction::Up, bytes);
    }));
  }
  for (const uint32_t number : {1U, 2U, 9U}) {
    all.push_back(table(op::kSessionWindowReady,
                        [number](auto& b) { return abi::CreateWindowReadyRequest(b, number); }));
    all.push_back(table(op::kSessionWindowRelease,
                        [number](auto& b) { return abi::CreateWindowReleaseRequest(b, number); }));
  }
}

std::vector<ValidTable> make_requests() {
  namespace op = abi::op;
  std::vector<ValidTable> all;
  all.push_back(table(op::kBaseEcho, [](auto& b) { return abi::CreateEchoRequest(b); }));
  add_state(all);
  all.push_back(table(op::kInvokeCall, [](auto& b) {
    const auto metadata = pairs(b);
    return abi::CreateInvokeRequestDirect(b, "callee", "method", "text/plain", &metadata);
  }));
  all.push_back(table(op::kBaseUsage, [](auto& b) { return abi::CreateUsageRequest(b); }));
  add_session(all);
  // Events: what only the base may ask.
  all.push_back(table(op::kEventInvoke,
                      [](auto& b) { return abi::CreateInvokeEventDirect(b, "caller", "method"); }));
  all.push_back(table(op::kEventWindowOffer,
                      [](auto& b) { return abi::CreateWindowOfferEvent(b, 9, 1U << 18); }));
  add_parts(all);  // last: the seeds name tables by their place
  return all;
}

std::vector<ValidTable> make_answers() {
  namespace op = abi::op;
  std::vector<ValidTable> all;
  all.push_back(table(op::kEventInvoke, [](auto& b) {
    const auto metadata = pairs(b);
    return abi::CreateInvokeReplyDirect(b, "text/plain", &metadata);
  }));
  all.push_back(
      table(op::kEventWindowOffer, [](auto& b) { return abi::CreateWindowOfferReply(b); }));
  all.push_back(table(0, [](auto& b) { return abi::CreateFailureDirect(b, "REASON", "why", 7); }));
  return all;
}

}  // namespace

std::span<const ValidTable> request_tables() {
  static const auto* all = new std::vector<ValidTable>(make_requests());
  return *all;
}

std::span<const ValidTable> answer_tables() {
  static const auto* all = new std::vector<ValidTable>(make_answers());
  return *all;
}

}  // namespace rtsup::fuzz
