// DiskFileSystem: the real one, over the standard library.
// Threads: any.
#pragma once

#include "manifest/file_system.h"

namespace rtsup::manifest {

class DiskFileSystem final : public FileSystem {
 public:
  Result<std::string> read(const std::string& path, size_t bytes_max) const override;
  Kind kind(const std::string& path) const override;
  bool is_readable(const std::string& path) const override;
  std::string resolve(const std::string& path) const override;
  std::string absolute(const std::string& path) const override;
  std::vector<std::string> list(const std::string& folder) const override;
};

}  // namespace rtsup::manifest
