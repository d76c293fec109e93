#include "broker/components/sqlite/long_values.h"

#include <sqlite3.h>

#include <algorithm>

#include "broker/components/sqlite/request_queue.h"
#include "broker/components/sqlite/state_file.h"
#include "broker/core/limits.h"

namespace rtsup::broker::sqlite {
namespace {

static_assert(LongValues::kPartsPerId >= int64_t{kUploadPartsMax});

// Rows removed at a time beyond those that were written: what else is written waits for no more
// than that, and for what a group of parts itself takes.
constexpr size_t kRemovedPerStep = 4;
// Parts have at most that many bytes in one group, the last of which may lie beyond its bound.
constexpr size_t kRemovedBytesMax = kGroupBytesMax + kUploadPartBytes;

}  // namespace

Result<void> LongValues::open(Database& database) {
  RTSUP_ASSIGN(const int64_t version, database.query_number("PRAGMA user_version"));
  return version < kLongSchemaVersion ? Result<void>() : prepare(database);
}

int LongValues::make(Database& database) {
  if (is_ready_) {
    return SQLITE_OK;
  }
  const auto made = migrate_to_long_values(database);
  const auto prepared = made ? prepare(database) : made;
  return prepared ? SQLITE_OK : static_cast<int>(prepared.error().number);
}

Result<void> LongValues::prepare(Database& database) {
  RTSUP_ASSIGN(begin_, database.prepare("INSERT INTO long_value (size, state) VALUES (?1, 0)"));
  // A part of an upload that is over would be nobody's for ever.
  RTSUP_ASSIGN(
      put_, database.prepare("INSERT OR REPLACE INTO part (row, bytes) SELECT ?1, ?2 WHERE EXISTS"
                             " (SELECT 1 FROM long_value WHERE id = ?1 / 1024 AND state = 0)"));
  static_assert(kPartsPerId == 1024);
  RTSUP_ASSIGN(keep_,
               database.prepare("UPDATE long_value SET state = 1 WHERE id = ?1 AND state = 0"));
  RTSUP_ASSIGN(abort_,
               database.prepare("UPDATE long_value SET state = 2 WHERE id = ?1 AND state = 0"));
  RTSUP_ASSIGN(drop_, database.prepare("UPDATE long_value SET state = 2 WHERE id = ?1"));
  RTSUP_ASSIGN(drop_ended_,
               database.prepare("UPDATE long_value SET state = 2 WHERE id IN (SELECT value FROM"
                                " (SELECT CASE typeof(value) WHEN 'integer' THEN value END AS value"
                                " FROM state WHERE expires_unix_ms > 0 AND expires_unix_ms <= ?1"
                                " ORDER BY expires_unix_ms, rowid LIMIT ?2)"
                                " WHERE value IS NOT NULL)"));
  RTSUP_ASSIGN(drop_uploads_, database.prepare("UPDATE long_value SET state = 2 WHERE state = 0"));
  RTSUP_ASSIGN(find_left_, database.prepare("SELECT id FROM long_value WHERE state = 2 LIMIT 1"));
  RTSUP_ASSIGN(find_part_,
               database.prepare("SELECT row, length(bytes) FROM part WHERE row >= ?1 AND"
                                " row < ?1 + 1024 ORDER BY row LIMIT 1"));
  RTSUP_ASSIGN(remove_part_, database.prepare("DELETE FROM part WHERE row = ?1"));
  RTSUP_ASSIGN(remove_, database.prepare("DELETE FROM long_value WHERE id = ?1"));
  is_ready_ = true;
  has_leavings_ = true;
  return {};
}

int LongValues::begin(Database& database, uint64_t size, int64_t& id) {
  begin_.bind(1, static_cast<int64_t>(size));
  ++rows_written_;
  const int code = begin_.run();
  id = code == SQLITE_OK ? database.last_row() : 0;
  return code;
}

int LongValues::put(Database& database, int64_t row, std::span<const std::byte> bytes,
                    bool& found) {
  ++rows_written_;
  put_.bind(1, row);
  put_.bind(2, bytes);
  const int code = put_.run();
  found = code == SQLITE_OK && database.changes() == 1;
  return code;
}

int LongValues::keep(Database& database, int64_t id, bool& found) {
  keep_.bind(1, id);
  const int code = keep_.run();
  found = code == SQLITE_OK && database.changes() == 1;
  return code;
}

int LongValues::abort(int64_t id) {
  has_leavings_ = true;
  abort_.bind(1, id);
  return abort_.run();
}

void LongValues::abort_later(int64_t id) {
  has_leavings_ = true;
  aborted_.push_back(id);
}

int LongValues::drop(int64_t id) {
  has_leavings_ = true;
  drop_.bind(1, id);
  return drop_.run();
}

int LongValues::drop_ended(int64_t now_unix_ms, int64_t rows) {
  has_leavings_ = true;
  drop_ended_.bind(1, now_unix_ms);
  drop_ended_.bind(2, rows);
  return drop_ended_.run();
}

int LongValues::drop_uploads() {
  has_leavings_ = true;
  return drop_uploads_.run();
}

void LongValues::collect(Database& database) {
  if (!is_ready_ || !has_leavings_) {
    rows_written_ = 0;
    return;
  }
  int code = database.run("BEGIN IMMEDIATE");
  if (code == SQLITE_OK) {
    code = collect_some();
  }
  if (code == SQLITE_OK) {
    code = database.run("COMMIT");
  }
  is_failing_ = code != SQLITE_OK;
  if (!is_failing_) {
    aborted_.clear();
    rows_written_ = 0;
    return;
  }
  has_leavings_ = true;
  if (database.in_transaction()) {
    (void)database.run("ROLLBACK");
  }
}

int LongValues::collect_some() {
  for (const int64_t id : aborted_) {
    if (const int code = abort(id); code != SQLITE_OK) {
      return code;
    }
  }
  const size_t rows_due = std::min(rows_written_, kGroupRequestsMax) + kRemovedPerStep;
  size_t bytes = 0;
  int64_t id = 0;
  for (size_t rows = 0; rows < rows_due && bytes < kRemovedBytesMax; ++rows) {
    if (const int code = id == 0 ? find_left(id) : SQLITE_OK; code != SQLITE_OK) {
      return code;
    }
    if (id == 0) {
      has_leavings_ = false;
      return SQLITE_OK;
    }
    bool was_last = false;
    if (const int code = remove_row(id, bytes, was_last); code != SQLITE_OK) {
      return code;
    }
    id = was_last ? 0 : id;
  }
  return SQLITE_OK;
}

// 0 when there is none.
int LongValues::find_left(int64_t& id) {
  const ResetAtEnd reset(find_left_);
  const int code = find_left_.step();
  id = code == SQLITE_ROW ? find_left_.int64_at(0) : 0;
  return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

// A part of the value, or, when it has none any more, the value.
int LongValues::remove_row(int64_t id, size_t& bytes, bool& was_last) {
  int64_t row = 0;
  {
    const ResetAtEnd reset(find_part_);
    find_part_.bind(1, row_of(id, 0));
    const int code = find_part_.step();
    if (code != SQLITE_ROW && code != SQLITE_DONE) {
      return code;
    }
    was_last = code == SQLITE_DONE;
    row = was_last ? 0 : find_part_.int64_at(0);
    bytes += was_last ? 0 : static_cast<size_t>(find_part_.int64_at(1));
  }
  Statement& statement = was_last ? remove_ : remove_part_;
  statement.bind(1, was_last ? id : row);
  return statement.run();
}

void LongValues::close() noexcept {
  for (Statement* const statement :
       {&begin_, &put_, &keep_, &abort_, &drop_, &drop_ended_, &drop_uploads_, &find_left_,
        &find_part_, &remove_part_, &remove_}) {
    *statement = Statement();
  }
  is_ready_ = false;
}

}  // namespace rtsup::broker::sqlite
