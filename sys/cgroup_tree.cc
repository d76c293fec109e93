#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <sstream>

#include "sys/cgroup.h"
#include "sys/clock.h"
#include "sys/file.h"

namespace rtsup::sys {
namespace {

constexpr std::string_view kPrefix = "rtsup-";
constexpr const char* kOwnGroup = "supervisor";  // v2: where this process sits
constexpr size_t kNameBytesMax = 127;

// As abi's names, with dots; what becomes a part of a path may neither leave it nor name the tree's
// own group.
bool is_valid_group(std::string_view name) noexcept {
  if (name.empty() || name.size() > kNameBytesMax || name.front() == '.' || name.front() == '-' ||
      name == kOwnGroup) {
    return false;
  }
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
  });
}

Error bad_name(size_t size) noexcept {
  return {.status = Status::kInvalidArgument,
          .step = Step::kCgroupCreate,
          .number = static_cast<int64_t>(size)};
}

std::string joined(const std::string& parent, std::string_view name) {
  return (parent == "/" ? "" : parent) + "/" + std::string(name);
}

bool exists(const std::string& path) noexcept { return ::access(path.c_str(), F_OK) == 0; }

bool has_word(const std::string& text, const std::string& word) {
  std::istringstream words(text);
  for (std::string next; words >> next;) {
    if (next == word) {
      return true;
    }
  }
  return false;
}

// Names of the groups in a group.
Result<std::vector<std::string>> groups_in(const std::string& folder) {
  RTSUP_ASSIGN(std::vector<std::string> names, list_directory(folder));
  std::erase_if(names, [&](const std::string& name) {
    const Result<FileIdentity> identity = identify_path(folder + "/" + name, false);
    return !identity || !S_ISDIR(identity->mode);
  });
  return names;
}

bool is_forbidden(const Error& error) noexcept {
  return error.sys_errno == EACCES || error.sys_errno == EPERM || error.sys_errno == EROFS;
}

}  // namespace

CgroupFolders& CgroupTree::folders() const {
  static CgroupFolders real;  // stateless
  return mounts_.folders != nullptr ? *mounts_.folders : real;
}

std::string CgroupTree::tree_path(const CgroupPlace& place) const {
  return joined(place.own_path, std::string(kPrefix) + name_);
}

std::vector<std::string> CgroupTree::folders_of(const std::string& name,
                                                const CgroupMounts& mounts) {
  std::vector<std::string> folders;
  const std::string own = std::string(kPrefix) + name;
  for (const CgroupPlace& place : mounts.v1) {
    folders.push_back(place.mount + joined(place.own_path, own));
  }
  if (mounts.v2) {
    folders.push_back(mounts.v2->mount + joined(mounts.v2->own_path, own));
    if (mounts.layout == CgroupLayout::kV2 && mounts.v2->own_path != "/") {
      folders.push_back(mounts.v2->mount + "/" +
                        own);  // where root goes when its own group is shared
    }
  }
  return folders;
}

Result<CgroupTree> CgroupTree::create(const std::string& name, const CgroupMounts& mounts) {
  if (!is_valid_group(name)) {
    return bad_name(name.size());
  }
  CgroupTree tree;
  tree.name_ = name;
  tree.mounts_ = mounts;
  tree.mounts_.v1.clear();
  tree.mounts_.v2.reset();
  tree.abilities_.layout = mounts.layout;
  if (const Result<void> made = tree.make(mounts); !made) {
    static_cast<void>(tree.remove(std::chrono::milliseconds(0)));
    return made.error();
  }
  return tree;
}

Result<void> CgroupTree::make(const CgroupMounts& wanted) {
  for (const CgroupPlace& place : wanted.v1) {
    // With v2, cgroup.kill does better than the freezer, and cpu.stat counts time as well.
    if (!wanted.v2 || (place.controller != "freezer" && place.controller != "cpuacct")) {
      RTSUP_TRY(make_v1(place));
    }
  }
  if (wanted.v2) {
    RTSUP_TRY(make_v2(*wanted.v2));
  }
  if (mounts_.v1.empty() && !mounts_.v2) {
    return sys_error_of(Step::kCgroupCreate, EACCES);
  }
  return {};
}

// A hierarchy that is not ours to write is left out, and abilities() shows it; anything else that
// fails, fails the tree.
Result<void> CgroupTree::make_v1(const CgroupPlace& place) {
  RTSUP_TRY(take_over(place));
  if (Result<void> made = folders().make(place, tree_path(place)); !made) {
    return is_forbidden(made.error()) ? Result<void>{} : made;
  }
  mounts_.v1.push_back(place);
  const std::string folder = place.mount + tree_path(place);
  abilities_.memory |= place.controller == "memory";
  abilities_.swap |= exists(folder + "/memory.memsw.limit_in_bytes");
  abilities_.cpu |= place.controller == "cpu" && exists(folder + "/cpu.cfs_quota_us");
  abilities_.processes |= place.controller == "pids";
  return {};
}

