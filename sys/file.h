// Files and folders by path, bounded and without surprises: what is opened is close-on-exec, what
// is read has a maximum, what is replaced is replaced whole, and a tree is removed without ever
// following a symbolic link.
// Errors:  kNotFound, kAlreadyExists, kPermissionDenied as the kernel says; kResourceExhausted when
//          a file is larger than the bound or a tree has more entries than the bound; kUnavailable
//          when a lock is held by another process.
// Threads: any. They allocate: not for use between clone and exec.
#pragma once

#include <fcntl.h>
#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sys/fd.h"

namespace rtsup::sys {

// What tells one version of a file from another: in-place changes move the size or a time,
// replacement the inode.
struct FileIdentity {
  uint64_t device = 0;
  uint64_t inode = 0;
  uint64_t size = 0;
  int64_t modified_ns = 0;
  int64_t changed_ns = 0;
  uint32_t mode = 0;  // type and permission bits
  uint32_t uid = 0;
  friend bool operator==(const FileIdentity&, const FileIdentity&) = default;
};

// openat(2) with O_CLOEXEC. `directory` may be AT_FDCWD.
Result<UniqueFd> open_at(int directory, const std::string& path, int flags, mode_t mode = 0);
inline Result<UniqueFd> open_file(const std::string& path, int flags, mode_t mode = 0) {
  return open_at(AT_FDCWD, path, flags, mode);
}

Result<FileIdentity> identify(int fd);
Result<FileIdentity> identify_path(const std::string& path, bool follow = true);

// The whole file, when it has at most `bytes_max` bytes. Works for /proc and cgroup files, whose
// size is not known before.
Result<std::string> read_file_at(int directory, const std::string& path, size_t bytes_max);
inline Result<std::string> read_file(const std::string& path, size_t bytes_max = 64 * 1024) {
  return read_file_at(AT_FDCWD, path, bytes_max);
}
// Where a symbolic link points, /proc's included; empty when it can not be read.
std::string read_link(const std::string& path);
// One write(2) into a file that exists: for /proc, /sys and cgroup files, which take a value whole
// or not at all.
Result<void> write_value_at(int directory, const std::string& path, std::string_view value);
inline Result<void> write_value(const std::string& path, std::string_view value) {
  return write_value_at(AT_FDCWD, path, value);
}
// Replaces (or makes) a file so that after a crash it holds the old bytes or the new ones:
// temporary file, fsync, rename, fsync of the folder.
Result<void> replace_file(const std::string& path, std::string_view bytes, mode_t mode);

// mkdir -p: missing folders get exactly `mode`, whatever the umask; existing ones are left as they
// are.
Result<void> make_directories(const std::string& path, mode_t mode);
// Names in a folder, without "." and "..", in the kernel's order.
Result<std::vector<std::string>> list_directory(const std::string& path, size_t entries_max = 4096);
// lchown(2) for the folder and what lies directly in it, the folder itself last. Errors: kChown.
Result<void> give_folder(const std::string& folder, uint32_t uid, uint32_t gid);
// Removes a file or a whole tree. Absent = done. Never follows a link, never leaves the file system
// it starts on.
Result<void> remove_tree(const std::string& path, size_t entries_max = 100'000);

// Opens (making it when absent) and locks a file exclusively; the lock lasts as long as the
// descriptor. kUnavailable: another has it.
Result<UniqueFd> lock_file(const std::string& path, mode_t mode);

}  // namespace rtsup::sys
