#include "supervisor/launch/read_back.h"

#include <array>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <system_error>

#include "sys/file.h"

namespace rtsup::supervisor {
namespace {

namespace fs = std::filesystem;

// The text after "Name:\t" of a status file; nothing when there is no such line.
std::optional<std::string_view> field(std::string_view status, std::string_view name) {
  while (!status.empty()) {
    const size_t end = status.find('\n');
    std::string_view line = status.substr(0, end);
    status.remove_prefix(end == std::string_view::npos ? status.size() : end + 1);
    if (line.starts_with(name) && line.substr(name.size()).starts_with(":\t")) {
      line.remove_prefix(name.size() + 2);
      while (!line.empty() && (line.back() == ' ' || line.back() == '\t')) {
        line.remove_suffix(1);
      }
      return line;
    }
  }
  return std::nullopt;
}

std::optional<std::string> differs(std::string_view what, std::string_view wanted,
                                   std::string_view found) {
  return std::string(what) + " is " + std::string(found) + ", planned " + std::string(wanted);
}

std::string four_times(uint32_t id) {
  const std::string text = std::to_string(id);
  return text + "\t" + text + "\t" + text + "\t" + text;
}

// This process enters no other namespaces: its own are read once.
const std::string& own_namespace(const std::string& name) {
  static std::map<std::string, std::string> links;
  std::string& link = links[name];
  if (link.empty()) {
    link = sys::read_link("/proc/self/ns/" + name);
  }
  return link;
}

// Of a process of an id lent to this ordinary user, whose folder only that id may list: each number
// that its table has room for, asked for one by one.
std::map<int, std::string> borrowed_descriptors(const sys::Pidfd& process,
                                                std::string_view status) {
  std::map<int, std::string> found;
  const std::string_view text = field(status, "FDSize").value_or("");
  int size = 0;
  std::from_chars(text.data(), text.data() + text.size(), size);
  for (int number = 0; number < size; ++number) {
    if (const auto fd = process.get_fd(number)) {
      found[number] = sys::read_link("/proc/self/fd/" + std::to_string(fd->get()));
    } else if (fd.error().sys_errno != EBADF) {
      found[number] = describe(fd.error());
    }
  }
  return found;
}

std::map<int, std::string> open_descriptors(const sys::Pidfd& process, std::string_view status) {
  const std::string folder = "/proc/" + std::to_string(process.pid()) + "/fd";
  std::map<int, std::string> found;
  std::error_code error;
  fs::directory_iterator entry(folder, error);
  if (error == std::errc::permission_denied) {
    return borrowed_descriptors(process, status);
  }
  for (const fs::directory_iterator end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    int number = -1;
    std::from_chars(name.data(), name.data() + name.size(), number);
    found[number] = sys::read_link(entry->path().string());
  }
  return found;
}

// The path in the line "N:controller,controller:path" that names the controller.
std::optional<std::string_view> cgroup_of(std::string_view lines, const std::string& controller) {
  while (!lines.empty()) {
    const size_t end = lines.find('\n');
    const std::string_view line = lines.substr(0, end);
    lines.remove_prefix(end == std::string_view::npos ? lines.size() : end + 1);
    const size_t first = line.find(':');
    const size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) {
      continue;
    }
    const std::string names = "," + std::string(line.substr(first + 1, second - first - 1)) + ",";
    if (names.find("," + controller + ",") != std::string::npos) {
      return line.substr(second + 1);
    }
  }
  return std::nullopt;
}

bool matches(const std::string& found, const std::string& wanted) {
  return wanted.ends_with('*') ? found.starts_with(wanted.substr(0, wanted.size() - 1))
                               : found == wanted;
}

std::optional<std::string> check_namespaces(const std::string& folder,
                                            const ExpectedProcess& expected) {
  if (!expected.user_namespace.empty()) {
    const std::string found = sys::read_link(folder + "user");
    if (found != expected.user_namespace) {
      return differs("user namespace", expected.user_namespace, found);
    }
  }
  for (const std::string& name : expected.separate) {
    const std::string found = sys::read_link(folder + name);
    if (found.empty() || found == own_namespace(name)) {
      return name + " namespace is that of the base, planned one of its own";
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> check_status(std::string_view status, const ExpectedProcess& expected) {
  const std::array<std::pair<std::string_view, std::string>, 10> lines = {{
      {"Uid", four_times(expected.host_uid)},
      {"Gid", four_times(expected.host_gid)},
      {"NoNewPrivs", "1"},
      {"CapInh", "0000000000000000"},
      {"CapPrm", "0000000000000000"},
      {"CapEff", "0000000000000000"},
      {"CapBnd", "0000000000000000"},
      {"CapAmb", "0000000000000000"},
      {"Threads", "1"},
      {"Seccomp", expected.filtered ? "2" : "0"},
  }};
  for (const auto& [name, wanted] : lines) {
    const std::optional<std::string_view> found = field(status, name);
    if (!found || *found != wanted) {
      return differs(name, wanted, found.value_or("missing"));
    }
  }
  const std::string parent = std::to_string(expected.parent);
  if (const auto found = field(status, "PPid"); expected.parent != 0 && found != parent) {
    return differs("PPid", parent, found.value_or("missing"));
  }
  const std::string_view groups = field(status, "Groups").value_or("");
  if (!expected.keep_groups && !groups.empty()) {
    return differs("Groups", "none", groups);
  }
  return std::nullopt;
}

std::optional<std::string> check_cgroup(std::string_view lines, const ExpectedProcess& expected) {
  for (const auto& [controller, path] : expected.cgroups) {
    const std::string_view found = cgroup_of(lines, controller).value_or("missing");
    if (found != path) {
      return differs("control group of " + (controller.empty() ? "cgroup v2" : controller), path,
                     found);
    }
  }
  return std::nullopt;
}

std::optional<std::string> check_descriptors(const std::map<int, std::string>& found,
                                             const ExpectedProcess& expected) {
  for (const auto& [number, what] : found) {
    const auto wanted = expected.descriptors.find(number);
    if (wanted == expected.descriptors.end()) {
      return "descriptor " + std::to_string(number) + " is open (" + what + "), planned closed";
    }
    if (!matches(what, wanted->second)) {
      return differs("descriptor " + std::to_string(number), wanted->second, what);
    }
  }
  for (const auto& [number, what] : expected.descriptors) {
    if (!found.contains(number)) {
      return "descriptor " + std::to_string(number) + " is closed, planned " + what;
    }
  }
  return std::nullopt;
}

std::optional<std::string> read_back(const sys::Pidfd& process, const ExpectedProcess& expected) {
  const std::string folder = "/proc/" + std::to_string(process.pid()) + "/";
  const auto status = sys::read_file(folder + "status");
  if (!status) {
    return "can not read its status: " + describe(status.error());
  }
  if (auto difference = check_status(*status, expected)) {
    return difference;
  }
  if (auto difference = check_namespaces(folder + "ns/", expected)) {
    return difference;
  }
  if (!expected.descriptors.empty()) {
    if (auto difference = check_descriptors(open_descriptors(process, *status), expected)) {
      return difference;
    }
  }
  const auto cgroup = sys::read_file(folder + "cgroup");
  if (!cgroup) {
    return "can not read its control groups: " + describe(cgroup.error());
  }
  return check_cgroup(*cgroup, expected);
}

}  // namespace rtsup::supervisor
