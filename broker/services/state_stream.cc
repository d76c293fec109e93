#include "broker/services/state_stream.h"

#include <algorithm>
#include <utility>

#include "broker/core/table.h"
#include "broker/services/key.h"
#include "broker/services/write_fields.h"
#include "schemas/state_generated.h"

namespace rtsup::broker {
namespace {

using abi::Reason;

constexpr uint32_t kRetryAfterMs = 10;
// Silent uploads are looked for no more often.
constexpr uint64_t kLookNs = 1'000'000'000;

bool is_worth_a_retry(Reason reason) noexcept {
  return reason == Reason::kTooManyCalls || reason == Reason::kNoMemory;
}

std::string_view key_of(const Call& call) noexcept {
  switch (call.operation().opcode) {
    case abi::op::kStateReadPart:
      return view(table_of<abi::StateReadPartRequest>(call).key());
    case abi::op::kStateUploadBegin:
      return view(table_of<abi::StateUploadBeginRequest>(call).key());
    case abi::op::kStateUploadPart:
      return view(table_of<abi::StateUploadPartRequest>(call).key());
    case abi::op::kStateUploadCommit:
      return view(table_of<abi::StateUploadCommitRequest>(call).key());
    default:
      return view(table_of<abi::StateUploadAbortRequest>(call).key());
  }
}

flatbuffers::Offset<flatbuffers::String> etag_string(flatbuffers::FlatBufferBuilder& builder,
                                                     uint64_t etag) {
  const EtagText text = format_etag(etag);
  return builder.CreateString(text.data(), text.size());
}

}  // namespace

StateStreams::StateStreams(std::string prefix, std::vector<StateStore*> stores, const Parts& parts)
    : prefix_(std::move(prefix)),
      stores_(std::move(stores)),
      parts_(parts),
      pending_(kPendingMax, [this] { return Pending(*this); }) {}

StateStreams::~StateStreams() { close(); }

void StateStreams::close() noexcept {
  if (timer_ != 0) {
    parts_.timers.cancel(std::exchange(timer_, 0));
  }
}

void StateStreams::handle(Call& call, ComponentIndex component) {
  StateStore* const store = component.value < stores_.size() ? stores_[component.value] : nullptr;
  if (store == nullptr) {
    return answer_failure(call, parts_.builder, Reason::kNotGranted);
  }
  const std::string_view key = key_of(call);
  StreamStore* const streams = store->streams();
  Reason reason = streams == nullptr ? Reason::kPartsUnsupported : Reason::kKeyInvalid;
  if (streams != nullptr && is_valid_key(key)) {
    Target target{
        .call = call, .component = component, .store = *streams, .key = prefix_ + std::string(key)};
    reason = serve(target);
  }
  if (reason != Reason::kNone) {
    answer_failure(call, parts_.builder, reason, is_worth_a_retry(reason) ? kRetryAfterMs : 0);
  }
}

Reason StateStreams::serve(Target& target) {
  switch (target.call.operation().opcode) {
    case abi::op::kStateReadPart:
      return read_part(target);
    case abi::op::kStateUploadBegin:
      return begin(target);
    case abi::op::kStateUploadPart:
      return put(target);
    case abi::op::kStateUploadCommit:
      return commit(target);
    case abi::op::kStateUploadAbort:
      return abort(target);
    default:
      return Reason::kUnknownOperation;
  }
}

Reason StateStreams::read_part(Target& target) {
  const auto& table = table_of<abi::StateReadPartRequest>(target.call);
  Pending* const pending = take_pending(target.call, nullptr);
  if (pending == nullptr) {
    return Reason::kTooManyCalls;
  }
  const std::string_view etag = view(table.etag());
  target.store.read_part({.key = target.key,
                          .offset = table.offset(),
                          .length = table.length(),
                          .has_etag = !etag.empty(),
                          .etag = parse_etag(etag)},
                         *pending);
  return Reason::kNone;
}

Reason StateStreams::begin(Target& target) {
  const uint64_t size = table_of<abi::StateUploadBeginRequest>(target.call).size();
  if (size > kLongValueBytesMax) {
    return Reason::kUploadTooLarge;
  }
  MemoryCharge charge;
  if (!charge.take(target.call.memory(), kUploadRecordBytes)) {
    return Reason::kNoMemory;
  }
  Pending* const pending = take_pending(target.call, nullptr);
  if (pending == nullptr) {
    return Reason::kTooManyCalls;
  }
  Upload* const upload = uploads_.add(target.call.session());
  if (upload == nullptr) {
    pending_.give(pending);
    return Reason::kTooManyUploads;
  }
  upload->component = target.component;
  upload->key = std::move(target.key);
  upload->store = &target.store;
  upload->size = size;
  upload->charge = std::move(charge);
  upload->heard_ns = parts_.timers.now_ns();
  ++upload->under_way;
  pending->upload = upload;
  arm();
  target.store.begin_upload(size, *pending);
  return Reason::kNone;
}

Reason StateStreams::put(Target& target) {
  const auto& table = table_of<abi::StateUploadPartRequest>(target.call);
  Upload* const upload =
      uploads_.find(target.call.session(), table.token(), target.component, target.key);
  if (upload == nullptr) {
    return Reason::kUploadUnknown;
  }
  const uint64_t number = table.offset() / kUploadPartBytes;
  const Payload& payload = target.call.payload();
  const size_t size = part_size(upload->size, number);
  if (table.offset() % kUploadPartBytes != 0 || size == 0 || payload.size() != size ||
      upload->sent[number]) {
    return Reason::kUploadPartInvalid;
  }
  ValueRef part = ValueRef::make(size, target.call.memory());
  if (part.size() != size) {
    return Reason::kNoMemory;
  }
  Pending* const pending = take_pending(target.call, upload);
  if (pending == nullptr) {
    return Reason::kTooManyCalls;
  }
  payload.copy(0, part.fill());
  pending->number = static_cast<size_t>(number);
  upload->sent.set(pending->number);
  target.store.put_part(upload->id, static_cast<uint32_t>(number), std::move(part), *pending);
  return Reason::kNone;
}

Reason StateStreams::commit(Target& target) {
  const auto& table = table_of<abi::StateUploadCommitRequest>(target.call);
  Upload* const upload =
      uploads_.find(target.call.session(), table.token(), target.component, target.key);
  if (upload == nullptr) {
    return Reason::kUploadUnknown;
  }
  if (upload->came != parts_of(upload->size)) {
    return Reason::kUploadIncomplete;
  }
  StateWrite write{.key = target.key};
  if (const Reason reason = read_set_fields(table, parts_.clock, write); reason != Reason::kNone) {
    return reason;
  }
  Pending* const pending = take_pending(target.call, upload);
  if (pending == nullptr) {
    return Reason::kTooManyCalls;
  }
  upload->state = Upload::State::kCommitting;
  target.store.commit_upload(upload->id, write, *pending);
  return Reason::kNone;
}

Reason StateStreams::abort(Target& target) {
  const auto& table = table_of<abi::StateUploadAbortRequest>(target.call);
  Upload* const upload =
      uploads_.find(target.call.session(), table.token(), target.component, target.key);
  if (upload != nullptr) {
    end(*upload);
  }
  auto& builder = parts_.builder.start();
  target.call.answer(
      Status::kOk,
      parts_.builder.finish(abi::CreateStateUploadAbortResponse(builder, upload != nullptr)), {});
  return Reason::kNone;
}

StateStreams::Pending* StateStreams::take_pending(Call& call, Upload* upload) noexcept {
  Pending* const pending = pending_.take();
  if (pending != nullptr) {
    pending->call = &call;
    pending->upload = upload;
    pending->number = 0;
  }
  if (pending != nullptr && upload != nullptr) {
    ++upload->under_way;
    upload->heard_ns = parts_.timers.now_ns();
  }
  return pending;
}

void StateStreams::Pending::stream_done(const StreamResult& result) {
  Call& answered = *std::exchange(call, nullptr);
  Upload* const named = std::exchange(upload, nullptr);
  const size_t part = number;
  StateStreams& streams = *streams_;
  streams.pending_.give(this);
  streams.finished(answered, named, part, result);
}

void StateStreams::finished(Call& call, Upload* upload, size_t number, const StreamResult& result) {
  const uint16_t opcode = call.operation().opcode;
  if (upload != nullptr) {
    note(*upload, opcode, number, result);
  }
  if (result.reason == Reason::kNone) {
    answer(call, upload, result);
  } else {
    answer_failure(call, parts_.builder, result.reason,
                   result.retry_after_ms == 0 && is_worth_a_retry(result.reason)
                       ? kRetryAfterMs
                       : result.retry_after_ms);
  }
  if (upload != nullptr) {
    uploads_.release(*upload);
  }
}

// What the outcome means for the upload, which may have been closed meanwhile.
void StateStreams::note(Upload& upload, uint16_t opcode, size_t number,
                        const StreamResult& result) {
  const bool is_good = result.reason == Reason::kNone;
  const bool is_closed = upload.state == Upload::State::kClosed;
  upload.heard_ns = parts_.timers.now_ns();
  if (opcode == abi::op::kStateUploadBegin) {
    upload.id = result.upload;
    if (is_good && is_closed) {
      upload.store->abort_upload(upload.id);
    } else if (!is_closed) {
      upload.state = is_good ? Upload::State::kOpen : Upload::State::kClosed;
    }
  } else if (opcode == abi::op::kStateUploadPart) {
    upload.came += is_good ? 1 : 0;
    upload.sent.set(number, is_good);
  } else if (!is_closed && result.reason == Reason::kOutcomeUnknown) {
    end(upload);
  } else if (!is_closed) {
    upload.state = is_good ? Upload::State::kClosed : Upload::State::kOpen;
  }
}

// Whatever is under way of it is answered; the store hears of the end behind that.
void StateStreams::end(Upload& upload) {
  if (upload.state != Upload::State::kBeginning) {
    upload.store->abort_upload(upload.id);
  }
  uploads_.close(upload);
}

void StateStreams::answer(Call& call, const Upload* upload, const StreamResult& result) {
  auto& builder = parts_.builder.start();
  switch (call.operation().opcode) {
    case abi::op::kStateReadPart:
      return answer_part(call, result);
    case abi::op::kStateUploadBegin:
      return call.answer(Status::kOk,
                         parts_.builder.finish(abi::CreateStateUploadBeginResponse(
                             builder, upload->token, static_cast<uint32_t>(kUploadPartBytes))),
                         {});
    case abi::op::kStateUploadPart:
      return call.answer(
          Status::kOk,
          parts_.builder.finish(abi::CreateStateUploadPartResponse(
              builder, std::min<uint64_t>(upload->came * kUploadPartBytes, upload->size))),
          {});
    default: {
      const auto etag = etag_string(builder, result.item.etag);
      return call.answer(Status::kOk,
                         parts_.builder.finish(abi::CreateStateUploadCommitResponse(builder, etag)),
                         {});
    }
  }
}

void StateStreams::answer_part(Call& call, const StreamResult& result) {
  auto& builder = parts_.builder.current();
  const StateItem& item = result.item;
  flatbuffers::Offset<flatbuffers::String> etag;
  flatbuffers::Offset<flatbuffers::String> type;
  if (item.found) {
    etag = etag_string(builder, item.etag);
  }
  if (!item.content_type.empty()) {
    type = builder.CreateString(item.content_type.data(), item.content_type.size());
  }
  call.answer(Status::kOk,
              parts_.builder.finish(abi::CreateStateReadPartResponse(
                  builder, item.found, etag, result.size, item.expires_unix_ms, type)),
              item.value);
}

void StateStreams::session_gone(SessionId session) {
  uploads_.each_of(session, [this](Upload& upload) { end(upload); });
}

void StateStreams::arm() {
  if (timer_ == 0) {
    timer_ = parts_.timers.at(parts_.timers.now_ns() + kLookNs, [this] { end_silent(); });
  }
}

void StateStreams::end_silent() {
  timer_ = 0;
  const uint64_t now_ns = parts_.timers.now_ns();
  uploads_.each([this, now_ns](Upload& upload) {
    if (upload.under_way == 0 && now_ns - upload.heard_ns >= kUploadSilenceNs) {
      end(upload);
    }
  });
  if (!uploads_.empty()) {
    arm();
  }
}

}  // namespace rtsup::broker
