// LongValues: values that a state file keeps in parts, one row each, because SQLite rewrites a row
// as a whole. Made when the first one is begun (schema 3): a file without them stays as it was.
//   long_value  one row a value: its size and state. 0: being sent; 1: a row of `state` has its id
//               in place of the bytes; 2: nobody's, its parts are being removed
//   part        rowid = id * kPartsPerId + number
// Owns:    its statements; the database must outlive them.
// Errors:  sqlite3 codes, as of Statement.
// Threads: the writer's.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "broker/components/sqlite/database.h"

namespace rtsup::broker::sqlite {

class LongValues {
 public:
  static constexpr int64_t kPartsPerId = 1024;
  static constexpr int64_t row_of(int64_t id, int64_t number) noexcept {
    return id * kPartsPerId + number;
  }

  // Whether the file has such values, or can have them.
  [[nodiscard]] bool is_ready() const noexcept { return is_ready_; }
  // Of a file that has schema 3 already; nothing otherwise.
  Result<void> open(Database& database);
  // Brings it there. Not within a transaction.
  int make(Database& database);

  // Within the writer's transaction. `found`: whether there was such an upload.
  int begin(Database& database, uint64_t size, int64_t& id);
  int put(Database& database, int64_t row, std::span<const std::byte> bytes, bool& found);
  int keep(Database& database, int64_t id, bool& found);
  // An upload that is given up: nothing else. What fails is tried again by collect().
  int abort(int64_t id);
  void abort_later(int64_t id);
  // The value of a row of `state` that is replaced or deleted.
  int drop(int64_t id);
  // Of the first `rows` of `state` that have ended.
  int drop_ended(int64_t now_unix_ms, int64_t rows);

  // What another life of the base was being sent.
  int drop_uploads();
  // Whether there may be parts to remove.
  [[nodiscard]] bool has_leavings() const noexcept { return has_leavings_; }
  // It failed the last time: not at once again.
  [[nodiscard]] bool is_failing() const noexcept { return is_failing_; }
  // Removes some, in a transaction of its own: more rows than were written since the last time, up
  // to the bytes that a group can have, so that what is left does not grow.
  void collect(Database& database);
  void close() noexcept;

 private:
  Result<void> prepare(Database& database);
  int collect_some();
  int find_left(int64_t& id);
  int remove_row(int64_t id, size_t& bytes, bool& was_last);

  Statement begin_, put_, keep_, abort_, drop_, drop_ended_, drop_uploads_, find_left_, find_part_,
      remove_part_, remove_;
  bool is_ready_ = false;
  bool has_leavings_ = false;
  bool is_failing_ = false;
  size_t rows_written_ = 0;       // values and parts, since the last collect()
  std::vector<int64_t> aborted_;  // and not yet marked in the file
};

}  // namespace rtsup::broker::sqlite
