// SqliteStore's values in parts: requests as all others, each through its thread's queue, so that
// they keep their order with what was asked before.
#include "broker/components/sqlite/sqlite_store.h"

namespace rtsup::broker {
namespace {

using sqlite::Request;
using sqlite::RequestPtr;
using sqlite::StreamRequest;

constexpr uint32_t kRetryWhenBusyMs = 20;

RequestPtr make_request(StreamRequest::Kind kind, StreamSink* sink, int64_t now_unix_ms) {
  auto request = std::make_unique<Request>();
  request->now_unix_ms = now_unix_ms;
  request->bytes = sizeof(Request);
  request->stream = std::make_unique<StreamRequest>();
  request->stream->kind = kind;
  request->stream->sink = sink;
  return request;
}

void push(sqlite::RequestQueue& queue, RequestPtr request) {
  if (!queue.push(request) && request->stream->sink != nullptr) {
    request->stream->sink->stream_done(
        {.reason = abi::Reason::kStoreBusy, .retry_after_ms = kRetryWhenBusyMs});
  }
}

}  // namespace

void SqliteStore::read_part(const StreamRange& range, StreamSink& sink) {
  RequestPtr request = make_request(StreamRequest::Kind::kRead, &sink, clock_.unix_ms());
  request->memory = sink.memory();
  request->keys.emplace_back(range.key);
  request->bytes += range.key.size();
  request->stream->range = range;
  request->stream->range.key = {};
  push(read_queue_, std::move(request));
}

void SqliteStore::begin_upload(uint64_t size, StreamSink& sink) {
  RequestPtr request = make_request(StreamRequest::Kind::kBegin, &sink, clock_.unix_ms());
  request->stream->size = size;
  push(write_queue_, std::move(request));
}

void SqliteStore::put_part(uint64_t upload, uint32_t number, ValueRef part, StreamSink& sink) {
  RequestPtr request = make_request(StreamRequest::Kind::kPut, &sink, clock_.unix_ms());
  request->bytes += part.size();
  request->stream->row =
      sqlite::LongValues::row_of(static_cast<int64_t>(upload), static_cast<int64_t>(number));
  request->stream->part = std::move(part);
  // SQLite makes a row of it.
  if (!request->charge.take(sink.memory(), request->bytes)) {
    return sink.stream_done({.reason = abi::Reason::kNoMemory, .retry_after_ms = kRetryWhenBusyMs});
  }
  push(write_queue_, std::move(request));
}

void SqliteStore::commit_upload(uint64_t upload, const StateWrite& write, StreamSink& sink) {
  RequestPtr request = make_request(StreamRequest::Kind::kCommit, &sink, clock_.unix_ms());
  request->bytes += write.key.size() + write.content_type.size();
  request->writes.push_back({.key = std::string(write.key),
                             .content_type = std::string(write.content_type),
                             .write = write,
                             .long_value = static_cast<int64_t>(upload)});
  StateWrite& owned = request->writes.back().write;
  owned.key = {};
  owned.content_type = {};
  push(write_queue_, std::move(request));
}

// Taken however full the queue is: there are few, and what they end would stay.
void SqliteStore::abort_upload(uint64_t upload) {
  RequestPtr request = make_request(StreamRequest::Kind::kAbort, nullptr, clock_.unix_ms());
  request->stream->row = static_cast<int64_t>(upload);
  request->bytes = 0;
  request->is_always_taken = true;
  push(write_queue_, std::move(request));
}

}  // namespace rtsup::broker
