#include "broker/components/sqlite/writer.h"

#include <sqlite3.h>

#include <algorithm>

#include "broker/core/limits.h"

namespace rtsup::broker::sqlite {
namespace {

using abi::Reason;

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
               database.prepare("SELECT etag, expires_unix_ms FROM state WHERE key = ?1"));
  RTSUP_ASSIGN(
      writer.upsert_,
      database.prepare(
          "INSERT INTO state (key, value, etag, expires_unix_ms, content_type)"
          " VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (key) DO UPDATE SET value = ?2, etag = ?3,"
          " expires_unix_ms = ?4, content_type = ?5"));
  RTSUP_ASSIGN(writer.erase_, database.prepare("DELETE FROM state WHERE key = ?1"));
  RTSUP_ASSIGN(
      writer.remove_ended_,
      database.prepare(
          "DELETE FROM state WHERE rowid IN (SELECT rowid FROM state WHERE"
          " expires_unix_ms > 0 AND expires_unix_ms <= ?1 ORDER BY expires_unix_ms LIMIT 500)"));
  RTSUP_ASSIGN(writer.next_end_,
               database.prepare("SELECT expires_unix_ms FROM state WHERE expires_unix_ms > 0"
                                " ORDER BY expires_unix_ms LIMIT 1"));
  writer.find_next_end();
  return writer;
}

void Writer::commit(std::span<RequestPtr> group) {
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
  }
}

Writer::Failure Writer::run_transaction(std::span<RequestPtr> group) {
  Failure failure;
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
  request.outcomes.assign(request.writes.size(), {});
  for (size_t i = 0; i < request.writes.size(); ++i) {
    const int code = apply_write(request.writes[i], request.now_unix_ms, request.outcomes[i]);
    if (code != SQLITE_OK) {
      return code;
    }
  }
  return SQLITE_OK;
}

int Writer::apply_write(const OwnedWrite& owned, int64_t now_unix_ms, StateOutcome& outcome) {
  const StateWrite& write = owned.write;
  uint64_t stored_etag = 0;
  {
    const ResetAtEnd reset(find_);
    find_.bind(1, owned.key);
    const int code = find_.step();
    if (code != SQLITE_ROW && code != SQLITE_DONE) {
      return code;
    }
    outcome.existed = code == SQLITE_ROW && !has_ended(find_.int64_at(1), now_unix_ms);
    stored_etag = outcome.existed ? static_cast<uint64_t>(find_.int64_at(0)) : 0;
  }
  outcome.reason = check_expectation(write, outcome.existed, stored_etag);
  if (outcome.reason != Reason::kNone) {
    return SQLITE_OK;
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
  upsert_.bind(2, write.value.bytes());
  upsert_.bind(3, static_cast<int64_t>(outcome.etag));
  upsert_.bind(4, write.expires_unix_ms);
  upsert_.bind(5, owned.content_type);
  if (write.expires_unix_ms != 0 &&
      (next_end_unix_ms_ == 0 || write.expires_unix_ms < next_end_unix_ms_)) {
    next_end_unix_ms_ = write.expires_unix_ms;
  }
  return run_once(upsert_);
}

void Writer::remove_ended(int64_t now_unix_ms) {
  remove_ended_.bind(1, now_unix_ms);
  run_once(remove_ended_);  // a failure is tried again next time; readers do not see what has ended
                            // anyway
  find_next_end();
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
  database_.close();
}

Result<Reader> Reader::open(const std::string& path, const std::string& vfs) {
  Reader reader;
  RTSUP_ASSIGN(reader.database_, open_state_reader(path, vfs));
  RTSUP_ASSIGN(reader.get_, reader.database_.prepare(
                                "SELECT length(value), etag, expires_unix_ms, content_type, rowid,"
                                " CASE WHEN length(value) <= ?2 THEN value END"
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
  if (is_bulk && size > bulk_bytes) {
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

void Reader::close() noexcept {
  get_ = Statement();
  database_.close();
}

}  // namespace rtsup::broker::sqlite
