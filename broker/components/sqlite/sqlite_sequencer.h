// SqliteSequencer: component sequencer.sqlite. A range is committed and synced before anybody hears
// of it: after a crash values may be missing, none comes twice. What arrived during one sync goes
// into the next as one transaction, like the writes of state.sqlite.
// Owns:    a thread and a connection. Post must outlive it; close() before the loop ends.
// Errors:  STORE_BUSY (queue full), STORE_FULL, STORE_UNAVAILABLE, STORE_CORRUPT, OUTCOME_UNKNOWN
//          (the sync failed: the values are lost, for everybody).
// Threads: see Sequencer; one inside.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "broker/components/sequencer.h"
#include "broker/components/sqlite/database.h"
#include "broker/components/sqlite/state_file.h"
#include "broker/core/post.h"

namespace rtsup::broker {

class SqliteSequencer final : public Sequencer {
 public:
  static constexpr size_t kQueueMax = 4096;

  // `vfs`: name of a registered sqlite3_vfs; empty = the default.
  static Result<std::unique_ptr<SqliteSequencer>> create(
      const std::string& path, const std::string& vfs, Post& post,
      sqlite::Migrate migrate = sqlite::Migrate::kYes);
  ~SqliteSequencer() override;
  SqliteSequencer(const SqliteSequencer&) = delete;
  SqliteSequencer& operator=(const SqliteSequencer&) = delete;

  void reserve(std::string_view name, uint64_t count, SequenceSink& sink) override;
  void close() override;

 private:
  struct Request {
    std::string name;
    uint64_t count = 0;
    SequenceSink* sink = nullptr;
    uint64_t first = 0;
    abi::Reason failure = abi::Reason::kNone;
  };
  using Requests = std::vector<Request>;
  explicit SqliteSequencer(Post& post) : post_(post) {}

  void run();
  // Returns when the group is on the disk, or has failed.
  void commit(Requests& group);
  int run_transaction(Requests& group, bool& in_commit);
  int advance(Request& request);
  void finish(Requests group);
  void deliver();

  Post& post_;
  sqlite::Database database_;  // these four: the thread's only, while it runs
  sqlite::Statement begin_, commit_, advance_;

  std::mutex mutex_;  // guards all below
  std::condition_variable arrived_;
  Requests waiting_;
  Requests finished_;
  bool delivery_posted_ = false;
  bool stopped_ = false;
  std::thread thread_;
};

}  // namespace rtsup::broker
