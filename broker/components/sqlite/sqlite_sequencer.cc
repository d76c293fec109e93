#include "broker/components/sqlite/sqlite_sequencer.h"

#include <sqlite3.h>

#include <iterator>
#include <utility>

namespace rtsup::broker {
namespace {

using abi::Reason;

int run_once(sqlite::Statement& statement) noexcept {
  const sqlite::ResetAtEnd reset(statement);
  const int code = statement.step();
  return code == SQLITE_DONE ? SQLITE_OK : code;
}

}  // namespace

Result<std::unique_ptr<SqliteSequencer>> SqliteSequencer::create(const std::string& path,
                                                                 const std::string& vfs, Post& post,
                                                                 sqlite::Migrate migrate) {
  std::unique_ptr<SqliteSequencer> made(new SqliteSequencer(post));
  RTSUP_ASSIGN(made->database_, sqlite::open_sequence_file(path, vfs, migrate));
  sqlite::Database& database = made->database_;
  RTSUP_ASSIGN(made->begin_, database.prepare("BEGIN IMMEDIATE"));
  RTSUP_ASSIGN(made->commit_, database.prepare("COMMIT"));
  // The bound keeps the sum an integer: no row comes back beyond it.
  RTSUP_ASSIGN(made->advance_,
               database.prepare("INSERT INTO sequence (name, next) VALUES (?1, 1 + ?2)"
                                " ON CONFLICT (name) DO UPDATE SET next = next + ?2"
                                " WHERE next < 9000000000000000000 RETURNING next"));
  made->thread_ = std::thread([raw = made.get()] { raw->run(); });
  return made;
}

SqliteSequencer::~SqliteSequencer() { close(); }

void SqliteSequencer::reserve(std::string_view name, uint64_t count, SequenceSink& sink) {
  {
    const std::lock_guard lock(mutex_);
    if (!stopped_ && waiting_.size() < kQueueMax) {
      waiting_.push_back({.name = std::string(name), .count = count, .sink = &sink});
      arrived_.notify_one();
      return;
    }
  }
  sink.failed(Reason::kStoreBusy);
}

void SqliteSequencer::run() {
  for (;;) {
    Requests group;
    {
      std::unique_lock lock(mutex_);
      arrived_.wait(lock, [this] { return stopped_ || !waiting_.empty(); });
      if (waiting_.empty()) {
        return;
      }
      group.swap(waiting_);
    }
    commit(group);
    finish(std::move(group));
  }
}

void SqliteSequencer::commit(Requests& group) {
  bool in_commit = false;
  const int code = run_transaction(group, in_commit);
  if (code == SQLITE_OK) {
    return;
  }
  const Reason reason = sqlite::reason_of(code);
  for (Request& request : group) {
    request.failure =
        in_commit && reason == Reason::kStoreUnavailable ? Reason::kOutcomeUnknown : reason;
  }
}

int SqliteSequencer::run_transaction(Requests& group, bool& in_commit) {
  int code = run_once(begin_);
  for (size_t i = 0; i < group.size() && code == SQLITE_OK; ++i) {
    code = advance(group[i]);
  }
  if (code == SQLITE_OK) {
    in_commit = true;
    code = run_once(commit_);
  }
  if (code != SQLITE_OK && database_.in_transaction()) {
    database_.run("ROLLBACK");
  }
  return code;
}

int SqliteSequencer::advance(Request& request) {
  const sqlite::ResetAtEnd reset(advance_);
  advance_.bind(1, request.name);
  advance_.bind(2, static_cast<int64_t>(request.count));
  const int code = advance_.step();
  if (code == SQLITE_DONE) {
    request.failure = Reason::kStoreFull;  // this sequence is at its end; the others go on
    return SQLITE_OK;
  }
  if (code != SQLITE_ROW) {
    return code;
  }
  request.first = static_cast<uint64_t>(advance_.int64_at(0)) - request.count;
  const int end = advance_.step();
  return end == SQLITE_DONE ? SQLITE_OK : end;
}

// One closure for all that finish before the loop comes round to it.
void SqliteSequencer::finish(Requests group) {
  bool must_post = false;
  {
    const std::lock_guard lock(mutex_);
    finished_.insert(finished_.end(), std::make_move_iterator(group.begin()),
                     std::make_move_iterator(group.end()));
    must_post = !std::exchange(delivery_posted_, true);
  }
  if (must_post) {
    post_.post([this] { deliver(); });
  }
}

void SqliteSequencer::deliver() {
  Requests finished;
  {
    const std::lock_guard lock(mutex_);
    finished.swap(finished_);
    delivery_posted_ = false;
  }
  for (const Request& request : finished) {
    if (request.failure == Reason::kNone) {
      request.sink->reserved(request.first);
    } else {
      request.sink->failed(request.failure);
    }
  }
}

void SqliteSequencer::close() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  arrived_.notify_one();
  if (!thread_.joinable()) {
    return;
  }
  thread_.join();
  deliver();
  database_.run("PRAGMA wal_checkpoint(TRUNCATE)");  // best effort: the log is just as durable
  for (sqlite::Statement* statement : {&begin_, &commit_, &advance_}) {
    *statement = sqlite::Statement();
  }
  database_.close();
}

}  // namespace rtsup::broker
