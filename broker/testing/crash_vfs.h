// CrashVfs: a sqlite3_vfs over the real one that knows, for every file, what a disk would hold
// after the power failed now: the bytes of the last sync, plus any part of what was written since.
// Writes go through to the real files too, so that shared memory and locks stay the real ones. It
// can also hold syncs and let operations fail.
// Owns:    its registration; every connection that uses it must be closed before.
// Threads: any.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <vector>

struct sqlite3_vfs;

namespace rtsup::broker::testing {

class CrashVfs {
 public:
  explicit CrashVfs(std::string name);
  ~CrashVfs();
  CrashVfs(const CrashVfs&) = delete;
  CrashVfs& operator=(const CrashVfs&) = delete;

  const std::string& name() const { return name_; }

  // Writes what a power failure at this moment may leave of the files in `from` into the folder
  // `to`. Unsynced writes survive whole, in 512-byte sectors, or not at all, by chance; a file that
  // was never synced may be missing.
  void crash_into(const std::string& from, const std::string& to, std::mt19937_64& random);

  // While held, syncs wait; wait_until_held() returns when one does.
  void hold_syncs();
  void wait_until_held();
  void release_syncs();

  // From now on the operation returns this code; SQLITE_OK ends it.
  void fail_writes(int code);
  void fail_syncs(int code);
  // A disk that says it synced and did not: what the harness must be able to catch.
  void lie_about_syncs();
  uint64_t sync_count();

 private:
  friend struct CrashVfsMethods;
  struct Change {
    int64_t offset = 0;  // or the new size, when it is a truncation
    bool truncation = false;
    std::vector<unsigned char> bytes;
  };
  struct FileModel {
    bool exists_after_crash = false;
    std::vector<unsigned char> synced;
    std::vector<Change> unsynced;
  };

  void adopt(const char* path);
  static void apply(std::vector<unsigned char>& image, const Change& change);

  std::string name_;
  std::unique_ptr<sqlite3_vfs> vfs_;
  std::mutex mutex_;  // guards all below
  std::condition_variable changed_;
  std::map<std::string, FileModel> files_;
  bool hold_ = false;
  int held_ = 0;
  int write_code_ = 0;  // SQLITE_OK
  int sync_code_ = 0;
  bool lie_ = false;
  uint64_t syncs_ = 0;
};

}  // namespace rtsup::broker::testing
