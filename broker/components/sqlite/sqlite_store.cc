#include "broker/components/sqlite/sqlite_store.h"

#include <algorithm>

namespace rtsup::broker {
namespace {

using sqlite::OwnedWrite;
using sqlite::Request;
using sqlite::RequestPtr;
using std::chrono::milliseconds;

constexpr uint32_t kRetryWhenBusyMs = 20;
// What ends is looked for at most once a second, and removed in steps until nothing is left of it;
// with nothing to remove the thread sleeps for good.
constexpr milliseconds kRemoveInterval{1000};
constexpr milliseconds kForever = std::chrono::hours(24 * 365);

RequestPtr copy_writes(std::span<const StateWrite> writes, StateWriteSink& sink,
                       int64_t now_unix_ms) {
  auto request = std::make_unique<Request>();
  request->write_sink = &sink;
  request->now_unix_ms = now_unix_ms;
  request->writes.reserve(writes.size());
  for (const StateWrite& write : writes) {
    request->bytes +=
        write.key.size() + write.value.size() + write.content_type.size() + sizeof(OwnedWrite);
    request->writes.push_back({.key = std::string(write.key),
                               .content_type = std::string(write.content_type),
                               .write = write});
    StateWrite& owned = request->writes.back().write;
    owned.key = {};  // the strings beside it are what counts now
    owned.content_type = {};
  }
  return request;
}

void call_sink(const Request& request) {
  const bool failed = request.failure != abi::Reason::kNone;
  if (request.stream != nullptr) {
    if (request.stream->sink != nullptr) {
      request.stream->sink->stream_done(failed ? StreamResult{.reason = request.failure}
                                               : request.stream->result);
    }
    return;
  }
  if (request.read_sink != nullptr) {
    failed ? request.read_sink->failed(request.failure, 0)
           : request.read_sink->read_done(request.items);
  } else {
    failed ? request.write_sink->failed(request.failure, 0)
           : request.write_sink->write_done(request.outcomes);
  }
}

}  // namespace

Result<std::unique_ptr<SqliteStore>> SqliteStore::create(const SqliteOptions& options, Post& post,
                                                         const WallClock& clock) {
  RTSUP_ASSIGN(auto writer, sqlite::Writer::open(options.path, options.vfs, options.migrate));
  RTSUP_ASSIGN(auto reader, sqlite::Reader::open(options.path, options.vfs));
  std::unique_ptr<SqliteStore> store(
      new SqliteStore(std::move(writer), std::move(reader), options, post, clock));
  store->write_thread_ = std::thread([raw = store.get()] { raw->run_writer(); });
  store->read_thread_ = std::thread([raw = store.get()] { raw->run_reader(); });
  return store;
}

SqliteStore::SqliteStore(sqlite::Writer writer, sqlite::Reader reader, const SqliteOptions& options,
                         Post& post, const WallClock& clock)
    : writer_(std::move(writer)),
      reader_(std::move(reader)),
      post_(post),
      clock_(clock),
      write_queue_(options.queue),
      read_queue_(options.queue) {}

SqliteStore::~SqliteStore() { close(); }

void SqliteStore::read(std::span<const std::string_view> keys, StateReadSink& sink) {
  auto request = std::make_unique<Request>();
  request->read_sink = &sink;
  request->memory = sink.memory();
  request->now_unix_ms = clock_.unix_ms();
  request->bytes = sizeof(Request);
  for (const std::string_view key : keys) {
    request->bytes += key.size();
    request->keys.emplace_back(key);
  }
  if (!read_queue_.push(request)) {
    sink.failed(abi::Reason::kStoreBusy, kRetryWhenBusyMs);
  }
}

void SqliteStore::write(std::span<const StateWrite> writes, StateWriteSink& sink) {
  RequestPtr request = copy_writes(writes, sink, clock_.unix_ms());
  // SQLite makes a row of each value, and small values are counted nowhere else.
  if (request->bytes >= ValueRef::kCountedBytesMin &&
      !request->charge.take(sink.memory(), request->bytes)) {
    return sink.failed(abi::Reason::kNoMemory, kRetryWhenBusyMs);
  }
  if (!write_queue_.push(request)) {
    sink.failed(abi::Reason::kStoreBusy, kRetryWhenBusyMs);
  }
}

bool SqliteStore::has_ended_rows() const {
  const int64_t end_ms = writer_.next_end_unix_ms();
  return end_ms != 0 && end_ms <= clock_.unix_ms();
}

milliseconds SqliteStore::patience() const {
  if (writer_.has_more_ended() && has_ended_rows()) {
    return milliseconds{0};
  }
  if (writer_.has_leavings()) {
    return writer_.is_failing() ? kRemoveInterval : milliseconds{0};
  }
  const int64_t end_ms = writer_.next_end_unix_ms();
  return end_ms == 0
             ? kForever
             : std::clamp(milliseconds(end_ms - clock_.unix_ms()), kRemoveInterval, kForever);
}

void SqliteStore::run_writer() {
  while (!write_queue_.is_stopped()) {
    std::vector<RequestPtr> group = write_queue_.take(patience());
    if (!group.empty()) {
      writer_.commit(group);
      finish(std::move(group));
    }
    remove_ended();
    writer_.collect();
  }
}

// Also while there is always something to write.
void SqliteStore::remove_ended() {
  if (!has_ended_rows()) {
    return;
  }
  const auto now = std::chrono::steady_clock::now();
  if (writer_.has_more_ended() || now >= next_removal_) {
    writer_.remove_ended(clock_.unix_ms());
    next_removal_ = now + kRemoveInterval;
  }
}

void SqliteStore::run_reader() {
  while (!read_queue_.is_stopped()) {
    std::vector<RequestPtr> requests = read_queue_.take(kForever);
    if (!requests.empty()) {
      reader_.read(requests);
      finish(std::move(requests));
    }
  }
}

// One closure for all that finish before the loop comes round to it.
void SqliteStore::finish(std::vector<RequestPtr> requests) {
  bool must_post = false;
  {
    const std::lock_guard lock(mutex_);
    for (RequestPtr& request : requests) {
      finished_.push_back(std::move(request));
    }
    must_post = !std::exchange(delivery_posted_, true);
  }
  if (must_post) {
    post_.post([this] { deliver(); });
  }
}

void SqliteStore::deliver() {
  std::vector<RequestPtr> finished;
  {
    const std::lock_guard lock(mutex_);
    finished.swap(finished_);
    delivery_posted_ = false;
  }
  for (const RequestPtr& request : finished) {
    call_sink(*request);
  }
}

void SqliteStore::close() {
  if (std::exchange(closed_, true)) {
    return;
  }
  write_queue_.stop();
  read_queue_.stop();
  if (write_thread_.joinable()) {
    write_thread_.join();
  }
  if (read_thread_.joinable()) {
    read_thread_.join();
  }
  deliver();
  reader_.close();
  writer_.close();
}

}  // namespace rtsup::broker
