// FileSystem: how the manifest's reader sees files, so that it stays a pure function of what is
// written.
// Units:   paths as given or absolute; `resolve` follows symbolic links.
// Errors:  read: kNotFound, kPermissionDenied, kOutOfRange (longer than bytes_max), kInternal for
//          the rest.
// Threads: one at a time.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "abi/base/result.h"

namespace rtsup::manifest {

class FileSystem {
 public:
  enum class Kind { kAbsent, kFile, kFolder, kOther };

  virtual ~FileSystem() = default;
  virtual Result<std::string> read(const std::string& path, size_t bytes_max) const = 0;
  // What stands there, links followed.
  virtual Kind kind(const std::string& path) const = 0;
  // Whether the present process may read it.
  virtual bool is_readable(const std::string& path) const = 0;
  // The absolute path without links, "." and ".."; empty when it does not exist.
  virtual std::string resolve(const std::string& path) const = 0;
  // The absolute path without "." and "..", links not followed; also of what does not exist.
  virtual std::string absolute(const std::string& path) const = 0;
  // Names of the files in a folder, sorted; empty when there are none.
  virtual std::vector<std::string> list(const std::string& folder) const = 0;
};

}  // namespace rtsup::manifest
