// MadeRecord: what a run has made outside of its run folder, written down before it is made, so
// that whoever comes after a supervisor that was killed can take it away. Format:
// docs/formats/run-folder.md.
// Owns:    the open file.
// Errors:  kOutOfRange, kInvalidArgument for a file that is none of ours.
// Threads: one at a time.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "sys/fd.h"

namespace rtsup::supervisor {

class MadeRecord {
 public:
  MadeRecord() noexcept = default;
  static Result<MadeRecord> create(const std::string& path);
  // Before the cgroup folder is made.
  Result<void> add_cgroup(std::string_view folder);

 private:
  sys::UniqueFd fd_;
};

// The cgroup folders of a record. A last line without an end was never acted on and is left out.
Result<std::vector<std::string>> parse_made(std::string_view text);

}  // namespace rtsup::supervisor
