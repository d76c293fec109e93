// The acts of tests/offenders under bubblewrap and runc: docs/comparison.md holds what came of
// them, and this holds that it still does. RTSUP_REFRESH_COMPARISON=1 writes it anew.
#include "tests/offenders/peers.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>

#include "tests/offenders/act.h"

namespace rtsup::offenders {
namespace {

namespace fs = std::filesystem;

constexpr const char* kDocument = RTSUP_SOURCE_DIR "/docs/comparison.md";
constexpr std::string_view kBegin = "<!-- measured -->\n";
constexpr std::string_view kEnd = "<!-- end -->\n";
constexpr int kDecoy = 20;  // a folder that somebody forgot to close

std::string read_all(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string stop_of(const Act& act) {
  const std::string detail(act.stop.detail);
  switch (act.stop.by) {
    case By::kCall:
      return "ended, `" + detail + "` on record";
    case By::kErrno:
      return "`" + detail + "`";
    case By::kEntry:
      return "ended at the entry";
    case By::kMemory:
      return "ended for its memory";
  }
  return "?";
}

std::string cell(const std::string& outcome) {
  return outcome == "done" ? "**done**" : outcome == "killed" ? outcome : "`" + outcome + "`";
}

std::string today() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  char text[16];
  (void)std::strftime(text, sizeof text, "%Y-%m-%d", ::gmtime_r(&now, &parts));
  return text;
}

class PeersTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) {
      GTEST_SKIP() << "changing the user and making control groups take root";
    }
    folder_ = fs::temp_directory_path() / ("rtsup-peers-" + std::to_string(::getpid()));
    fs::create_directories(folder_);
    fs::permissions(folder_, fs::perms::owner_all | fs::perms::others_exec);
    fs::copy_file(RTSUP_BUILD_DIR "/test-functions/offender-program", folder_ / "offender");
    peers_.push_back(std::make_unique<Bubblewrap>(folder_));
    peers_.push_back(std::make_unique<Runc>(folder_));
    for (const auto& peer : peers_) {
      if (peer->version().empty()) {
        GTEST_SKIP() << peer->name() << " is not installed";
      }
      const std::string twin = peer->carry_out("twin setresuid 0");
      if (twin != "done") {
        GTEST_SKIP() << peer->name() << " can not run here: " << twin;
      }
    }
    victim_ = std::make_unique<test::RunningCommand>(test::Command{
        .argv = {"setpriv", "--reuid=" + std::to_string(kPeersUser),
                 "--regid=" + std::to_string(kPeersUser), "--clear-groups", "sleep", "600"},
        .environment = {},
        .input = {},
        .timeout = {}});
    // Nothing else is left open, whoever started this test.
    ASSERT_EQ(::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC), 0);
    const int folder = ::open(RTSUP_SOURCE_DIR, O_PATH | O_DIRECTORY | O_CLOEXEC);
    ASSERT_EQ(::dup2(folder, kDecoy), kDecoy);
    ASSERT_EQ(::close(folder), 0);
  }
  void TearDown() override {
    peers_.clear();
    (void)::close(kDecoy);
    fs::remove_all(folder_);
  }

  // What this machine decides: the table of another one need not be the same.
  [[nodiscard]] std::string setting() const {
    utsname running{};
    EXPECT_EQ(::uname(&running), 0);
    std::string text = std::string("Linux ") + running.release;
    for (const auto& peer : peers_) {
      text += ", " + peer->version();
    }
    return text;
  }

  [[nodiscard]] std::string table() {
    std::map<std::string_view, int> let_through;
    std::vector<Act> acts;
    for (const std::span<const Act> family : families()) {
      acts.insert(acts.end(), family.begin(), family.end());
    }
    std::stable_sort(acts.begin(), acts.end(),
                     [](const Act& one, const Act& other) { return one.row < other.row; });
    std::string rows =
        "| row | act | rtsup | bubblewrap | runc |\n| --- | --- | --- | --- | --- |\n";
    const std::string victim = " " + std::to_string(victim_->pid());
    for (const Act& act : acts) {
      const std::string name(act.name);
      const std::string order = name + victim;
      rows.append("| ").append(std::to_string(act.row)).append(" | `").append(name).append("` | ");
      rows.append(stop_of(act)).append(" |");
      for (const auto& peer : peers_) {
        EXPECT_EQ(peer->carry_out("twin " + order), "done") << peer->name() << ": " << name;
        const std::string outcome = peer->carry_out("act " + order);
        EXPECT_EQ(outcome.find_first_of(" \n"), std::string::npos) << name << ": " << outcome;
        let_through[peer->name()] += outcome == "done" ? 1 : 0;
        rows.append(" ").append(cell(outcome)).append(" |");
      }
      rows += "\n";
    }
    std::string text = setting() + ": of " + std::to_string(acts.size()) + " acts";
    for (const auto& [peer, done] : let_through) {
      text.append(" ")
          .append(peer)
          .append(" lets ")
          .append(std::to_string(done))
          .append(" through,");
    }
    return text + " rtsup none.\n\n" + rows;
  }

  test::RunningCommand& victim() { return *victim_; }

 private:
  fs::path folder_;
  std::vector<std::unique_ptr<Peer>> peers_;
  std::unique_ptr<test::RunningCommand> victim_;
};

TEST_F(PeersTest, DoWhatTheComparisonSays) {
  const std::string measured = table();
  // Nobody of the outside was reached, whatever a peer let through.
  EXPECT_NE(read_all("/proc/" + std::to_string(victim().pid()) + "/stat").find("(sleep) S"),
            std::string::npos);

  std::string document = read_all(kDocument);
  const size_t begin = document.find(kBegin);
  const size_t end = document.find(kEnd, begin);
  ASSERT_NE(begin, std::string::npos);
  ASSERT_NE(end, std::string::npos);
  const size_t from = begin + kBegin.size();
  // NOLINTNEXTLINE(concurrency-mt-unsafe): one thread
  if (std::getenv("RTSUP_REFRESH_COMPARISON") != nullptr) {
    document.replace(from, end - from, "Measured " + today() + ", " + measured);
    std::ofstream(kDocument) << document;
    return;
  }
  const std::string kept = document.substr(from, end - from);
  if (kept.find(setting()) == std::string::npos) {
    GTEST_SKIP() << "measured elsewhere; here it is " << setting() << "\n" << measured;
  }
  EXPECT_EQ(kept.substr(kept.find("Linux")), measured);
}

}  // namespace
}  // namespace rtsup::offenders