Result<void> CgroupTree::make_v2(const CgroupPlace& place) {
  Result<void> made = make_v2_at(place);
  // Somebody else's processes in the own group forbid limits below it; root can go to the top,
  // which is exempt.
  if (!made && made.error().status != Status::kAlreadyExists &&
      mounts_.layout == CgroupLayout::kV2 && place.own_path != "/") {
    CgroupPlace top = place;
    top.own_path = "/";
    if (make_v2_at(top)) {
      return {};
    }
  }
  if (!made && mounts_.layout == CgroupLayout::kHybrid && is_forbidden(made.error())) {
    return {};  // the v1 limits stand; kill and events are missing from abilities()
  }
  return made;
}

Result<void> CgroupTree::make_v2_at(const CgroupPlace& place) {
  RTSUP_TRY(take_over(place));
  RTSUP_TRY(folders().make(place, tree_path(place)));
  mounts_.v2 = place;
  const std::string folder = place.mount + tree_path(place);
  abilities_.kill = exists(folder + "/cgroup.kill");
  abilities_.events = exists(folder + "/cgroup.events");
  if (mounts_.layout == CgroupLayout::kHybrid) {
    return {};
  }
  const Result<void> enabled = enable_controllers(place);
  if (!enabled) {
    static_cast<void>(leave_v2());
    static_cast<void>(folders().remove(place, tree_path(place)));
    mounts_.v2.reset();
  }
  return enabled;
}

Result<void> CgroupTree::enable_controllers(const CgroupPlace& place) {
  const std::string parent = place.mount + (place.own_path == "/" ? "" : place.own_path);
  const std::string folder = place.mount + tree_path(place);
  RTSUP_ASSIGN(const std::string own, read_file("/proc/self/cgroup", 64 * 1024));
  // The top is exempt from the rule that processes and limited groups exclude each other.
  if (place.own_path != "/" &&
      (mounts_.folders != nullptr || path_in_cgroup_file(own, "") == place.own_path)) {
    RTSUP_TRY(folders().make(place, joined(tree_path(place), kOwnGroup)));
    RTSUP_TRY(write_value(folder + "/" + kOwnGroup + "/cgroup.procs", "0"));
    moved_ = true;
  }
  RTSUP_ASSIGN(const std::string available, read_file(parent + "/cgroup.controllers"));
  RTSUP_ASSIGN(const std::string before, read_file(parent + "/cgroup.subtree_control"));
  for (const auto& [controller, ability] :
       {std::pair{"memory", &abilities_.memory}, std::pair{"cpu", &abilities_.cpu},
        std::pair{"pids", &abilities_.processes}}) {
    if (!has_word(available, controller)) {
      continue;
    }
    const std::string on = std::string("+") + controller;
    if (!has_word(before, controller)) {
      RTSUP_TRY(write_value(parent + "/cgroup.subtree_control", on));
      enabled_.emplace_back(controller);
    }
    RTSUP_TRY(write_value(folder + "/cgroup.subtree_control", on));
    *ability = true;
  }
  abilities_.swap = exists(folder + "/memory.swap.max");
  return {};
}

// Empties the tree that an earlier run left at `place`.
Result<void> CgroupTree::take_over(const CgroupPlace& place) const {
  if (!exists(place.mount + tree_path(place))) {
    return {};
  }
  RTSUP_ASSIGN(const std::vector<std::string> names, groups_in(place.mount + tree_path(place)));
  for (const std::string& name : names) {
    const Result<void> removed = folders().remove(place, joined(tree_path(place), name));
    if (!removed) {
      Error error = removed.error();
      error.status = Status::kAlreadyExists;
      error.step = Step::kCgroupCreate;
      return error;
    }
  }
  return {};
}

namespace {

Result<void> give_procs(const std::string& folder, uint32_t uid) {
  if (::chown((folder + "/cgroup.procs").c_str(), uid, static_cast<gid_t>(-1)) < 0) {
    return sys_error(Step::kChown);
  }
  return {};
}

}  // namespace

Result<Cgroup> CgroupTree::create_group(const std::string& name, const CgroupLimits& limits) const {
  RTSUP_ASSIGN(Cgroup group, begin_group(name));
  if (const Result<void> finished = group.finish(limits); !finished) {
    static_cast<void>(group.remove());
    return finished.error();
  }
  return group;
}

Result<Cgroup> CgroupTree::begin_group(const std::string& name) const {
  if (!is_valid_group(name)) {
    return bad_name(name.size());
  }
  Cgroup group;
  group.name_ = name;
  group.abilities_ = abilities_;
  group.folders_ = mounts_.folders;
  std::vector<CgroupPlace> wanted = mounts_.v1;
  if (mounts_.v2) {
    wanted.push_back(*mounts_.v2);
  }
  if (!wanted.empty() && exists(wanted.front().mount + joined(tree_path(wanted.front()), name))) {
    return sys_error_of(Step::kCgroupCreate, EEXIST);
  }
  for (const CgroupPlace& place : wanted) {
    group.places_.push_back({.where = place, .path = joined(tree_path(place), name)});
  }
  if (!mounts_.v2) {
    return group;
  }
  const std::string path = joined(tree_path(*mounts_.v2), name);
  RTSUP_TRY(folders().make_leaf(*mounts_.v2, path));
  Result<UniqueFd> folder = open_file(mounts_.v2->mount + path, O_RDONLY | O_DIRECTORY);
  const Result<void> given =
      spawner_ ? give_procs(mounts_.v2->mount + path, *spawner_) : Result<void>{};
  if (!folder || !given) {
    static_cast<void>(group.remove());
    return folder ? given.error() : folder.error();
  }
  group.folder_ = std::move(*folder);
  return group;
}

