// ConfigFile: keeps ConfigChanges on the disk. Saving replaces the file as a whole and syncs it, on
// a thread of its own: the loop never waits for a disk.
// Owns:    the thread. The path's folder and Post must outlive it; close() before the loop ends.
// Errors:  open(): of reading and parsing. save(): kResourceExhausted (the disk is full; nothing
//          changed), any other: the file may hold the old changes or the new ones.
// Threads: the shard's; done() comes there through Post. One save at a time.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "broker/components/config_file/config_changes.h"
#include "broker/core/post.h"

namespace rtsup::broker {

class ConfigFile {
 public:
  // What a file may hold; beyond it save() is not to be asked.
  static constexpr size_t kBytesMax = 4 << 20;
  using Done = std::function<void(const Result<void>&)>;

  // What is in the file; an absent one has no changes.
  static Result<ConfigChanges> read(const std::string& path);
  static Result<std::unique_ptr<ConfigFile>> open(std::string path, Post& post);
  ~ConfigFile();
  ConfigFile(const ConfigFile&) = delete;
  ConfigFile& operator=(const ConfigFile&) = delete;

  // As they were when it was opened.
  const ConfigChanges& changes() const noexcept { return changes_; }
  // As they are in the file now. Reads it: only where the loop may wait for a disk.
  Result<ConfigChanges> read_again() const;
  // `text` is format_changes() of what shall be there.
  void save(std::string text, Done done);
  // Waits for a save that is under way.
  void close();

 private:
  struct Job {
    std::string text;
    Done done;
  };
  ConfigFile(std::string path, ConfigChanges changes, Post& post);
  void run();

  const std::string path_;
  const ConfigChanges changes_;
  Post& post_;
  std::mutex mutex_;  // guards job_ and stopped_
  std::condition_variable changed_;
  std::optional<Job> job_;  // there until it is done
  bool stopped_ = false;
  std::thread thread_;
};

}  // namespace rtsup::broker
