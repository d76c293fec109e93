#include "sys/cgroup.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <optional>

#include "sys/clock.h"
#include "sys/file.h"
#include "sys/pidfd.h"

namespace rtsup::sys {
namespace {

constexpr uint64_t kPeriodUs = 100'000;        // the kernel's default
constexpr uint64_t kLongPeriodUs = 1'000'000;  // its maximum: for quotas below its minimum of 1 ms
constexpr uint64_t kQuotaUsMin = 1000;
constexpr uint64_t kWeightDefault = 100;   // v2
constexpr uint64_t kSharesDefault = 1024;  // v1
constexpr uint64_t kSharesMin = 2;
constexpr int kKillRoundsMax =
    16;  // a round ends every process that it sees, frozen: two are enough
constexpr int64_t kFreezeNsMax = 100'000'000;  // a task in an uninterruptible wait freezes late
constexpr size_t kPidsBytesMax = 1 << 20;

Error read_error(Error error) noexcept {
  error.step = Step::kCgroupRead;
  return error;
}

std::optional<uint64_t> to_number(std::string_view text) noexcept {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end != text.data() ? std::optional(value) : std::nullopt;
}

// A file of one number; "max" is 2^64-1.
Result<uint64_t> read_number(const std::string& path) {
  Result<std::string> text = read_file(path, 4096);
  if (!text) {
    return read_error(text.error());
  }
  if (text->starts_with("max")) {
    return UINT64_MAX;
  }
  const std::optional<uint64_t> value = to_number(*text);
  if (!value) {
    return Error{.status = Status::kDataLoss, .step = Step::kCgroupRead};
  }
  return *value;
}

// The figure of `key` in a file of "key value" lines; 0 when it has none, as older kernels lack
// some.
uint64_t number_of(std::string_view text, std::string_view key) noexcept {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (line.size() > key.size() && line.starts_with(key) && line[key.size()] == ' ') {
      return to_number(line.substr(key.size() + 1)).value_or(0);
    }
  }
  return 0;
}

Result<uint64_t> read_keyed(const std::string& path, std::string_view key) {
  const Result<std::string> text = read_file(path, 64 * 1024);
  if (!text) {
    return read_error(text.error());
  }
  return number_of(*text, key);
}

Result<void> write_limit(const std::string& path, std::string_view value) {
  Result<void> written = write_value(path, value);
  if (!written) {
    Error error = written.error();
    error.step = Step::kCgroupLimit;
    return error;
  }
  return {};
}

struct Quota {
  uint64_t quota_us;
  uint64_t period_us;
};
Quota quota_of(uint32_t thousandths) noexcept {
  const uint64_t quota_us = thousandths * kPeriodUs / 1000;
  return quota_us >= kQuotaUsMin
             ? Quota{.quota_us = quota_us, .period_us = kPeriodUs}
             : Quota{.quota_us = thousandths * kLongPeriodUs / 1000, .period_us = kLongPeriodUs};
}

std::string number_or(uint64_t value, const char* unlimited) {
  return value != 0 ? std::to_string(value) : unlimited;
}

Result<void> freeze(const std::string& state_file) {
  RTSUP_TRY(write_value(state_file, "FROZEN"));
  for (const int64_t end = monotonic_ns() + kFreezeNsMax; monotonic_ns() < end;) {
    RTSUP_ASSIGN(const std::string state, read_file(state_file, 64));
    if (state.starts_with("FROZEN")) {
      break;
    }
    ::usleep(500);
  }
  return {};
}

// Signals every process that the file lists; how many there were.
Result<size_t> kill_listed(const std::string& procs_file) {
  RTSUP_ASSIGN(const std::string text, read_file(procs_file, kPidsBytesMax));
  size_t count = 0;
  for (std::string_view rest = text; !rest.empty(); ++count) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    // By number, and safely: what is frozen can not end, so its number can not become another's.
    if (const std::optional<uint64_t> pid = to_number(line); pid && *pid > 1) {
      ::kill(static_cast<pid_t>(*pid), SIGKILL);
    }
  }
  return count;
}

}  // namespace

std::vector<int> Cgroup::join_fds() const {
  std::vector<int> fds;
  for (const UniqueFd& join : joins_) {
    fds.push_back(join.get());
  }
  return fds;
}

bool Cgroup::has(std::string_view controller) const {
  return std::any_of(places_.begin(), places_.end(),
                     [&](const Place& place) { return place.where.controller == controller; });
}

std::string Cgroup::file(std::string_view controller, std::string_view name) const {
  for (const Place& place : places_) {
    if (place.where.controller == controller) {
      return place.folder() + "/" + std::string(name);
    }
  }
  return {};
}

std::string Cgroup::shown_path() const {
  for (const Place& place : places_) {
    if (place.where.controller == "memory" || places_.size() == 1) {
      return place.path;
    }
  }
  return places_.empty() ? std::string() : places_.front().path;
}

