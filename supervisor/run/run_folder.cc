#include "supervisor/run/run_folder.h"

#include <chrono>
#include <thread>

#include "abi/base/ids.h"
#include "sys/cgroup.h"
#include "sys/file.h"
#include "sys/socket.h"

namespace rtsup::supervisor {
namespace {

constexpr size_t kMadeBytesMax = 1 << 20;
// Processes of a killed supervisor end within a second; until then their groups can not be removed.
constexpr int kSweepAttempts = 40;
constexpr auto kSweepPause = std::chrono::milliseconds(50);

// The lock on the file that the path names now: a predecessor may have removed the one that was
// opened.
Result<sys::UniqueFd> lock_current(const RunPaths& paths) {
  for (int attempt = 0; attempt < 8; ++attempt) {
    RTSUP_TRY(sys::make_directories(paths.folder, 0711));
    Result<sys::UniqueFd> lock = sys::lock_file(paths.lock(), 0600);
    if (!lock) {
      if (lock.error().status == Status::kNotFound) {
        continue;  // removed between the two steps
      }
      return lock.error();
    }
    RTSUP_ASSIGN(const sys::FileIdentity held, sys::identify(lock->get()));
    const Result<sys::FileIdentity> named = sys::identify_path(paths.lock());
    if (named && named->inode == held.inode && named->device == held.device) {
      return lock;
    }
  }
  return Error{.status = Status::kUnavailable, .step = Step::kLock};
}

Result<unsigned> sweep_recorded(const RunPaths& paths) {
  const Result<std::string> text = sys::read_file(paths.made(), kMadeBytesMax);
  if (!text) {
    return 0U;  // nothing was made
  }
  RTSUP_ASSIGN(const std::vector<std::string> folders, parse_made(*text));
  unsigned removed = 0;
  for (int attempt = 1;; ++attempt) {
    const Result<unsigned> swept = sys::sweep_cgroups(folders);
    if (swept) {
      return removed + *swept;
    }
    if (attempt == kSweepAttempts) {
      return swept.error();
    }
    std::this_thread::sleep_for(kSweepPause);
  }
}

// Everything but the lock, which is held.
Result<Leftovers> sweep_locked(const RunPaths& paths) {
  Leftovers leftovers;
  RTSUP_ASSIGN(const std::vector<std::string> names, sys::list_directory(paths.folder));
  leftovers.found = names.size() > 1;
  RTSUP_ASSIGN(leftovers.cgroups_removed, sweep_recorded(paths));
  for (const std::string& name : names) {
    if (name != "lock") {
      RTSUP_TRY(sys::remove_tree(paths.folder + "/" + name));
    }
  }
  return leftovers;
}

}  // namespace

std::string RunPaths::log(std::string_view function, uint32_t instance) const {
  return log_folder() + "/" + std::string(function) + "." + std::to_string(instance) + ".log";
}

RunPaths run_paths(const std::string& root, const std::string& name) {
  return {.folder = root + "/" + name};
}

Result<RunFolder> RunFolder::acquire(const std::string& root, const std::string& name,
                                     Leftovers& leftovers) {
  RTSUP_TRY(sys::make_directories(root, 0711));
  RunFolder folder;
  folder.paths_ = run_paths(root, name);
  RTSUP_ASSIGN(folder.lock_, lock_current(folder.paths_));
  RTSUP_ASSIGN(leftovers, sweep_locked(folder.paths_));
  RTSUP_ASSIGN(folder.made_, MadeRecord::create(folder.paths_.made()));
  RTSUP_TRY(sys::make_directories(folder.paths_.log_folder(), 0700));
  return folder;
}

Result<Leftovers> RunFolder::sweep(const std::string& root, const std::string& name) {
  const RunPaths paths = run_paths(root, name);
  RTSUP_TRY(sys::identify_path(paths.folder));
  RTSUP_ASSIGN(const sys::UniqueFd lock, lock_current(paths));
  RTSUP_ASSIGN(const Leftovers leftovers, sweep_locked(paths));
  RTSUP_TRY(sys::remove_tree(paths.folder));
  return leftovers;
}

Result<void> RunFolder::remove() { return sys::remove_tree(paths_.folder); }

std::vector<std::string> running_instances(const std::string& root) {
  std::vector<std::string> running;
  const Result<std::vector<std::string>> names = sys::list_directory(root);
  if (!names) {
    return running;
  }
  for (const std::string& name : *names) {
    if (is_valid_name(name) && sys::connect_unix(run_paths(root, name).control_socket())) {
      running.push_back(name);
    }
  }
  return running;
}

}  // namespace rtsup::supervisor
