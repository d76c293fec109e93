// SqliteStore: component state.sqlite: durable values. Writes of all callers are committed in
// groups: one transaction and one sync for whatever arrived while the last one was under way, and
// acknowledged only after COMMIT returned. Reads have a connection and a thread of their own and do
// not wait for a commit; they see every write that was acknowledged before they were asked.
// Owns:     two threads and two connections. Post and clock must outlive it; close() before the
//          loop ends.
// Errors:  STORE_BUSY (queue full), STORE_FULL (disk full), STORE_UNAVAILABLE (I/O; nothing
//          changed), OUTCOME_UNKNOWN (the commit's sync failed), STORE_CORRUPT.
// Threads: see StateStore; one for each direction inside.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "broker/components/sqlite/request_queue.h"
#include "broker/components/sqlite/writer.h"
#include "broker/components/state_store.h"
#include "broker/core/post.h"
#include "broker/core/wall_clock.h"

namespace rtsup::broker {

struct SqliteOptions {
  std::string path;
  std::string vfs;  // name of a registered sqlite3_vfs; empty = the default
  sqlite::RequestQueue::Limits queue;
  sqlite::Migrate migrate = sqlite::Migrate::kYes;
};

class SqliteStore final : public StateStore, public StreamStore {
 public:
  // Opens the file, migrates it and starts the threads.
  static Result<std::unique_ptr<SqliteStore>> create(const SqliteOptions& options, Post& post,
                                                     const WallClock& clock);
  ~SqliteStore() override;
  SqliteStore(const SqliteStore&) = delete;
  SqliteStore& operator=(const SqliteStore&) = delete;

  void read(std::span<const std::string_view> keys, StateReadSink& sink) override;
  void write(std::span<const StateWrite> writes, StateWriteSink& sink) override;
  void close() override;
  StreamStore* streams() noexcept override { return this; }

  void read_part(const StreamRange& range, StreamSink& sink) override;
  void begin_upload(uint64_t size, StreamSink& sink) override;
  void put_part(uint64_t upload, uint32_t number, ValueRef part, StreamSink& sink) override;
  void commit_upload(uint64_t upload, const StateWrite& write, StreamSink& sink) override;
  void abort_upload(uint64_t upload) override;

 private:
  SqliteStore(sqlite::Writer writer, sqlite::Reader reader, const SqliteOptions& options,
              Post& post, const WallClock& clock);

  void run_writer();
  void run_reader();
  std::chrono::milliseconds patience() const;
  bool has_ended_rows() const;
  void remove_ended();
  void finish(std::vector<sqlite::RequestPtr> requests);
  void deliver();

  sqlite::Writer writer_;                               // its thread's only, while that runs
  std::chrono::steady_clock::time_point next_removal_;  // likewise
  sqlite::Reader reader_;                               // its thread's only, while that runs
  Post& post_;
  const WallClock& clock_;
  sqlite::RequestQueue write_queue_;
  sqlite::RequestQueue read_queue_;

  std::mutex mutex_;  // guards finished_ and delivery_posted_
  std::vector<sqlite::RequestPtr> finished_;
  bool delivery_posted_ = false;

  bool closed_ = false;
  std::thread write_thread_;
  std::thread read_thread_;
};

}  // namespace rtsup::broker
