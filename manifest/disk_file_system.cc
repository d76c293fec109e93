#include "manifest/disk_file_system.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <system_error>

namespace rtsup::manifest {

namespace fs = std::filesystem;

Result<std::string> DiskFileSystem::read(const std::string& path, size_t bytes_max) const {
  // A FIFO would block the supervisor for ever, and a device has no end.
  switch (kind(path)) {
    case Kind::kFile:
      break;
    case Kind::kAbsent:
      return Error{.status = Status::kNotFound, .step = Step::kOpen};
    default:
      return Error{.status = Status::kFailedPrecondition, .step = Step::kOpen};
  }
  std::ifstream stream(path, std::ios::binary);
  if (!stream) {
    return Error{.status = Status::kPermissionDenied, .step = Step::kOpen};
  }
  std::string text(bytes_max + 1, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (stream.bad()) {
    return Error{.status = Status::kInternal, .step = Step::kRead};
  }
  text.resize(static_cast<size_t>(stream.gcount()));
  if (text.size() > bytes_max) {
    return Error{.status = Status::kOutOfRange,
                 .step = Step::kRead,
                 .number = static_cast<int64_t>(bytes_max)};
  }
  return text;
}

FileSystem::Kind DiskFileSystem::kind(const std::string& path) const {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) {
    return Kind::kAbsent;
  }
  if (fs::is_regular_file(status)) {
    return Kind::kFile;
  }
  return fs::is_directory(status) ? Kind::kFolder : Kind::kOther;
}

bool DiskFileSystem::is_readable(const std::string& path) const {
  if (kind(path) == Kind::kFolder) {
    std::error_code error;
    const fs::directory_iterator folder(path, error);
    return !error;
  }
  return kind(path) == Kind::kFile && std::ifstream(path, std::ios::binary).good();
}

std::string DiskFileSystem::resolve(const std::string& path) const {
  std::error_code error;
  const fs::path resolved = fs::canonical(path, error);
  return error ? std::string() : resolved.string();
}

std::string DiskFileSystem::absolute(const std::string& path) const {
  std::error_code error;
  const fs::path whole = fs::absolute(path, error);
  std::string text = error ? path : whole.lexically_normal().string();
  while (text.size() > 1 && text.back() == '/') {
    text.pop_back();
  }
  return text;
}

std::vector<std::string> DiskFileSystem::list(const std::string& folder) const {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator at(folder, error); !error && at != fs::directory_iterator();
       at.increment(error)) {
    names.push_back(at->path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace rtsup::manifest
