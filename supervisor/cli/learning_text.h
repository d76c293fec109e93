// LearningText: the proposal for a function of a manifest, checked as `rtsup policy check` does.
// Owns:    the policies' documents, behind `now` and `proposed`.
// Errors:  nullptr -> the mistakes are on standard error.
// Threads: one.
#pragma once

#include <memory>
#include <string>

#include "manifest/disk_file_system.h"
#include "manifest/learn/proposal.h"
#include "manifest/tools/policy_book.h"

namespace rtsup::cli {

// The disk, with one file more.
class DiskAndText final : public manifest::FileSystem {
 public:
  void add(std::string path, std::string text) {
    path_ = std::move(path);
    text_ = std::move(text);
  }
  Result<std::string> read(const std::string& path, size_t bytes_max) const override {
    return path == path_ ? Result<std::string>(text_) : disk_.read(path, bytes_max);
  }
  Kind kind(const std::string& path) const override { return disk_.kind(path); }
  bool is_readable(const std::string& path) const override { return disk_.is_readable(path); }
  std::string resolve(const std::string& path) const override { return disk_.resolve(path); }
  std::string absolute(const std::string& path) const override { return disk_.absolute(path); }
  std::vector<std::string> list(const std::string& folder) const override {
    return disk_.list(folder);
  }

 private:
  manifest::DiskFileSystem disk_;
  std::string path_;
  std::string text_;
};

struct LearningText {
  explicit LearningText(const std::string& policy_folder)
      : book(disk, policy_folder), proposed_book(files, policy_folder) {}
  LearningText(const LearningText&) = delete;
  LearningText& operator=(const LearningText&) = delete;

  // Apart: the proposal may be for the very file that the function has its policy from.
  manifest::DiskFileSystem disk;
  manifest::PolicyBook book;
  DiskAndText files;
  manifest::PolicyBook proposed_book;
  manifest::FlatPolicy now;  // what the function has
  manifest::FlatPolicy proposed;
  manifest::Proposal proposal;
};

// `shown_as`: the name of the file that it goes to; may be empty.
std::unique_ptr<LearningText> make_learning_text(const manifest::Learned& learned,
                                                 const std::string& manifest_path,
                                                 const std::string& function,
                                                 const std::string& shown_as);

}  // namespace rtsup::cli