std::vector<std::pair<std::string, std::string>> Cgroup::expected_paths() const {
  std::vector<std::pair<std::string, std::string>> paths;
  for (const Place& place : places_) {
    paths.emplace_back(place.where.controller, place.path);
  }
  return paths;
}

Result<void> Cgroup::finish(const CgroupLimits& limits) {
  CgroupFolders real;
  CgroupFolders& folders = folders_ != nullptr ? *folders_ : real;
  std::vector<std::string> made;
  for (const Place& place : places_) {
    const std::string folder = place.folder();
    if (place.where.controller.empty()) {
      RTSUP_ASSIGN(events_, open_file(folder + "/cgroup.events", O_RDONLY));
    } else if (std::find(made.begin(), made.end(), folder) == made.end()) {
      RTSUP_TRY(folders.make_leaf(place.where, place.path));
      RTSUP_ASSIGN(UniqueFd join, open_file(folder + "/tasks", O_WRONLY));
      joins_.push_back(std::move(join));
      made.push_back(folder);  // cpu and cpuacct may be one mount
    }
  }
  return write_limits(limits, false);
}

Result<void> Cgroup::set_limits(const CgroupLimits& limits) const {
  return write_limits(limits, true);
}

Result<void> Cgroup::write_limits(const CgroupLimits& limits, bool also_unlimited) const {
  return abilities_.layout == CgroupLayout::kV2 ? write_limits_v2(limits, also_unlimited)
                                                : write_limits_v1(limits, also_unlimited);
}

Result<void> Cgroup::write_limits_v1(const CgroupLimits& limits, bool also_unlimited) const {
  if (abilities_.memory && (limits.memory_bytes != 0 || also_unlimited)) {
    const std::string bytes = number_or(limits.memory_bytes, "-1");
    const Result<void> memory = write_limit(file("memory", "memory.limit_in_bytes"), bytes);
    // Memory alone may not exceed memory and swap together: raising both starts with the other one.
    if (!memory && (!abilities_.swap || memory.error().sys_errno != EINVAL)) {
      return memory;
    }
    if (abilities_.swap) {
      RTSUP_TRY(write_limit(file("memory", "memory.memsw.limit_in_bytes"), bytes));
    }
    if (!memory) {
      RTSUP_TRY(write_limit(file("memory", "memory.limit_in_bytes"), bytes));
    }
  }
  if (abilities_.cpu && (limits.cpu_thousandths != 0 || also_unlimited)) {
    const Quota quota = quota_of(limits.cpu_thousandths);
    if (quota.period_us != kPeriodUs || also_unlimited) {
      RTSUP_TRY(write_limit(file("cpu", "cpu.cfs_period_us"), std::to_string(quota.period_us)));
    }
    RTSUP_TRY(write_limit(file("cpu", "cpu.cfs_quota_us"), number_or(quota.quota_us, "-1")));
  }
  if (abilities_.cpu && (limits.cpu_weight != 0 || also_unlimited)) {
    const uint64_t weight = limits.cpu_weight != 0 ? limits.cpu_weight : kWeightDefault;
    const uint64_t shares = std::max(kSharesMin, weight * kSharesDefault / kWeightDefault);
    RTSUP_TRY(write_limit(file("cpu", "cpu.shares"), std::to_string(shares)));
  }
  if (abilities_.processes && (limits.processes != 0 || also_unlimited)) {
    RTSUP_TRY(write_limit(file("pids", "pids.max"), number_or(limits.processes, "max")));
  }
  return {};
}

Result<void> Cgroup::write_limits_v2(const CgroupLimits& limits, bool also_unlimited) const {
  if (abilities_.memory && (limits.memory_bytes != 0 || also_unlimited)) {
    RTSUP_TRY(write_limit(file("", "memory.max"), number_or(limits.memory_bytes, "max")));
    if (abilities_.swap) {
      RTSUP_TRY(write_limit(file("", "memory.swap.max"), limits.memory_bytes != 0 ? "0" : "max"));
    }
  }
  if (abilities_.cpu && (limits.cpu_thousandths != 0 || also_unlimited)) {
    const Quota quota = quota_of(limits.cpu_thousandths);
    RTSUP_TRY(write_limit(file("", "cpu.max"), number_or(quota.quota_us, "max") + " " +
                                                   std::to_string(quota.period_us)));
  }
  if (abilities_.cpu && (limits.cpu_weight != 0 || also_unlimited)) {
    const uint64_t weight = limits.cpu_weight != 0 ? limits.cpu_weight : kWeightDefault;
    RTSUP_TRY(write_limit(file("", "cpu.weight"), std::to_string(weight)));
  }
  if (abilities_.processes && (limits.processes != 0 || also_unlimited)) {
    RTSUP_TRY(write_limit(file("", "pids.max"), number_or(limits.processes, "max")));
  }
  return {};
}

