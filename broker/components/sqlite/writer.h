// Writer: the write side of a state file: groups of requests, each group one transaction. Reader:
// its read side.
// Owns:    its connection and statements.
// Errors:  stand in the requests: per item, or as the failure of the whole. A COMMIT that failed to
//          reach the disk is OUTCOME_UNKNOWN: after a crash the log may hold it or not.
// Threads: one at a time.
#pragma once

#include <span>
#include <string>

#include "broker/components/etag.h"
#include "broker/components/sqlite/database.h"
#include "broker/components/sqlite/long_values.h"
#include "broker/components/sqlite/request.h"
#include "broker/components/sqlite/state_file.h"

namespace rtsup::broker::sqlite {

class Writer {
 public:
  static Result<Writer> open(const std::string& path, const std::string& vfs,
                             Migrate migrate = Migrate::kYes);

  // Returns when the group is on the disk, or has failed.
  void commit(std::span<RequestPtr> group);
  // When the next value ends; 0 = none does.
  int64_t next_end_unix_ms() const noexcept { return next_end_unix_ms_; }
  // Removes what has ended, a bounded number at a time: more than the last group wrote.
  void remove_ended(int64_t now_unix_ms);
  // That was not all.
  [[nodiscard]] bool has_more_ended() const noexcept { return has_more_ended_; }
  // Parts of values that nobody has any more are removed a few at a time, and faster than groups
  // bring new ones.
  [[nodiscard]] bool has_leavings() const noexcept {
    return !must_drop_uploads_ && long_values_.has_leavings();
  }
  [[nodiscard]] bool is_failing() const noexcept { return long_values_.is_failing(); }
  void collect();
  // Moves the log into the database file, so that the next start need not.
  void close();

 private:
  struct Failure {
    int code = 0;  // SQLITE_OK
    bool in_commit = false;
  };
  Failure run_transaction(std::span<RequestPtr> group);
  void prepare_streams(std::span<const RequestPtr> group);
  int apply(Request& request);
  int apply_stream(Request& request);
  int apply_write(const OwnedWrite& owned, int64_t now_unix_ms, StateOutcome& outcome);
  int store(const OwnedWrite& owned, StateOutcome& outcome);
  void find_next_end();

  Database database_;
  Statement begin_, commit_, find_, upsert_, erase_, remove_ended_, next_end_;
  LongValues long_values_;
  bool must_drop_uploads_ = false;  // of the broker before, once this one writes
  EtagSource etags_;
  int64_t next_end_unix_ms_ = 0;
  int64_t ends_written_ = 0;  // rows of the last group that will end
  bool has_more_ended_ = false;
};

class Reader {
 public:
  static Result<Reader> open(const std::string& path, const std::string& vfs);
  // All in one snapshot, taken when it starts: it holds every write that was acknowledged before.
  void read(std::span<RequestPtr> requests);
  void close() noexcept;

 private:
  int read_one(Request& request);
  int read_key(Request& request, size_t index, size_t bulk_bytes);
  int read_value(size_t size, const MemoryShare& share, StateItem& item);
  int read_stream(Request& request);
  int read_range(const StreamRange& range, const MemoryShare& share, StreamResult& result);
  int find_long(int64_t id, uint64_t& size);
  int read_long(int64_t id, Request& request, StateItem& item, size_t bytes_max);

  Database database_;
  Statement get_, find_, long_size_;
};

}  // namespace rtsup::broker::sqlite
