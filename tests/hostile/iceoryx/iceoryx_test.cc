// Why workers do not speak iceoryx (ADR 0001): with the packaged 2.0.3, one store of eight bytes by
// a client ends its daemon, or another client. The domain of the test is in a mount namespace of
// its own, so that no other one on the machine is touched.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cstdio>

#include "tests/support/command.h"

namespace rtsup::test {
namespace {

constexpr Milliseconds kPatience{20'000};
constexpr int kSegmentationFault = 128 + SIGSEGV;

class IceoryxTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) {
      GTEST_SKIP() << "a mount namespace of its own takes root";
    }
    // The build may lie below /tmp, which is hidden from here on: descriptors stay.
    peer_ = path_of(RTSUP_ROGUE_PEER);
    daemon_ = path_of("/usr/bin/iox-roudi");
    ASSERT_EQ(::unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    ASSERT_EQ(::mount("tmpfs", "/dev/shm", "tmpfs", 0, nullptr), 0);
    ASSERT_EQ(::mount("tmpfs", "/tmp", "tmpfs", 0, nullptr), 0);
  }
  static std::string path_of(const char* program) {
    const int fd = ::open(program, O_PATH);  // inherited on purpose
    EXPECT_GE(fd, 0) << program;
    return "/proc/self/fd/" + std::to_string(fd);
  }
  [[nodiscard]] Command peer(const std::string& mode) const {
    return {.argv = {peer_, mode}, .environment = {}, .input = {}, .timeout = kPatience};
  }
  // How the victim and the daemon end when a peer has published in this mode. The daemon is asked
  // to end once the peer's death has come to its notice, and the victim has looked for its message.
  struct Ends {
    Outcome victim;
    Outcome daemon;
  };
  Ends after(const std::string& mode) {
    RunningCommand daemon(
        {.argv = {daemon_}, .environment = {}, .input = {}, .timeout = kPatience});
    EXPECT_TRUE(daemon.wait_for_text("RouDi is ready", kPatience)) << daemon.so_far().err;
    RunningCommand victim(peer("victim"));
    EXPECT_TRUE(victim.wait_for_text("subscribed", kPatience)) << victim.so_far().err;
    const Outcome published = run(peer(mode));
    EXPECT_NE(published.out.find("places: 2"), std::string::npos) << published.out;
    std::printf("%s: %s", mode.c_str(), published.out.c_str());
    Ends ends;
    (void)daemon.wait_for_text("removing it", kNoticed);
    victim.send_signal(SIGUSR1);
    // Without its daemon it never ends by itself.
    ends.victim = victim.wait(kNoticed);
    daemon.send_signal(SIGTERM);
    ends.daemon = daemon.wait(kPatience);
    return ends;
  }

 private:
  // RouDi takes a peer for dead 1.5 s after its last sign of life.
  static constexpr Milliseconds kNoticed{3'000};
  std::string peer_;
  std::string daemon_;
};

TEST_F(IceoryxTest, PeersThatKeepToTheRulesLive) {
  const Ends ends = after("honest");
  EXPECT_EQ(ends.victim.code, 0);
  EXPECT_NE(ends.victim.out.find("hello"), std::string::npos) << ends.victim.out;
  EXPECT_EQ(ends.daemon.code, 0) << ends.daemon.err;
}

TEST_F(IceoryxTest, OneStoreEndsAnotherPeer) {
  const Ends ends = after("against-peer");
  EXPECT_EQ(ends.victim.code, kSegmentationFault) << ends.victim.out << ends.victim.err;
}

TEST_F(IceoryxTest, OneStoreEndsTheDaemon) {
  const Ends ends = after("against-daemon");
  EXPECT_EQ(ends.daemon.code, kSegmentationFault) << ends.daemon.err;
}

}  // namespace
}  // namespace rtsup::test