Result<CgroupUsage> Cgroup::usage() const {
  return abilities_.layout == CgroupLayout::kV2 ? usage_v2() : usage_v1();
}

Result<CgroupUsage> Cgroup::usage_v1() const {
  CgroupUsage usage;
  if (abilities_.memory) {
    RTSUP_ASSIGN(usage.memory_bytes, read_number(file("memory", "memory.usage_in_bytes")));
    RTSUP_ASSIGN(usage.memory_peak_bytes, read_number(file("memory", "memory.max_usage_in_bytes")));
    RTSUP_ASSIGN(usage.oom_kills, read_keyed(file("memory", "memory.oom_control"), "oom_kill"));
  }
  if (has("cpuacct")) {
    RTSUP_ASSIGN(usage.cpu_ns, read_number(file("cpuacct", "cpuacct.usage")));
  } else if (has("")) {
    RTSUP_ASSIGN(const uint64_t microseconds, read_keyed(file("", "cpu.stat"), "usage_usec"));
    usage.cpu_ns = microseconds * 1000;
  }
  if (abilities_.cpu) {
    RTSUP_ASSIGN(usage.throttled_ns, read_keyed(file("cpu", "cpu.stat"), "throttled_time"));
  }
  if (abilities_.processes) {
    RTSUP_ASSIGN(usage.processes, read_number(file("pids", "pids.current")));
    RTSUP_ASSIGN(usage.process_refusals, read_keyed(file("pids", "pids.events"), "max"));
  }
  return usage;
}

Result<CgroupUsage> Cgroup::usage_v2() const {
  CgroupUsage usage;
  if (abilities_.memory) {
    RTSUP_ASSIGN(usage.memory_bytes, read_number(file("", "memory.current")));
    RTSUP_ASSIGN(usage.memory_peak_bytes, read_number(file("", "memory.peak")));
    RTSUP_ASSIGN(usage.oom_kills, read_keyed(file("", "memory.events"), "oom_kill"));
  }
  RTSUP_ASSIGN(const std::string cpu, read_file(file("", "cpu.stat"), 64 * 1024));
  usage.cpu_ns = number_of(cpu, "usage_usec") * 1000;
  usage.throttled_ns = number_of(cpu, "throttled_usec") * 1000;
  if (abilities_.processes) {
    RTSUP_ASSIGN(usage.processes, read_number(file("", "pids.current")));
    RTSUP_ASSIGN(usage.process_refusals, read_keyed(file("", "pids.events"), "max"));
  }
  return usage;
}

Result<bool> Cgroup::is_populated() const {
  if (events_) {  // read through the watched descriptor: that re-arms its event
    std::array<char, 256> text{};
    const ssize_t count = ::pread(events_.get(), text.data(), text.size(), 0);
    if (count < 0) {
      return sys_error(Step::kCgroupRead);
    }
    return number_of({text.data(), static_cast<size_t>(count)}, "populated") != 0;
  }
  for (const Place& place : places_) {
    const Result<std::string> text = read_file(place.folder() + "/cgroup.procs", kPidsBytesMax);
    if (!text) {
      return read_error(text.error());
    }
    if (!text->empty()) {
      return true;
    }
  }
  return false;
}

Result<void> Cgroup::kill() const {
  if (!abilities_.kill) {
    return kill_v1();
  }
  Result<void> killed = write_value(file("", "cgroup.kill"), "1");
  if (!killed) {
    Error error = killed.error();
    error.step = Step::kCgroupKill;
    return error;
  }
  return {};
}

// Frozen first, so that nothing forks while the list is walked; thawed after, because a frozen task
// does not die.
Result<void> Cgroup::kill_v1() const {
  const bool can_freeze = has("freezer");
  const std::string procs = places_.front().folder() + "/cgroup.procs";
  for (int round = 0; round < kKillRoundsMax; ++round) {
    if (can_freeze) {
      RTSUP_TRY(freeze(file("freezer", "freezer.state")));
    }
    const Result<size_t> count = kill_listed(procs);
    if (can_freeze) {
      RTSUP_TRY(write_value(file("freezer", "freezer.state"), "THAWED"));
    }
    if (!count) {
      return read_error(count.error());
    }
    if (*count == 0 || (can_freeze && round > 0)) {
      return {};
    }
  }
  return {};
}

Result<void> Cgroup::remove() {
  CgroupFolders real;
  CgroupFolders& folders = folders_ != nullptr ? *folders_ : real;
  for (const Place& place : places_) {
    RTSUP_TRY(folders.remove(place.where, place.path));
  }
  *this = Cgroup();
  return {};
}

}  // namespace rtsup::sys
