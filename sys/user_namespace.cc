#include "sys/user_namespace.h"

#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <vector>

#include "abi/base/check.h"
#include "sys/clone.h"
#include "sys/file.h"
#include "sys/pidfd.h"
#include "sys/spawn.h"

namespace rtsup::sys {
namespace {

constexpr size_t kAccountsBytesMax =
    16 << 20;  // directories of large sites; more is refused rather than half read
constexpr const char* kUidHelper = "/usr/bin/newuidmap";
constexpr const char* kGidHelper = "/usr/bin/newgidmap";
constexpr uint64_t kIdEnd = 1ULL << 31;  // beyond it some programs take ids for negative numbers

std::optional<uint32_t> to_number(std::string_view text) noexcept {
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(value)
                                                                  : std::nullopt;
}

// Calls visit(fields) for each line of "a:b:c..." text; at most the first four fields are kept.
template <typename Visit>
void for_each_line(std::string_view text, Visit&& visit) {
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    std::array<std::string_view, 4> fields;
    for (std::string_view& field : fields) {
      field = line.substr(0, line.find(':'));
      line.remove_prefix(std::min(line.size(), field.size() + 1));
    }
    visit(fields);
  }
}

bool overlaps(const UidRange& range, uint64_t first, uint64_t count) noexcept {
  return first < uint64_t{range.first} + range.count && range.first < first + count;
}

// The file, or nothing when there is none.
Result<std::string> read_accounts(const std::string& path) {
  Result<std::string> text = read_file(path, kAccountsBytesMax);
  if (!text && text.error().status == Status::kNotFound) {
    return std::string();
  }
  return text;
}

// A process that sits in a new user namespace and waits, so that its maps can be written from
// outside.
class Holder {
 public:
  static Result<Holder> create() {
    RTSUP_ASSIGN(Pipe up, create_pipe());
    RTSUP_ASSIGN(Pipe down, create_pipe());
    const pid_t pid = ::fork();
    if (pid < 0) {
      return sys_error(Step::kClone);
    }
    if (pid == 0) {
      up.read.reset();
      down.write.reset();
      run(up.write.get(), down.read.get());
    }
    Holder holder;
    holder.pid_ = pid;
    holder.status_ = std::move(up.read);
    holder.go_ = std::move(down.write);
    RTSUP_ASSIGN(holder.process_, Pidfd::open(pid));
    up.write.reset();
    RTSUP_TRY(holder.await(Step::kUnshare));
    return holder;
  }
  Holder(Holder&&) noexcept = default;
  Holder& operator=(Holder&&) = delete;
  Holder(const Holder&) = delete;
  Holder& operator=(const Holder&) = delete;
  ~Holder() {
    if (process_) {
      static_cast<void>(process_.send_signal(SIGKILL));
      static_cast<void>(process_.wait());
    }
  }

  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  [[nodiscard]] std::string proc(const char* file) const {
    return "/proc/" + std::to_string(pid_) + "/" + file;
  }
  // The maps are there: the holder takes away what nobody inside shall have.
  Result<void> finish() {
    const std::byte go{1};
    RTSUP_TRY(write_all(go_.get(), std::span(&go, 1)));
    return await(Step::kUserNamespaceMap);
  }

 private:
  Holder() = default;
  // errno of the holder's step, 0 = done.
  Result<void> await(Step step) const {
    int error_number = 0;
    RTSUP_TRY(read_exact(status_.get(), std::as_writable_bytes(std::span(&error_number, 1))));
    return error_number == 0 ? Result<void>{} : Result<void>(sys_error_of(step, error_number));
  }

  // A forked child of a process with one thread: libc may be used, but it leaves by _exit.
  [[noreturn]] static void run(int status, int go) {
    const auto report = [status](int error_number) {
      return write_all(status, std::as_bytes(std::span(&error_number, 1))).has_value();
    };
    const bool entered = ::unshare(CLONE_NEWUSER) == 0;
    if (!report(entered ? 0 : errno) || !entered) {
      ::_exit(1);
    }
    std::byte byte{};
    if (!read_exact(go, std::span(&byte, 1))) {
      ::_exit(1);
    }
    const Result<void> limited = write_value("/proc/sys/user/max_user_namespaces", "0");
    report(limited ? 0 : limited.error().sys_errno);
    // Stays until it is killed: the namespace's descriptor is opened from outside.
    static_cast<void>(read_some(go, std::span(&byte, 1)));
    ::_exit(0);
  }

