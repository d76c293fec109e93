// What the commands of `rtsup policy` share: policies opened with their mistakes printed.
// Threads: one.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "manifest/disk_file_system.h"
#include "manifest/tools/policy_book.h"

namespace rtsup::cli {

// The disk, and a book of policies on it.
struct PolicyFiles {
  explicit PolicyFiles(const std::string& policy_folder) : book(disk, policy_folder) {}
  PolicyFiles(const PolicyFiles&) = delete;
  PolicyFiles& operator=(const PolicyFiles&) = delete;

  manifest::DiskFileSystem disk;
  manifest::PolicyBook book;
};

// nullptr when this installation is not whole, which is on standard error then.
std::unique_ptr<PolicyFiles> open_policy_files();
// Nothing when there are mistakes, which are on standard error then.
std::optional<manifest::FlatPolicy> open_policy(PolicyFiles& files, const std::string& reference);
// The book's mistakes to standard error; whether there were any.
bool print_mistakes(PolicyFiles& files);
// To standard output, each line escaped: what a policy says is not to be trusted.
void print_lines(const std::string& text);

}  // namespace rtsup::cli
