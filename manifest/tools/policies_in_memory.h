// PoliciesInMemory: what the tests of the tools share: policies written in the test, on top of the
// shipped ones.
// Owns:    the files and the book.
// Threads: one.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "manifest/disk_file_system.h"
#include "manifest/tools/policy_book.h"

namespace rtsup::manifest {

class PoliciesInMemory : public ::testing::Test, public FileSystem {
 public:
  Result<std::string> read(const std::string& path, size_t bytes_max) const override {
    const auto found = files_.find(path);
    return found == files_.end() ? disk_.read(path, bytes_max) : Result<std::string>(found->second);
  }
  // Every path that begins with /w is a folder.
  Kind kind(const std::string& path) const override {
    return path.starts_with("/w") ? Kind::kFolder : disk_.kind(path);
  }
  bool is_readable(const std::string& /*path*/) const override { return true; }
  std::string resolve(const std::string& path) const override { return path; }
  std::string absolute(const std::string& path) const override { return disk_.absolute(path); }
  std::vector<std::string> list(const std::string& folder) const override {
    return disk_.list(folder);
  }

 protected:
  void write(const std::string& path, const std::string& text) { files_[path] = text; }
  // The policy that must be without mistakes.
  FlatPolicy open(const std::string& reference) {
    auto policy = book_.open(reference);
    for (const Mistake& mistake : book_.mistakes().take()) {
      ADD_FAILURE() << to_line(mistake);
    }
    return policy.value_or(FlatPolicy{});
  }
  FlatPolicy policy(const std::string& text) {
    const std::string path = "/w/p" + std::to_string(++written_) + ".json";
    write(path, text);
    return open(path);
  }
  std::vector<std::string> mistakes() {
    std::vector<std::string> lines;
    for (const Mistake& mistake : book_.mistakes().take()) {
      lines.push_back(to_line(mistake));
    }
    return lines;
  }

  DiskFileSystem disk_;
  std::map<std::string, std::string> files_;
  PolicyBook book_{*this, RTSUP_SOURCE_DIR "/policies"};
  int written_ = 0;
};

}  // namespace rtsup::manifest
