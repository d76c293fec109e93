#include "sys/file.h"

#include <dirent.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

namespace rtsup::sys {
namespace {

constexpr int kTreeDepthMax =
    64;  // deeper than anything the base makes; bounds the open descriptors of a removal

struct CloseDirectory {
  void operator()(DIR* directory) const noexcept { ::closedir(directory); }
};
using Directory = std::unique_ptr<DIR, CloseDirectory>;

int64_t to_ns(const timespec& time) noexcept { return time.tv_sec * 1'000'000'000 + time.tv_nsec; }

FileIdentity identity_of(const struct stat& info) noexcept {
  return {.device = info.st_dev,
          .inode = info.st_ino,
          .size = static_cast<uint64_t>(info.st_size),
          .modified_ns = to_ns(info.st_mtim),
          .changed_ns = to_ns(info.st_ctim),
          .mode = info.st_mode,
          .uid = info.st_uid};
}

std::string parent_of(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) {
    return ".";
  }
  return slash == 0 ? "/" : path.substr(0, slash);
}

bool is_dot(const char* name) noexcept {
  return std::strcmp(name, ".") == 0 || std::strcmp(name, "..") == 0;
}

Result<Directory> open_directory(UniqueFd fd) {
  Directory directory(::fdopendir(fd.get()));
  if (!directory) {
    return sys_error(Step::kOpen);
  }
  static_cast<void>(fd.release());  // the DIR owns it now
  return directory;
}

// One level of remove_tree: what it needs to stay bounded.
struct Removal {
  uint64_t device;
  size_t entries_left;
};

Result<void> remove_entries(UniqueFd fd, Removal& removal,
                            int depth);  // NOLINT(misc-no-recursion): bounded

Result<void> remove_entry(int parent, const char* name, Removal& removal,
                          int depth) {  // NOLINT(misc-no-recursion): bounded depth
  if (removal.entries_left-- == 0 || depth > kTreeDepthMax) {
    removal.entries_left = 0;
    return Error{.status = Status::kResourceExhausted, .step = Step::kUnlink, .number = depth};
  }
  struct stat info {};
  if (::fstatat(parent, name, &info, AT_SYMLINK_NOFOLLOW) < 0) {
    return errno == ENOENT ? Result<void>{} : Result<void>(sys_error(Step::kStat));
  }
  if (!S_ISDIR(info.st_mode)) {
    return ::unlinkat(parent, name, 0) == 0 || errno == ENOENT
               ? Result<void>{}
               : Result<void>(sys_error(Step::kUnlink));
  }
  if (info.st_dev != removal.device) {
    return sys_error_of(Step::kUnlink, EXDEV);
  }
  RTSUP_ASSIGN(UniqueFd fd, open_at(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  RTSUP_TRY(remove_entries(std::move(fd), removal, depth + 1));
  return ::unlinkat(parent, name, AT_REMOVEDIR) == 0 ? Result<void>{}
                                                     : Result<void>(sys_error(Step::kUnlink));
}

Result<void> remove_entries(UniqueFd fd, Removal& removal,
                            int depth) {  // NOLINT(misc-no-recursion): bounded depth
  RTSUP_ASSIGN(const Directory directory, open_directory(std::move(fd)));
  errno = 0;
  while (const dirent* entry =
             ::readdir(directory.get())) {  // NOLINT(concurrency-mt-unsafe): own DIR
    if (!is_dot(entry->d_name)) {
      RTSUP_TRY(remove_entry(::dirfd(directory.get()), entry->d_name, removal, depth));
    }
    errno = 0;
  }
  return errno == 0 ? Result<void>{} : Result<void>(sys_error(Step::kRead));
}

}  // namespace

Result<UniqueFd> open_at(int directory, const std::string& path, int flags, mode_t mode) {
  int fd = -1;
  do {
    fd = ::openat(directory, path.c_str(), flags | O_CLOEXEC, mode);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) {
    return sys_error(Step::kOpen);
  }
  return UniqueFd(fd);
}

Result<FileIdentity> identify(int fd) {
  struct stat info {};
  if (::fstat(fd, &info) < 0) {
    return sys_error(Step::kStat, fd);
  }
  return identity_of(info);
}

std::string read_link(const std::string& path) {
  std::array<char, PATH_MAX> text{};
  const ssize_t length = ::readlink(path.c_str(), text.data(), text.size());
  return {text.data(), length > 0 ? static_cast<size_t>(length) : 0};
}

Result<FileIdentity> identify_path(const std::string& path, bool follow) {
  struct stat info {};
  if (::fstatat(AT_FDCWD, path.c_str(), &info, follow ? 0 : AT_SYMLINK_NOFOLLOW) < 0) {
    return sys_error(Step::kStat);
  }
  return identity_of(info);
}

Result<std::string> read_file_at(int directory, const std::string& path, size_t bytes_max) {
  RTSUP_ASSIGN(const UniqueFd fd, open_at(directory, path, O_RDONLY));
  std::string text;
  size_t used = 0;
  while (true) {
    // One byte more than allowed, so that a file of exactly bytes_max is told from a longer one.
    text.resize(std::min(bytes_max + 1, used + 4096));
    if (used == text.size()) {
      return Error{.status = Status::kResourceExhausted,
                   .step = Step::kRead,
                   .number = static_cast<int64_t>(bytes_max)};
    }
    RTSUP_ASSIGN(const size_t count,
                 read_some(fd.get(), std::as_writable_bytes(std::span(text).subspan(used))));
    if (count == 0) {
      text.resize(used);
      return text;
    }
    used += count;
  }
}

Result<void> write_value_at(int directory, const std::string& path, std::string_view value) {
  RTSUP_ASSIGN(const UniqueFd fd, open_at(directory, path, O_WRONLY));
  RTSUP_ASSIGN(const size_t count, write_some(fd.get(), std::as_bytes(std::span(value))));
  if (count != value.size()) {
    return Error{
        .status = Status::kDataLoss, .step = Step::kWrite, .number = static_cast<int64_t>(count)};
  }
  return {};
}

Result<void> replace_file(const std::string& path, std::string_view bytes, mode_t mode) {
  const std::string temporary = path + ".new";
  // One writer per file is the caller's rule (the run folder's lock), so a left-over is from a
  // crash and may be overwritten.
  if (::unlink(temporary.c_str()) < 0 && errno != ENOENT) {
    return sys_error(Step::kUnlink);
  }
  RTSUP_ASSIGN(UniqueFd fd, open_file(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode));
  Result<void> written = write_all(fd.get(), std::as_bytes(std::span(bytes)));
  if (written && (::fchmod(fd.get(), mode) < 0 || ::fsync(fd.get()) < 0)) {
    written = sys_error(Step::kWrite);
  }
  if (written && ::rename(temporary.c_str(), path.c_str()) < 0) {
    written = sys_error(Step::kRename);
  }
  if (!written) {
    ::unlink(temporary.c_str());
    return written;
  }
  RTSUP_ASSIGN(const UniqueFd folder, open_file(parent_of(path), O_RDONLY | O_DIRECTORY));
  if (::fsync(folder.get()) < 0) {
    return sys_error(Step::kWrite);
  }
  return {};
}

Result<void> make_directories(const std::string& path, mode_t mode) {
  for (size_t end = path.find('/', 1); true; end = path.find('/', end + 1)) {
    const std::string part = path.substr(0, end);
    if (::mkdir(part.c_str(), mode) == 0) {
      if (::chmod(part.c_str(), mode) < 0) {  // the umask may have taken bits away
        return sys_error(Step::kMkdir);
      }
    } else if (errno != EEXIST) {
      return sys_error(Step::kMkdir);
    }
    if (end == std::string::npos) {
      break;
    }
  }
  RTSUP_ASSIGN(const FileIdentity identity, identify_path(path));
  if (!S_ISDIR(identity.mode)) {
    return sys_error_of(Step::kMkdir, ENOTDIR);
  }
  return {};
}

Result<std::vector<std::string>> list_directory(const std::string& path, size_t entries_max) {
  RTSUP_ASSIGN(UniqueFd fd, open_file(path, O_RDONLY | O_DIRECTORY));
  RTSUP_ASSIGN(const Directory directory, open_directory(std::move(fd)));
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry =
             ::readdir(directory.get())) {  // NOLINT(concurrency-mt-unsafe): own DIR
    if (is_dot(entry->d_name)) {
      continue;
    }
    if (names.size() == entries_max) {
      return Error{.status = Status::kResourceExhausted,
                   .step = Step::kRead,
                   .number = static_cast<int64_t>(entries_max)};
    }
    names.emplace_back(entry->d_name);
    errno = 0;
  }
  if (errno != 0) {
    return sys_error(Step::kRead);
  }
  return names;
}

Result<void> remove_tree(const std::string& path, size_t entries_max) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) < 0) {
    return errno == ENOENT ? Result<void>{} : Result<void>(sys_error(Step::kStat));
  }
  Removal removal{.device = info.st_dev, .entries_left = entries_max};
  return remove_entry(AT_FDCWD, path.c_str(), removal, 0);
}

Result<UniqueFd> lock_file(const std::string& path, mode_t mode) {
  RTSUP_ASSIGN(UniqueFd fd, open_file(path, O_RDWR | O_CREAT | O_NOFOLLOW, mode));
  int locked = -1;
  do {
    locked = ::flock(fd.get(), LOCK_EX | LOCK_NB);
  } while (locked < 0 && errno == EINTR);
  if (locked < 0) {
    return sys_error(Step::kLock);
  }
  return fd;
}

Result<void> give_folder(const std::string& folder, uint32_t uid, uint32_t gid) {
  RTSUP_ASSIGN(std::vector<std::string> names, list_directory(folder));
  for (std::string& name : names) {
    name.insert(0, folder + "/");
  }
  names.push_back(folder);
  for (const std::string& name : names) {
    if (::lchown(name.c_str(), uid, gid) < 0) {
      return sys_error(Step::kChown);
    }
  }
  return {};
}

}  // namespace rtsup::sys