Result<void> CgroupTree::admit_spawner(uint32_t spawner) {
  spawner_ = spawner;
  return mounts_.v2 ? give_procs(mounts_.v2->mount + tree_path(*mounts_.v2), spawner)
                    : Result<void>{};
}

Result<void> CgroupTree::remove_groups(const CgroupPlace& place) const {
  Result<void> removed;
  const Result<std::vector<std::string>> names = groups_in(place.mount + tree_path(place));
  for (const std::string& name : names ? *names : std::vector<std::string>()) {
    if (name == kOwnGroup && moved_) {
      continue;
    }
    if (Result<void> one = folders().remove(place, joined(tree_path(place), name)); !one) {
      removed = one;
    }
  }
  return removed;
}

Result<void> CgroupTree::remove(std::chrono::milliseconds patience) {
  std::vector<CgroupPlace> places = mounts_.v1;
  if (mounts_.v2) {
    places.push_back(*mounts_.v2);
  }
  const int64_t end = monotonic_ns() + std::chrono::nanoseconds(patience).count();
  Result<void> removed;
  do {
    removed = {};
    for (const CgroupPlace& place : places) {
      if (Result<void> one = remove_groups(place); !one) {
        removed = one;
      }
    }
    if (!removed) {
      kill_remaining();
      ::usleep(2000);
    }
  } while (!removed && monotonic_ns() < end);
  RTSUP_TRY(removed);
  if (mounts_.v2) {
    RTSUP_TRY(leave_v2());
  }
  for (const CgroupPlace& place : places) {
    Result<void> one = folders().remove(place, tree_path(place));
    for (; !one && one.error().sys_errno == EBUSY && monotonic_ns() < end;
         one = folders().remove(place, tree_path(place))) {
      ::usleep(2000);
    }
    RTSUP_TRY(one);
  }
  *this = CgroupTree();
  return {};
}

// The groups that are still there, killed through the same code as a group's own kill().
void CgroupTree::kill_remaining() const {
  std::vector<CgroupPlace> places = mounts_.v1;
  if (mounts_.v2) {
    places.push_back(*mounts_.v2);
  }
  const Result<std::vector<std::string>> names =
      groups_in(places.back().mount + tree_path(places.back()));
  for (const std::string& name : names ? *names : std::vector<std::string>()) {
    Cgroup group;
    group.abilities_ = abilities_;
    for (const CgroupPlace& place : places) {
      group.places_.push_back({.where = place, .path = joined(tree_path(place), name)});
    }
    if (name != kOwnGroup) {
      static_cast<void>(group.kill());
    }
  }
}

// v2: undoes what create() did to the parent, in reverse.
Result<void> CgroupTree::leave_v2() {
  const std::string parent =
      mounts_.v2->mount + (mounts_.v2->own_path == "/" ? "" : mounts_.v2->own_path);
  const std::string folder = mounts_.v2->mount + tree_path(*mounts_.v2);
  for (; !enabled_.empty(); enabled_.pop_back()) {
    const std::string off = "-" + enabled_.back();
    static_cast<void>(write_value(folder + "/cgroup.subtree_control", off));
    RTSUP_TRY(write_value(parent + "/cgroup.subtree_control", off));
  }
  if (moved_) {
    RTSUP_TRY(write_value(parent + "/cgroup.procs", "0"));
    RTSUP_TRY(folders().remove(*mounts_.v2, joined(tree_path(*mounts_.v2), kOwnGroup)));
    moved_ = false;
  }
  return {};
}

Result<unsigned> sweep_cgroups(const std::vector<std::string>& recorded, CgroupFolders* folders) {
  CgroupFolders real;
  CgroupFolders& used = folders != nullptr ? *folders : real;
  unsigned count = 0;
  Result<void> complete;
  const auto remove = [&](const CgroupPlace& place, const std::string& path) {
    if (Result<void> removed = used.remove(place, path)) {
      ++count;
    } else {
      complete = removed;
    }
  };
  for (const std::string& folder : recorded) {
    const std::string name = folder.substr(folder.find_last_of('/') + 1);
    if (!name.starts_with(kPrefix) || folder.find("/../") != std::string::npos ||
        !used.is_cgroup(folder)) {
      continue;
    }
    // By rmdir: whatever the mounts were called when it was recorded, and it refuses what has
    // processes.
    const CgroupPlace here{.controller = {}, .mount = folder, .own_path = "/"};
    const Result<std::vector<std::string>> names = groups_in(folder);
    for (const std::string& group : names ? *names : std::vector<std::string>()) {
      remove(here, "/" + group);
    }
    remove(here, "");
  }
  RTSUP_TRY(complete);
  return count;
}

}  // namespace rtsup::sys
