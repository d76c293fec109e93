// RunFolder: the folder of one running instance, held by a lock for as long as its supervisor
// lives.
// Owns:    the lock and the folder; remove() takes the folder away, a crash leaves it to the next
//          acquire() or to `rtsup stop`, which sweep what was recorded in it.
// Errors:  kUnavailable: another process holds it (it runs already).
// Threads: one at a time.
#pragma once

#include <string>
#include <vector>

#include "supervisor/run/made_record.h"
#include "sys/fd.h"

namespace rtsup::supervisor {

// Names within a run folder. Formats: docs/formats/run-folder.md.
struct RunPaths {
  std::string folder;
  [[nodiscard]] std::string lock() const { return folder + "/lock"; }
  [[nodiscard]] std::string made() const { return folder + "/made"; }
  [[nodiscard]] std::string control_socket() const { return folder + "/control.sock"; }
  [[nodiscard]] std::string own_log() const { return folder + "/rtsup.log"; }
  [[nodiscard]] std::string log_folder() const { return folder + "/logs"; }
  [[nodiscard]] std::string log(std::string_view function, uint32_t instance) const;
};
RunPaths run_paths(const std::string& root, const std::string& name);

struct Leftovers {
  bool found = false;
  unsigned cgroups_removed = 0;
};

class RunFolder {
 public:
  RunFolder() noexcept = default;
  // Makes and locks the folder. What an earlier supervisor left in it is swept first: `leftovers`
  // says so.
  static Result<RunFolder> acquire(const std::string& root, const std::string& name,
                                   Leftovers& leftovers);
  // Only sweeps: for `rtsup stop` after a crash. kUnavailable when it runs, kNotFound when there is
  // nothing.
  static Result<Leftovers> sweep(const std::string& root, const std::string& name);

  [[nodiscard]] const RunPaths& paths() const noexcept { return paths_; }
  [[nodiscard]] MadeRecord& made() noexcept { return made_; }
  // The last thing a supervisor does. The lock goes with the object, after the folder.
  Result<void> remove();

 private:
  RunPaths paths_;
  sys::UniqueFd lock_;
  MadeRecord made_;
};

// Names of the instances of `root` that answer on their control socket.
std::vector<std::string> running_instances(const std::string& root);

}  // namespace rtsup::supervisor
