#include "sdk/client.h"

#include <atomic>
#include <cstring>
#include <string_view>

#include "abi/reason.h"

namespace rtsup::sdk {
namespace {

// Release at attach, acquire at each call: a thread that sees the transport sees it whole.
std::atomic<Transport*> the_transport{nullptr};

}  // namespace

Transport* transport() noexcept { return the_transport.load(std::memory_order_acquire); }

void set_transport(std::unique_ptr<Transport> transport) noexcept {
  delete the_transport.exchange(transport.release(), std::memory_order_acq_rel);
}

EventContext& current_event() noexcept {
  thread_local EventContext context;
  return context;
}

flatbuffers::FlatBufferBuilder& fresh_builder() noexcept {
  thread_local flatbuffers::FlatBufferBuilder builder(1024);
  builder.Clear();
  return builder;
}

flatbuffers::Offset<flatbuffers::String> encode(Builder& builder, rtsup_string text) {
  return text.length == 0 ? flatbuffers::Offset<flatbuffers::String>()
                          : builder.CreateString(text.data, text.length);
}

PairsOffset encode_metadata(Builder& builder, const rtsup_options& options) {
  if (options.metadata_count == 0) {
    return {};
  }
  std::vector<flatbuffers::Offset<abi::Pair>> pairs;
  pairs.reserve(options.metadata_count);
  for (size_t i = 0; i < options.metadata_count; ++i) {
    const rtsup_pair& pair = options.metadata[i];
    pairs.push_back(abi::CreatePair(builder, builder.CreateString(pair.name.data, pair.name.length),
                                    builder.CreateString(pair.value.data, pair.value.length)));
  }
  return builder.CreateVector(pairs);
}

Request request_of(const Message& message, const rtsup_options& options) noexcept {
  return {.opcode = message.opcode,
          .metadata = message.table,
          .payload = message.payload,
          .timeout_ns = options.timeout_ns,
          .context = current_event()};
}

void hand_out(const Answer& answer, rtsup_answer& filled) noexcept {
  // NOLINTNEXTLINE(performance-no-int-to-ptr): a number in the shape that the C ABI gives handles.
  filled.handle = reinterpret_cast<void*>(static_cast<uintptr_t>(answer.lease));
  if (answer.status == Status::kOk) {
    filled.data = raw(answer.payload);
  } else if (answer.reason != nullptr) {
    filled.reason = {answer.reason, std::strlen(answer.reason)};
    const std::string_view text = abi::reason_text(std::string_view(answer.reason));
    filled.message = {text.data(), text.size()};
  } else if (!answer.metadata.empty()) {
    const auto* failure = flatbuffers::GetRoot<abi::Failure>(answer.metadata.data());
    filled.reason = raw(failure->reason());
    filled.message = raw(failure->message());
    filled.retry_after_ms = failure->retry_after_ms();
  }
}

Answer send(const Message& message, const rtsup_options& options, rtsup_answer& filled) noexcept {
  Answer answer{.status = Status::kUnavailable, .reason = "NOT_ATTACHED"};
  if (Transport* base = transport(); base != nullptr) {
    answer = base->call(request_of(message, options));
  }
  hand_out(answer, filled);
  return answer;
}

}  // namespace rtsup::sdk
