#include "broker/components/sqlite/database.h"

#include <sqlite3.h>

namespace rtsup::broker::sqlite {
namespace {

constexpr int primary(int code) noexcept { return code & 0xFF; }

// Two connections of this process share a file; a lock between them is held for microseconds, or
// for one checkpoint.
constexpr int kBusyTimeoutMs = 5000;

}  // namespace

void Statement::bind(int index, std::string_view text) noexcept {
  bind(index, std::as_bytes(std::span(text)));
}

void Statement::bind(int index, std::span<const std::byte> bytes) noexcept {
  // A null pointer would bind NULL; an empty value is an empty blob.
  const void* data = bytes.empty() ? static_cast<const void*>("") : bytes.data();
  sqlite3_bind_blob64(statement_.get(), index, data, bytes.size(), SQLITE_STATIC);
}

void Statement::bind(int index, int64_t number) noexcept {
  sqlite3_bind_int64(statement_.get(), index, number);
}

void Statement::Finalize::operator()(sqlite3_stmt* statement) const noexcept {
  sqlite3_finalize(statement);
}

void Database::Close::operator()(sqlite3* connection) const noexcept {
  sqlite3_close_v2(connection);
}

int Statement::step() noexcept { return sqlite3_step(statement_.get()); }

int Statement::run() noexcept {
  const int code = step();
  reset();
  return code == SQLITE_DONE ? SQLITE_OK : code;
}

int64_t Statement::int64_at(int column) const noexcept {
  return sqlite3_column_int64(statement_.get(), column);
}

void Statement::reset() noexcept {
  // Repeats the error that step() has already reported.
  sqlite3_reset(statement_.get());
  sqlite3_clear_bindings(statement_.get());
}

std::span<const std::byte> Statement::bytes_at(int column) const noexcept {
  const void* data = sqlite3_column_blob(statement_.get(), column);
  const int size = sqlite3_column_bytes(statement_.get(), column);
  return data == nullptr
             ? std::span<const std::byte>()
             : std::span(static_cast<const std::byte*>(data), static_cast<size_t>(size));
}

std::string_view Statement::text_at(int column) const noexcept {
  const auto bytes = bytes_at(column);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

Result<Database> Database::open(const std::string& path, const std::string& vfs) {
  sqlite3* connection = nullptr;
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
                    SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_NOFOLLOW;
  const int code =
      sqlite3_open_v2(path.c_str(), &connection, flags, vfs.empty() ? nullptr : vfs.c_str());
  Database database;
  database.connection_.reset(connection);  // also after a failure, says sqlite3_open_v2
  if (code != SQLITE_OK) {
    return database_error(code, connection == nullptr ? 0 : sqlite3_system_errno(connection));
  }
  sqlite3_busy_timeout(connection, kBusyTimeoutMs);
  sqlite3_db_config(connection, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  return database;
}

int Database::run(const char* sql) noexcept {
  return sqlite3_exec(connection_.get(), sql, nullptr, nullptr, nullptr);
}

Result<void> Database::execute(const char* sql) noexcept {
  if (run(sql) != SQLITE_OK) {
    return error();
  }
  return {};
}

Result<Statement> Database::prepare(const char* sql) noexcept {
  sqlite3_stmt* prepared = nullptr;
  if (sqlite3_prepare_v3(connection_.get(), sql, -1, SQLITE_PREPARE_PERSISTENT, &prepared,
                         nullptr) != SQLITE_OK) {
    return error();
  }
  Statement statement;
  statement.statement_.reset(prepared);
  return statement;
}

Result<int64_t> Database::query_number(const char* sql) noexcept {
  RTSUP_ASSIGN(Statement statement, prepare(sql));
  const int code = statement.step();
  if (code != SQLITE_ROW && code != SQLITE_DONE) {
    return error();
  }
  return code == SQLITE_ROW ? statement.int64_at(0) : 0;
}

Result<std::string> Database::query_text(const char* sql) {
  RTSUP_ASSIGN(Statement statement, prepare(sql));
  const int code = statement.step();
  if (code != SQLITE_ROW && code != SQLITE_DONE) {
    return error();
  }
  return code == SQLITE_ROW ? std::string(statement.text_at(0)) : std::string();
}

int64_t Database::last_row() const noexcept { return sqlite3_last_insert_rowid(connection_.get()); }

int Database::changes() const noexcept { return sqlite3_changes(connection_.get()); }

bool Database::in_transaction() const noexcept {
  return sqlite3_get_autocommit(connection_.get()) == 0;
}

int Database::read_blob(const BlobPlace& place, size_t offset, std::span<std::byte> to) noexcept {
  sqlite3_blob* blob = nullptr;
  int code =
      sqlite3_blob_open(connection_.get(), "main", place.table, place.column, place.row, 0, &blob);
  if (code == SQLITE_OK) {
    code =
        sqlite3_blob_read(blob, to.data(), static_cast<int>(to.size()), static_cast<int>(offset));
  }
  sqlite3_blob_close(blob);
  return code;
}

void Database::keep_wal() noexcept {
  int keep = 1;
  sqlite3_file_control(connection_.get(), "main", SQLITE_FCNTL_PERSIST_WAL, &keep);
}

Error Database::error() const noexcept {
  return database_error(sqlite3_extended_errcode(connection_.get()),
                        sqlite3_system_errno(connection_.get()));
}

abi::Reason reason_of(int code) noexcept {
  switch (primary(code)) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
      return abi::Reason::kNone;
    case SQLITE_FULL:
      return abi::Reason::kStoreFull;
    case SQLITE_NOMEM:
      return abi::Reason::kNoMemory;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return abi::Reason::kStoreCorrupt;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_READONLY:
    case SQLITE_PERM:
      return abi::Reason::kStoreUnavailable;
    default:
      return abi::Reason::kStoreFailed;
  }
}

Error database_error(int code, int system_errno) noexcept {
  const abi::Reason reason = reason_of(code);
  const bool corrupt = reason == abi::Reason::kStoreCorrupt;
  return {.status = abi::reason_status(reason),
          .step = corrupt ? Step::kDatabaseDamaged : Step::kDatabase,
          .sys_errno = corrupt ? 0 : system_errno,
          .number = code};
}

}  // namespace rtsup::broker::sqlite
