// Database and Statement: RAII over sqlite3, and what its result codes mean for rtsup. This folder
// alone names the client library.
// Owns:    the connection, or the prepared statement; a statement must be gone before its
//          connection.
// Errors:  raw sqlite3 codes (extended) where the caller branches on them; reason_of() and
//          database_error() say what they mean.
// Threads: one at a time per connection (SQLITE_OPEN_NOMUTEX); connections of one file may live in
//          different threads.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "abi/base/result.h"
#include "abi/reason.h"

struct sqlite3;
struct sqlite3_stmt;

namespace rtsup::broker::sqlite {

class Statement {
 public:
  Statement() noexcept = default;

  void bind(int index, std::string_view text) noexcept;  // as a blob; must stay until reset()
  void bind(int index,
            std::span<const std::byte> bytes) noexcept;  // as a blob; must stay until reset()
  void bind(int index, int64_t number) noexcept;
  // SQLITE_ROW, SQLITE_DONE or an error.
  int step() noexcept;
  // One without results, to its end: SQLITE_OK or an error. Gives everything back.
  int run() noexcept;
  explicit operator bool() const noexcept { return statement_ != nullptr; }
  // Gives locks and bound bytes back; after it the statement can run again.
  void reset() noexcept;

  int64_t int64_at(int column) const noexcept;
  std::span<const std::byte> bytes_at(int column) const noexcept;
  std::string_view text_at(int column) const noexcept;

 private:
  friend class Database;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const noexcept;
  };
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

// Resets a statement at the end of a scope, so that none keeps a read transaction open.
class ResetAtEnd {
 public:
  explicit ResetAtEnd(Statement& statement) noexcept : statement_(statement) {}
  ~ResetAtEnd() { statement_.reset(); }
  ResetAtEnd(const ResetAtEnd&) = delete;
  ResetAtEnd& operator=(const ResetAtEnd&) = delete;

 private:
  Statement& statement_;
};

class Database {
 public:
  Database() noexcept = default;
  // `vfs`: name of a registered one; empty = the default.
  static Result<Database> open(const std::string& path, const std::string& vfs);

  // Runs statements without results.
  int run(const char* sql) noexcept;
  Result<void> execute(const char* sql) noexcept;
  Result<Statement> prepare(const char* sql) noexcept;
  // First column of the first row; 0 when there is none.
  Result<int64_t> query_number(const char* sql) noexcept;
  Result<std::string> query_text(const char* sql);
  bool in_transaction() const noexcept;
  // Of the last INSERT; rows that the last statement inserted, changed or deleted.
  int64_t last_row() const noexcept;
  int changes() const noexcept;
  // Bytes [offset, offset + to.size()) of a blob, without a copy of it in between. SQLITE_OK or an
  // error.
  struct BlobPlace {
    const char* table;
    const char* column;
    int64_t row;
  };
  int read_blob(const BlobPlace& place, size_t offset, std::span<std::byte> to) noexcept;
  // Leaves write-ahead log and index in place at close, so that closing needs no unlink(2).
  void keep_wal() noexcept;
  // Of the last call that failed.
  Error error() const noexcept;
  void close() noexcept { connection_.reset(); }

 private:
  struct Close {
    void operator()(sqlite3* connection) const noexcept;
  };
  std::unique_ptr<sqlite3, Close> connection_;
};

// What a failed read or write is for its caller.
abi::Reason reason_of(int code) noexcept;
Error database_error(int code, int system_errno = 0) noexcept;

}  // namespace rtsup::broker::sqlite
