// RouDi, the daemon that iceoryx needs: one of our own with small pools, for as long as the driver
// lives. Only one can run on a machine: it holds a lock by name, and when another has it, it is
// left alone and iceoryx is not measured. It removes its shared memory when it ends.
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "bench/peers/server_process.h"

namespace rtsup::bench {
namespace {

constexpr int kStartTimeoutMs = 10000;
constexpr int kEndTimeoutMs = 5000;
constexpr int kEndPollMs = 20;
constexpr const char* kConfig = R"([general]
version = 1
[[segment]]
[[segment.mempool]]
size = 256
count = 4096
)";

class Roudi : public PeerDaemon {
 public:
  ~Roudi() override {
    if (pid_ > 0) {
      kill(pid_, SIGTERM);
      int status = 0;
      // It may wait for a lock whose holder was killed.
      for (int waited = 0; waitpid(pid_, &status, WNOHANG) == 0; waited += kEndPollMs) {
        if (waited >= kEndTimeoutMs) {
          kill(pid_, SIGKILL);
        }
        ::poll(nullptr, 0, kEndPollMs);
      }
      if (status != 0) {
        remove_memory();
      }
    }
    if (!folder_.empty()) {
      std::error_code ignored;
      std::filesystem::remove_all(folder_, ignored);
    }
  }

  std::optional<std::string> open() override {
    if (!opened_) {
      opened_ = true;
      fault_ = start();
    }
    return fault_;
  }

 private:
  // What RouDi leaves behind when it aborts; ours, because it had the lock.
  static void remove_memory() {
    std::error_code ignored;
    std::filesystem::remove("/dev/shm/iceoryx_mgmt", ignored);
    if (const group* own = getgrgid(getegid())) {  // NOLINT(concurrency-mt-unsafe): one thread
      std::filesystem::remove(std::string("/dev/shm/") + own->gr_name, ignored);
    }
  }

  std::optional<std::string> start() {
    std::string folder = "/tmp/rtsup-bench-roudi-XXXXXX";
    if (mkdtemp(folder.data()) == nullptr) {
      return "no temporary folder";
    }
    folder_ = folder;
    std::ofstream(folder_ + "/roudi.toml") << kConfig;
    const std::string log = folder_ + "/log";
    const std::string config = folder_ + "/roudi.toml";
    pid_ = fork();
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGTERM);
      const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
      dup2(out, STDOUT_FILENO);
      dup2(out, STDERR_FILENO);
      execlp("iox-roudi", "iox-roudi", "--monitoring-mode", "off", "--config-file", config.c_str(),
             nullptr);
      std::perror("iox-roudi");
      _exit(127);
    }
    for (int waited = 0; waited < kStartTimeoutMs; waited += 50) {
      std::ifstream said(log);
      const std::string text((std::istreambuf_iterator<char>(said)), {});
      if (text.find("ready for clients") != std::string::npos) {
        return std::nullopt;
      }
      if (waitpid(pid_, nullptr, WNOHANG) == pid_) {
        pid_ = 0;
        return text.find("still running") == std::string::npos
                   ? "iox-roudi did not start"
                   : "another RouDi runs on this machine, and is left alone";
      }
      ::poll(nullptr, 0, 50);
    }
    return "RouDi did not get ready";
  }

  std::string folder_;
  pid_t pid_ = 0;
  bool opened_ = false;
  std::optional<std::string> fault_;
};

}  // namespace

std::shared_ptr<PeerDaemon> make_roudi() { return std::make_shared<Roudi>(); }

}  // namespace rtsup::bench
