#include "supervisor/run/made_record.h"

#include <span>

#include "sys/file.h"

namespace rtsup::supervisor {
namespace {

constexpr std::string_view kHeading = "rtsup-made 1";
constexpr std::string_view kCgroup = "cgroup ";

Result<void> write_line(int fd, std::string_view kind, std::string_view rest) {
  std::string line(kind);
  line += rest;
  line += '\n';
  return sys::write_all(fd, std::as_bytes(std::span(line)));
}

}  // namespace

Result<MadeRecord> MadeRecord::create(const std::string& path) {
  MadeRecord record;
  RTSUP_ASSIGN(record.fd_, sys::open_file(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND, 0600));
  RTSUP_TRY(write_line(record.fd_.get(), kHeading, ""));
  return record;
}

// No fsync: what a crash of the whole machine leaves of cgroups is nothing.
Result<void> MadeRecord::add_cgroup(std::string_view folder) {
  if (folder.find('\n') != std::string_view::npos) {
    return Error{.status = Status::kInvalidArgument, .step = Step::kRunFolder};
  }
  return write_line(fd_.get(), kCgroup, folder);
}

Result<std::vector<std::string>> parse_made(std::string_view text) {
  std::vector<std::string> cgroups;
  bool first = true;
  for (size_t end = text.find('\n'); end != std::string_view::npos; end = text.find('\n')) {
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 1);
    if (first ? line != kHeading : !line.starts_with(kCgroup)) {
      return Error{.status = Status::kInvalidArgument, .step = Step::kRunFolder};
    }
    if (!first) {
      cgroups.emplace_back(line.substr(kCgroup.size()));
    }
    first = false;
  }
  return cgroups;
}

}  // namespace rtsup::supervisor