  pid_t pid_ = -1;
  Pidfd process_;
  UniqueFd status_;
  UniqueFd go_;
};

std::string map_line(uint64_t first, uint64_t count) {
  return "0 " + std::to_string(first) + " " + std::to_string(count) + "\n";
}

Error map_error(Error error) noexcept {
  error.step = Step::kUserNamespaceMap;
  return error;
}

Result<void> write_map(const Holder& holder, const char* file, const UidRange& range) {
  const Result<void> written = write_value(holder.proc(file), map_line(range.first, range.count));
  return written ? Result<void>{} : Result<void>(map_error(written.error()));
}

// newuidmap and newgidmap, which are setuid or carry a file capability. `own` becomes 0.
Result<void> run_helper(const char* program, const Holder& holder, uint32_t own,
                        const UidRange& range) {
  RTSUP_ASSIGN(const UniqueFd executable, open_file(program, O_PATH));
  RTSUP_ASSIGN(
      const Pidfd helper,
      spawn({.executable = executable.get(),
             .arguments = {program, std::to_string(holder.pid()), "0", std::to_string(own), "1",
                           "1", std::to_string(range.first), std::to_string(range.count)},
             .environment = {},
             .inherited = {}}));
  RTSUP_ASSIGN(const ExitStatus status, helper.wait());
  if (!status.success()) {
    return Error{.status = Status::kPermissionDenied,
                 .step = Step::kUserNamespaceMap,
                 .number = status.code};
  }
  return {};
}

struct Delegation {
  UidRange uids;
  UidRange gids;
};

std::optional<Delegation> own_delegation(uint32_t count_max) {
  const Result<std::string> subuid = read_accounts("/etc/subuid");
  const Result<std::string> subgid = read_accounts("/etc/subgid");
  if (!subuid || !subgid || ::access(kUidHelper, X_OK) < 0 || ::access(kGidHelper, X_OK) < 0) {
    return std::nullopt;
  }
  const passwd* const entry = ::getpwuid(::geteuid());  // NOLINT(concurrency-mt-unsafe): one thread
  const std::string user = entry != nullptr ? entry->pw_name : "";
  std::optional<UidRange> uids = delegated_range(*subuid, user, ::geteuid());
  std::optional<UidRange> gids = delegated_range(*subgid, user, ::geteuid());
  if (!uids || !gids) {
    return std::nullopt;
  }
  const uint32_t count = std::min({uids->count, gids->count, count_max - 1});  // 0 is the user
  uids->count = count;
  gids->count = count;
  return Delegation{.uids = *uids, .gids = *gids};
}

Result<UidRange> choose_free(const UidRange& wanted, const char* accounts,
                             const char* delegations) {
  RTSUP_ASSIGN(const std::string used, read_accounts(accounts));
  RTSUP_ASSIGN(const std::string given, read_accounts(delegations));
  return choose_range(wanted, used, given);
}

}  // namespace

bool is_range_free(const UidRange& range, std::string_view accounts, std::string_view delegations) {
  bool free = true;
  for_each_line(accounts, [&](const auto& fields) {  // name:x:id:...
    if (const auto id = to_number(fields[2]); id && overlaps(range, *id, 1)) {
      free = false;
    }
  });
  for_each_line(delegations, [&](const auto& fields) {  // name:first:count
    const auto first = to_number(fields[1]);
    const auto count = to_number(fields[2]);
    if (first && count && overlaps(range, *first, *count)) {
      free = false;
    }
  });
  return free;
}

Result<UidRange> choose_range(const UidRange& wanted, std::string_view accounts,
                              std::string_view delegations) {
  for (uint64_t first = wanted.first; wanted.count != 0 && first + wanted.count <= kIdEnd;
       first += wanted.count) {
    const UidRange range{.first = static_cast<uint32_t>(first), .count = wanted.count};
    if (is_range_free(range, accounts, delegations)) {
      return range;
    }
  }
  return Error{.status = Status::kFailedPrecondition,
               .step = Step::kUserNamespaceMap,
               .number = wanted.first};
}

