// MemoryFiles: the files of a fuzz target that reads manifests: what it puts here, and the shipped
//              policies, read from the tree once.
// Owns:    their content.
// Threads: one.
#pragma once

#include <map>
#include <string>

#include "manifest/disk_file_system.h"
#include "tests/fuzz/require.h"

namespace rtsup::fuzz {

inline const std::string kPolicyFolder = RTSUP_SOURCE_DIR "/policies";

class MemoryFiles final : public manifest::FileSystem {
 public:
  MemoryFiles() {
    for (const std::string& name : disk_.list(kPolicyFolder)) {
      const std::string path = kPolicyFolder + "/" + name;
      files_[path] = *disk_.read(path, 1 << 20);
    }
    RTSUP_REQUIRE(files_.size() > 5, "no shipped policies to fuzz with");
  }
  void put(const std::string& path, std::string content) { files_[path] = std::move(content); }

  Result<std::string> read(const std::string& path, size_t bytes_max) const override {
    const auto found = files_.find(path);
    if (found == files_.end()) {
      return Error{.status = Status::kNotFound, .step = Step::kOpen};
    }
    if (found->second.size() > bytes_max) {
      return Error{.status = Status::kOutOfRange, .step = Step::kRead};
    }
    return found->second;
  }
  Kind kind(const std::string& path) const override {
    if (files_.contains(path)) {
      return Kind::kFile;
    }
    const auto after = files_.lower_bound(path + '/');
    return after != files_.end() && after->first.starts_with(path + '/') ? Kind::kFolder
                                                                         : Kind::kAbsent;
  }
  bool is_readable(const std::string& path) const override { return kind(path) != Kind::kAbsent; }
  std::string resolve(const std::string& path) const override {
    return kind(path) == Kind::kAbsent ? "" : path;
  }
  std::string absolute(const std::string& path) const override { return disk_.absolute(path); }
  std::vector<std::string> list(const std::string& folder) const override {
    return disk_.list(folder);
  }

 private:
  manifest::DiskFileSystem disk_;
  std::map<std::string, std::string> files_;
};

}  // namespace rtsup::fuzz
