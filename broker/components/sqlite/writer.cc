#include "broker/components/sqlite/writer.h"

#include <sqlite3.h>

#include <algorithm>
#include <utility>

#include "broker/core/limits.h"

namespace rtsup::broker::sqlite {
namespace {

using abi::Reason;

// Rows that have ended and are removed at a time, beyond those that were written.
constexpr int64_t kEndedPerStep = 500;
// Larger values are read beside their row.
constexpr size_t kRowBytesMax = size_t{64} * 1024;

bool has_ended(int64_t expires_unix_ms, int64_t now_unix_ms) noexcept {
  return expires_unix_ms != 0 && expires_unix_ms <= now_unix_ms;
}

// Worth another try for each request alone: the small ones, and those that delete, may still fit.
bool may_fit_alone(int code) noexcept {
  const Reason reason = reason_of(code);
  return reason == Reason::kStoreFull || reason == Reason::kNoMemory;
}

int run_once(Statement& statement) noexcept {
  const ResetAtEnd reset(statement);
  const int code = statement.step();
  return code == SQLITE_DONE ? SQLITE_OK : code;
}

}  // namespace

Result<Writer> Writer::open(const std::string& path, const std::string& vfs, Migrate migrate) {
  Writer writer;
  RTSUP_ASSIGN(writer.database_, open_state_file(path, vfs, migrate));
  Database& database = writer.database_;
  RTSUP_ASSIGN(writer.begin_, database.prepare("BEGIN IMMEDIATE"));
  RTSUP_ASSIGN(writer.commit_, database.prepare("COMMIT"));
  RTSUP_ASSIGN(writer.find_,
               database.prepare("SELECT etag, expires_unix_ms, CASE typeof(value) WHEN 'integer'"
                                " THEN value END FROM state WHERE key = ?1"));
  RTSUP_ASSIGN(
      writer.upsert_,
      database.prepare(
          "INSERT INTO state (key, value, etag, expires_unix_ms, content_type)"
          " VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (key) DO UPDATE SET value = ?2, etag = ?3,"
          " expires_unix_ms = ?4, content_type = ?5"));
  RTSUP_ASSIGN(writer.erase_, database.prepare("DELETE FROM state WHERE key = ?1"));
  RTSUP_ASSIGN(writer.remove_ended_,
               database.prepare("DELETE FROM state WHERE rowid IN (SELECT rowid FROM state WHERE"
                                " expires_unix_ms > 0 AND expires_unix_ms <= ?1"
                                " ORDER BY expires_unix_ms, rowid LIMIT ?2)"));
  RTSUP_ASSIGN(writer.next_end_,
               database.prepare("SELECT expires_unix_ms FROM state WHERE expires_unix_ms > 0"
                                " ORDER BY expires_unix_ms LIMIT 1"));
  RTSUP_TRY(writer.long_values_.open(database));
  // Where another broker still writes, they may be its own.
  writer.must_drop_uploads_ = migrate == Migrate::kNo;
  if (!writer.must_drop_uploads_ && writer.long_values_.is_ready()) {
    writer.long_values_.drop_uploads();
  }
  writer.find_next_end();
  return writer;
}

void Writer::commit(std::span<RequestPtr> group) {
  prepare_streams(group);
  const Failure failure = run_transaction(group);
  if (failure.code == SQLITE_OK) {
    return;
  }
  if (group.size() > 1 && may_fit_alone(failure.code)) {
    for (size_t i = 0; i < group.size(); ++i) {
      commit(group.subspan(i, 1));
    }
    return;
  }
  const Reason reason = reason_of(failure.code);
  for (const RequestPtr& request : group) {
    request->failure =
        failure.in_commit && reason == Reason::kStoreUnavailable ? Reason::kOutcomeUnknown : reason;
    if (request->stream != nullptr && request->stream->kind == StreamRequest::Kind::kAbort) {
      long_values_.abort_later(request->stream->row);
    }
  }
}

// What can not be done within the group's transaction.
void Writer::prepare_streams(std::span<const RequestPtr> group) {
  if (must_drop_uploads_) {
    // The broker before may have been the first to have such values.
    must_drop_uploads_ = !long_values_.open(database_) ||
                         (long_values_.is_ready() && long_values_.drop_uploads() != SQLITE_OK);
  }
  const auto begins = [](const RequestPtr& request) {
    return request->stream != nullptr && request->stream->kind == StreamRequest::Kind::kBegin;
  };
  if (!long_values_.is_ready() && std::any_of(group.begin(), group.end(), begins)) {
    (void)long_values_.make(database_);  // apply_stream() says that it could not
  }
}

Writer::Failure Writer::run_transaction(std::span<RequestPtr> group) {
  Failure failure;
  ends_written_ = 0;
  failure.code = run_once(begin_);
  for (size_t i = 0; i < group.size() && failure.code == SQLITE_OK; ++i) {
    failure.code = apply(*group[i]);
  }
  if (failure.code == SQLITE_OK) {
    failure.in_commit = true;
    failure.code = run_once(commit_);
  }
  if (failure.code != SQLITE_OK && database_.in_transaction()) {
    // Some errors (a full disk) have already rolled back.
    database_.run("ROLLBACK");
  }
  return failure;
}

int Writer::apply(Request& request) {
  if (request.stream != nullptr) {
    return apply_stream(request);
  }
  request.outcomes.assign(request.writes.size(), {});
  for (size_t i = 0; i < request.writes.size(); ++i) {
    const int code = apply_write(request.writes[i], request.now_unix_ms, request.outcomes[i]);
    if (code != SQLITE_OK) {
      return code;
    }
  }
  return SQLITE_OK;
}

int Writer::apply_stream(Request& request) {
  StreamRequest& stream = *request.stream;
  stream.result = {};
  // Until those of the broker before are dropped, one more would be taken for one of them.
  const bool is_early = must_drop_uploads_ && stream.kind == StreamRequest::Kind::kBegin;
  if (!long_values_.is_ready() || is_early) {
    stream.result.reason = Reason::kStoreUnavailable;
    return SQLITE_OK;
  }
  bool found = true;
  int code = SQLITE_OK;
  if (stream.kind == StreamRequest::Kind::kBegin) {
    int64_t id = 0;
    code = long_values_.begin(database_, stream.size, id);
    stream.result.upload = static_cast<uint64_t>(id);
  } else if (stream.kind == StreamRequest::Kind::kPut) {
    code = long_values_.put(database_, stream.row, stream.part.bytes(), found);
  } else if (stream.kind == StreamRequest::Kind::kAbort) {
    code = long_values_.abort(stream.row);
  } else {
    StateOutcome outcome;
    code = apply_write(request.writes.front(), request.now_unix_ms, outcome);
    stream.result.reason = outcome.reason;
    stream.result.item.etag = outcome.etag;
  }
  if (!found) {
    stream.result.reason = Reason::kUploadUnknown;
  }
  return code;
}

int Writer::apply_write(const OwnedWrite& owned, int64_t now_unix_ms, StateOutcome& outcome) {
  const StateWrite& write = owned.write;
  uint64_t stored_etag = 0;
  int64_t stored_long = 0;
  {
    const ResetAtEnd reset(find_);
    find_.bind(1, owned.key);
    const int code = find_.step();
    if (code != SQLITE_ROW && code != SQLITE_DONE) {
      return code;
    }
    outcome.existed = code == SQLITE_ROW && !has_ended(find_.int64_at(1), now_unix_ms);
    stored_etag = outcome.existed ? static_cast<uint64_t>(find_.int64_at(0)) : 0;
    stored_long = code == SQLITE_ROW ? find_.int64_at(2) : 0;
  }
  outcome.reason = check_expectation(write, outcome.existed, stored_etag);
  if (outcome.reason != Reason::kNone) {
    return SQLITE_OK;
  }
  if (owned.long_value != 0) {
    bool found = false;
    const int code = long_values_.keep(database_, owned.long_value, found);
    if (code != SQLITE_OK || !found) {
      outcome.reason = Reason::kUploadUnknown;
      return code;
    }
  }
  if (stored_long != 0) {
    if (const int code = long_values_.drop(stored_long); code != SQLITE_OK) {
      return code;
    }
  }
  if (!write.erase) {
    return store(owned, outcome);
  }
  erase_.bind(1, owned.key);
  return run_once(erase_);
}

int Writer::store(const OwnedWrite& owned, StateOutcome& outcome) {
  const StateWrite& write = owned.write;
  outcome.etag = etags_.next();
  upsert_.bind(1, owned.key);
  if (owned.long_value != 0) {
    upsert_.bind(2, owned.long_value);
  } else {
    upsert_.bind(2, write.value.bytes());
  }
  upsert_.bind(3, static_cast<int64_t>(outcome.etag));
  upsert_.bind(4, write.expires_unix_ms);
  upsert_.bind(5, owned.content_type);
  ends_written_ += write.expires_unix_ms != 0 ? 1 : 0;
  if (write.expires_unix_ms != 0 &&
      (next_end_unix_ms_ == 0 || write.expires_unix_ms < next_end_unix_ms_)) {
    next_end_unix_ms_ = write.expires_unix_ms;
  }
  return run_once(upsert_);
}

void Writer::remove_ended(int64_t now_unix_ms) {
  if (must_drop_uploads_ && !long_values_.is_ready()) {
    (void)long_values_.open(database_);  // the broker before may have made the first ones
  }
  const int64_t rows = kEndedPerStep + std::exchange(ends_written_, 0);
  has_more_ended_ = false;
  // A failure is tried again next time; readers do not see what has ended anyway.
  int code = run_once(begin_);
  if (code == SQLITE_OK && long_values_.is_ready()) {
    code = long_values_.drop_ended(now_unix_ms, rows);
  }
  if (code == SQLITE_OK) {
    remove_ended_.bind(1, now_unix_ms);
    remove_ended_.bind(2, rows);
    code = run_once(remove_ended_);
    has_more_ended_ = code == SQLITE_OK && database_.changes() == rows;
  }
  if (code == SQLITE_OK) {
    code = run_once(commit_);
  }
  if (code != SQLITE_OK) {
    has_more_ended_ = false;
    if (database_.in_transaction()) {
      database_.run("ROLLBACK");
    }
  }
  find_next_end();
}

// Not while another broker may still write: it does so itself.
void Writer::collect() {
  if (!must_drop_uploads_) {
    long_values_.collect(database_);
  }
}

void Writer::find_next_end() {
  const ResetAtEnd reset(next_end_);
  next_end_unix_ms_ = next_end_.step() == SQLITE_ROW ? next_end_.int64_at(0) : 0;
}

void Writer::close() {
  // Best effort: the log is just as durable.
  database_.run("PRAGMA wal_checkpoint(TRUNCATE)");
  for (Statement* statement :
       {&begin_, &commit_, &find_, &upsert_, &erase_, &remove_ended_, &next_end_}) {
    *statement = Statement();
  }
  long_values_.close();
  database_.close();
}

Result<Reader> Reader::open(const std::string& path, const std::string& vfs) {
  Reader reader;
  RTSUP_ASSIGN(reader.database_, open_state_reader(path, vfs));
  RTSUP_ASSIGN(reader.get_, reader.database_.prepare(
                                "SELECT length(value), etag, expires_unix_ms, content_type, rowid,"
                                " CASE WHEN length(value) <= ?2 THEN value END,"
                                " CASE typeof(value) WHEN 'integer' THEN value END"
                                " FROM state WHERE key = ?1"));
  RTSUP_ASSIGN(reader.find_, reader.database_.prepare(
                                 "SELECT CASE typeof(value) WHEN 'integer' THEN value END, rowid,"
                                 " etag, expires_unix_ms, content_type, length(value)"
                                 " FROM state WHERE key = ?1"));
  return reader;
}

void Reader::read(std::span<RequestPtr> requests) {
  const int code = database_.run("BEGIN");
  for (const RequestPtr& request : requests) {
    const int read_code = code == SQLITE_OK ? read_one(*request) : code;
    request->failure = reason_of(read_code);
  }
  if (database_.in_transaction()) {
    (void)database_.run("COMMIT");  // nothing was written
  }
}

int Reader::read_one(Request& request) {
  if (request.stream != nullptr) {
    return read_stream(request);
  }
  request.items.assign(request.keys.size(), {});
  request.content_types.assign(request.keys.size(), {});
  size_t total = 0;
  for (size_t i = 0; i < request.keys.size(); ++i) {
    StateItem& item = request.items[i];
    const int code = read_key(request, i, kBulkValueBytesMax - total);
    if (code != SQLITE_OK) {
      return code;
    }
    item.content_type = request.content_types[i];
    total += request.keys.size() > 1 ? item.value.size() : 0;
  }
  return SQLITE_OK;
}

// `bulk_bytes`: what the value may take where it is one of several.
int Reader::read_key(Request& request, size_t index, size_t bulk_bytes) {
  StateItem& item = request.items[index];
  const ResetAtEnd reset(get_);
  get_.bind(1, request.keys[index]);
  get_.bind(2, int64_t{kRowBytesMax});
  const int code = get_.step();
  if (code == SQLITE_DONE) {
    return SQLITE_OK;
  }
  if (code != SQLITE_ROW) {
    return code;
  }
  if (has_ended(get_.int64_at(2), request.now_unix_ms)) {
    return SQLITE_OK;
  }
  const auto size = static_cast<size_t>(get_.int64_at(0));
  const bool is_bulk = request.keys.size() > 1;
  if (const int64_t id = get_.int64_at(6); id != 0) {
    const int read = read_long(id, request, item, is_bulk ? bulk_bytes : kValueBytesMax);
    if (read != SQLITE_OK) {
      return read;
    }
  } else if (is_bulk && size > bulk_bytes) {
    item.reason = Reason::kAnswerTooLarge;
  } else if (is_bulk && size < ValueRef::kCountedBytesMin &&
             !request.charge.add(request.memory, size)) {
    item.reason = Reason::kNoMemory;
  } else if (const int read = read_value(size, request.memory, item); read != SQLITE_OK) {
    return read;
  }
  item.found = true;
  item.etag = static_cast<uint64_t>(get_.int64_at(1));
  item.expires_unix_ms = get_.int64_at(2);
  request.content_types[index] = get_.text_at(3);
  return SQLITE_OK;
}

// Of the row that get_ stands on. A large one is read without SQLite's own copy of it.
int Reader::read_value(size_t size, const MemoryShare& share, StateItem& item) {
  item.value = ValueRef::make(size, share);
  if (item.value.size() != size) {
    item.reason = Reason::kNoMemory;
    return SQLITE_OK;
  }
  if (size > kRowBytesMax) {
    return database_.read_blob({.table = "state", .column = "value", .row = get_.int64_at(4)}, 0,
                               item.value.fill());
  }
  const auto bytes = get_.bytes_at(5);
  if (bytes.size() != size) {
    return SQLITE_CORRUPT;
  }
  std::copy(bytes.begin(), bytes.end(), item.value.fill().begin());
  return SQLITE_OK;
}

// ---- values in parts ----

int Reader::find_long(int64_t id, uint64_t& size) {
  if (!long_size_) {
    auto prepared = database_.prepare("SELECT size FROM long_value WHERE id = ?1");
    if (!prepared) {
      return static_cast<int>(prepared.error().number);
    }
    long_size_ = std::move(*prepared);
  }
  const ResetAtEnd reset(long_size_);
  long_size_.bind(1, id);
  const int code = long_size_.step();
  size = code == SQLITE_ROW ? static_cast<uint64_t>(long_size_.int64_at(0)) : 0;
  if (code == SQLITE_DONE || size > kLongValueBytesMax) {
    return SQLITE_CORRUPT;
  }
  return code == SQLITE_ROW ? SQLITE_OK : code;
}

// All of it, in one value.
int Reader::read_long(int64_t id, Request& request, StateItem& item, size_t bytes_max) {
  uint64_t size = 0;
  if (const int code = find_long(id, size); code != SQLITE_OK) {
    return code;
  }
  if (size > bytes_max) {
    item.reason = Reason::kAnswerTooLarge;
    return SQLITE_OK;
  }
  item.value = ValueRef::make(static_cast<size_t>(size), request.memory);
  if (item.value.size() != size) {
    item.reason = Reason::kNoMemory;
    return SQLITE_OK;
  }
  for (size_t i = 0; i < parts_of(size); ++i) {
    const auto to = item.value.fill().subspan(i * kUploadPartBytes, part_size(size, i));
    const int code = database_.read_blob({.table = "part",
                                          .column = "bytes",
                                          .row = LongValues::row_of(id, static_cast<int64_t>(i))},
                                         0, to);
    if (code != SQLITE_OK) {
      return code;
    }
  }
  return SQLITE_OK;
}

int Reader::read_stream(Request& request) {
  StreamRequest& stream = *request.stream;
  stream.result = {};
  request.content_types.assign(1, {});
  const ResetAtEnd reset(find_);
  find_.bind(1, request.keys.front());
  const int code = find_.step();
  if (code != SQLITE_ROW && code != SQLITE_DONE) {
    return code;
  }
  StateItem& item = stream.result.item;
  item.found = code == SQLITE_ROW && !has_ended(find_.int64_at(3), request.now_unix_ms);
  item.etag = item.found ? static_cast<uint64_t>(find_.int64_at(2)) : 0;
  if (stream.range.has_etag && (!item.found || item.etag != stream.range.etag)) {
    stream.result = {.reason = Reason::kEtagMismatch};
    return SQLITE_OK;
  }
  if (!item.found) {
    return SQLITE_OK;
  }
  item.expires_unix_ms = find_.int64_at(3);
  request.content_types.front() = find_.text_at(4);
  item.content_type = request.content_types.front();
  return read_range(stream.range, request.memory, stream.result);
}

// Of the row that find_ stands on.
int Reader::read_range(const StreamRange& range, const MemoryShare& share, StreamResult& result) {
  const int64_t id = find_.int64_at(0);
  result.size = static_cast<uint64_t>(find_.int64_at(5));
  if (id != 0) {
    if (const int code = find_long(id, result.size); code != SQLITE_OK) {
      return code;
    }
  }
  if (range.offset > result.size) {
    result = {.reason = Reason::kPartOutside};
    return SQLITE_OK;
  }
  const size_t length = answered_bytes(range, result.size);
  result.item.value = ValueRef::make(length, share);
  if (result.item.value.size() != length) {
    result = {.reason = Reason::kNoMemory};
    return SQLITE_OK;
  }
  if (length == 0) {
    return SQLITE_OK;
  }
  const auto number = static_cast<int64_t>(range.offset / kUploadPartBytes);
  const Database::BlobPlace place =
      id != 0 ? Database::BlobPlace{.table = "part",
                                    .column = "bytes",
                                    .row = LongValues::row_of(id, number)}
              : Database::BlobPlace{.table = "state", .column = "value", .row = find_.int64_at(1)};
  const uint64_t offset = id != 0 ? range.offset % kUploadPartBytes : range.offset;
  return database_.read_blob(place, static_cast<size_t>(offset), result.item.value.fill());
}

void Reader::close() noexcept {
  get_ = Statement();
  find_ = Statement();
  long_size_ = Statement();
  database_.close();
}

}  // namespace rtsup::broker::sqlite