std::optional<UidRange> delegated_range(std::string_view delegations, std::string_view user,
                                        uint32_t uid) {
  std::optional<UidRange> best;
  for_each_line(delegations, [&](const auto& fields) {
    const bool is_own = (!user.empty() && fields[0] == user) || to_number(fields[0]) == uid;
    const auto first = to_number(fields[1]);
    const auto count = to_number(fields[2]);
    if (is_own && first && count && *count > 0 && uint64_t{*first} + *count <= UINT32_MAX &&
        (!best || *count > best->count)) {
      best = UidRange{.first = *first, .count = *count};
    }
  });
  return best;
}

Result<UserNamespace> UserNamespace::create(const UidRange& wanted) {
  UserNamespace result;
  std::optional<Delegation> delegation;
  if (::geteuid() == 0) {
    result.mapping_ = IdMapping::kDirect;
    RTSUP_ASSIGN(result.uids_, choose_free(wanted, "/etc/passwd", "/etc/subuid"));
    RTSUP_ASSIGN(result.gids_, choose_free(wanted, "/etc/group", "/etc/subgid"));
  } else if ((delegation = own_delegation(wanted.count))) {
    result.mapping_ = IdMapping::kHelper;
    result.uids_ = delegation->uids;
    result.gids_ = delegation->gids;
  } else {
    result.uids_ = {.first = ::geteuid(), .count = 1};
    result.gids_ = {.first = ::getegid(), .count = 1};
  }
  RTSUP_ASSIGN(Holder holder, Holder::create());
  if (result.mapping_ == IdMapping::kHelper) {
    RTSUP_TRY(run_helper(kUidHelper, holder, ::geteuid(), result.uids_));
    RTSUP_TRY(run_helper(kGidHelper, holder, ::getegid(), result.gids_));
  } else {
    if (result.mapping_ == IdMapping::kSingle) {
      // Without it the kernel refuses a gid map from who holds no privilege over the parent
      // namespace.
      RTSUP_TRY(write_value(holder.proc("setgroups"), "deny"));
    }
    RTSUP_TRY(write_map(holder, "uid_map", result.uids_));
    RTSUP_TRY(write_map(holder, "gid_map", result.gids_));
  }
  RTSUP_TRY(holder.finish());
  RTSUP_ASSIGN(result.fd_, open_file(holder.proc("ns/user"), O_RDONLY));
  return result;
}

uint32_t UserNamespace::count() const noexcept {
  return mapping_ == IdMapping::kHelper ? uids_.count + 1 : uids_.count;
}

uint32_t UserNamespace::host_uid(uint32_t inside) const noexcept {
  RTSUP_CHECK(inside < count());
  if (mapping_ != IdMapping::kHelper) {
    return uids_.first + inside;
  }
  return inside == 0 ? ::geteuid() : uids_.first + inside - 1;
}

uint32_t UserNamespace::host_gid(uint32_t inside) const noexcept {
  RTSUP_CHECK(inside < count());
  if (mapping_ != IdMapping::kHelper) {
    return gids_.first + inside;
  }
  return inside == 0 ? ::getegid() : gids_.first + inside - 1;
}

Result<void> UserNamespace::give_folder(const std::string& folder, uint32_t inside) const {
  switch (mapping_) {
    case IdMapping::kSingle:
      return {};
    case IdMapping::kDirect:
      return sys::give_folder(folder, host_uid(inside), host_gid(inside));
    case IdMapping::kHelper:
      break;
  }
  // Only inside is the user privileged over the ids that it was lent.
  const pid_t pid = ::fork();
  if (pid < 0) {
    return sys_error(Step::kClone);
  }
  if (pid == 0) {
    const Result<void> entered = enter_namespace(fd_.get(), CLONE_NEWUSER);
    const Result<void> given = entered ? sys::give_folder(folder, inside, inside) : entered;
    ::_exit(given ? 0 : given.error().sys_errno != 0 ? given.error().sys_errno : EIO);
  }
  RTSUP_ASSIGN(const Pidfd child, Pidfd::open(pid));
  RTSUP_ASSIGN(const ExitStatus status, child.wait());
  return status.success() ? Result<void>{} : Result<void>(sys_error_of(Step::kChown, status.code));
}

}  // namespace rtsup::sys
