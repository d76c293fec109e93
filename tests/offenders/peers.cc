#include "tests/offenders/peers.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

namespace rtsup::offenders {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using test::Outcome;

constexpr uint64_t kMemoryBytes = 64U << 20;  // the limits of rtsup:small
constexpr unsigned kProcesses = 16;
constexpr unsigned kOpenFiles = 64;
constexpr test::Milliseconds kOrderTimeout{60'000};
constexpr int kKilled = 128 + 9;

Outcome ask(const std::vector<std::string>& words) {
  return test::run({.argv = words, .environment = {}, .input = {}, .timeout = kOrderTimeout});
}

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) {
    words.push_back(word);
  }
  return words;
}

// For a shell; nothing here holds a quote.
std::string quoted(const std::vector<std::string>& words) {
  std::string line;
  for (const std::string& word : words) {
    line += (line.empty() ? "'" : " '") + word + "'";
  }
  return line;
}

Json read_json(const std::string& path) {
  std::ifstream file(path);
  return Json::parse(file);
}

// -- Podman's profile --------------------------------------------------------------------------
// The file states conditions; an OCI configuration holds what is left when they are decided, here
// for x86-64 without capabilities, as Podman itself does it.

constexpr const char* kContainersFilter = "/usr/share/containers/seccomp.json";

bool kernel_is_at_least(const std::string& wanted) {
  utsname running{};
  int have[2] = {};
  int want[2] = {};
  if (::uname(&running) != 0 || std::sscanf(running.release, "%d.%d", &have[0], &have[1]) != 2 ||
      std::sscanf(wanted.c_str(), "%d.%d", &want[0], &want[1]) != 2) {
    return false;
  }
  return std::pair(have[0], have[1]) >= std::pair(want[0], want[1]);
}

bool holds_amd64(const Json& condition) {
  const Json names = condition.value("arches", Json::array());
  return std::find(names.begin(), names.end(), "amd64") != names.end();
}

bool applies(const Json& rule) {
  const Json wanted = rule.value("includes", Json::object());
  const Json unwanted = rule.value("excludes", Json::object());
  const bool for_capabilities = !wanted.value("caps", Json::array()).empty();
  const bool elsewhere = wanted.contains("arches") && !holds_amd64(wanted);
  const bool later = wanted.contains("minKernel") && !kernel_is_at_least(wanted["minKernel"]);
  return !for_capabilities && !elsewhere && !later && !holds_amd64(unwanted);
}

Json containers_filter() {
  const Json profile = read_json(kContainersFilter);
  Json filter = {{"defaultAction", profile.at("defaultAction")},
                 {"defaultErrnoRet", profile.at("defaultErrnoRet")},
                 {"architectures", Json::array()},
                 {"syscalls", Json::array()}};
  for (const Json& family : profile.at("archMap")) {
    if (family.at("architecture") == "SCMP_ARCH_X86_64") {
      filter["architectures"] = family.at("subArchitectures");
      filter["architectures"].push_back("SCMP_ARCH_X86_64");
    }
  }
  for (const Json& rule : profile.at("syscalls")) {
    if (applies(rule)) {
      Json kept = {{"names", rule.at("names")}, {"action", rule.at("action")}};
      for (const char* const field : {"args", "errnoRet"}) {
        if (rule.contains(field) && !rule[field].is_null()) {
          kept[field] = rule[field];
        }
      }
      filter["syscalls"].push_back(std::move(kept));
    }
  }
  return filter;
}

}  // namespace

std::string Peer::carry_out(const std::string& order) {
  // `script` gives it a terminal to attack, and passes on its exit code.
  const Outcome outcome = ask({"script", "-qec", quoted(enter(order)), "/dev/null"});
  clean_up();
  for (const std::vector<std::string> said = words_of(outcome.out); !said.empty();) {
    if (said.size() == 1 && said[0] == "done") {
      return "done";
    }
    if (said.size() == 2 && said[0] == "refused") {
      return said[1];
    }
    break;
  }
  return outcome.code == kKilled ? "killed" : outcome.out + outcome.err;
}

// -- bubblewrap --------------------------------------------------------------------------------

std::string Bubblewrap::version() const {
  const std::vector<std::string> words = words_of(ask({"bwrap", "--version"}).out);
  return words.size() == 2 ? words[0] + " " + words[1] : "";
}

std::vector<std::string> Bubblewrap::enter(const std::string& order) {
  std::vector<std::string> line = {"setpriv",        "--reuid=" + std::to_string(kPeersUser),
                                   "--clear-groups", "--regid=" + std::to_string(kPeersUser),
                                   "bwrap",          "--unshare-all",
                                   "--unshare-user", "--disable-userns",
                                   "--new-session",  "--die-with-parent",
                                   "--cap-drop",     "ALL"};
  const std::string program = folder() + "/offender";
  for (const char* const word :
       {"--ro-bind", "/usr",   "/usr",      "--symlink", "usr/lib", "/lib",         "--symlink",
        "usr/lib64", "/lib64", "--symlink", "usr/bin",   "/bin",    "--proc",       "/proc",
        "--dev",     "/dev",   "--tmpfs",   "/tmp",      "--tmpfs", "/app/scratch", "--ro-bind"}) {
    line.emplace_back(word);
  }
  line.insert(line.end(), {program, "/offender", "/offender"});
  for (const std::string& word : words_of(order)) {
    line.push_back(word);
  }
  return line;
}

// -- runc --------------------------------------------------------------------------------------

Runc::Runc(std::string folder)
    : Peer(std::move(folder)), container_("rtsup-peer-" + std::to_string(::getpid())) {
  const fs::path bundle = fs::path(this->folder()) / "bundle";
  for (const char* const inside : {"usr", "proc", "dev", "sys", "tmp", "app/scratch"}) {
    fs::create_directories(bundle / "rootfs" / inside);
  }
  for (const char* const writable : {"tmp", "app/scratch"}) {  // runc mounts with these rights
    fs::permissions(bundle / "rootfs" / writable, fs::perms::all | fs::perms::sticky_bit);
  }
  fs::create_symlink("usr/lib", bundle / "rootfs/lib");
  fs::create_symlink("usr/lib64", bundle / "rootfs/lib64");
  fs::create_symlink("usr/bin", bundle / "rootfs/bin");
  fs::copy_file(fs::path(this->folder()) / "offender", bundle / "rootfs/offender");
}

std::string Runc::version() const {
  const std::vector<std::string> words = words_of(ask({"runc", "--version"}).out);
  const bool is_whole = words.size() > 2 && words[0] == "runc" && fs::exists(kContainersFilter);
  return is_whole ? words[0] + " " + words[2] : "";
}

// What `runc spec` writes, and on top of it: a user without capabilities, Podman's filter, the
// limits of rtsup:small, the system's libraries.
std::vector<std::string> Runc::enter(const std::string& order) {
  const std::string bundle = folder() + "/bundle";
  const std::string file = bundle + "/config.json";
  fs::remove(file);
  if (ask({"runc", "spec", "--bundle", bundle}).code != 0) {
    return {"false"};
  }
  Json config = read_json(file);
  Json& process = config["process"];
  process["terminal"] = false;
  process["user"] = {{"uid", kPeersUser}, {"gid", kPeersUser}};
  process["args"] = {"/offender"};
  for (const std::string& word : words_of(order)) {
    process["args"].push_back(word);
  }
  for (auto& set : process["capabilities"].items()) {
    set.value() = Json::array();
  }
  process["rlimits"] = {{{"type", "RLIMIT_NOFILE"}, {"hard", kOpenFiles}, {"soft", kOpenFiles}}};
  const Json scratch = {"nosuid", "noexec", "nodev"};
  for (const char* const target : {"/tmp", "/app/scratch"}) {
    config["mounts"].push_back(
        {{"destination", target}, {"type", "tmpfs"}, {"source", "tmpfs"}, {"options", scratch}});
  }
  config["mounts"].push_back({{"destination", "/usr"},
                              {"type", "bind"},
                              {"source", "/usr"},
                              {"options", {"rbind", "ro"}}});
  Json& linux_part = config["linux"];
  linux_part["seccomp"] = containers_filter();
  linux_part["cgroupsPath"] = container_;  // relative: below the group of this process
  linux_part["resources"]["memory"] = {{"limit", kMemoryBytes}, {"swap", kMemoryBytes}};
  linux_part["resources"]["pids"] = {{"limit", kProcesses}};
  std::ofstream(file) << config.dump(1);
  return {"runc", "--root", folder() + "/runc", "run", "--bundle", bundle, container_};
}

void Runc::clean_up() {
  (void)ask({"runc", "--root", folder() + "/runc", "delete", "--force", container_});
}

}  // namespace rtsup::offenders
