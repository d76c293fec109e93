#include "monitor/monitor.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bit>
#include <climits>
#include <cstddef>
#include <cstring>
#include <string>
#include <vector>

#include "sys/clock.h"
#include "sys/file.h"
#include "sys/memory.h"
#include "sys/prctl.h"
#include "sys/seccomp.h"
#include "sys/seccomp_load.h"

namespace rtsup::monitor {
namespace {

constexpr uint64_t kLogBytes = 64 << 20;

int personality_call() { return sys::call_number("personality"); }

// Names a path, and does nothing for a process without privileges.
int chroot_call() { return sys::call_number("chroot"); }

// The test is the supervisor at one end of the link and the worker at the other end of the pipes.
class MonitorTest : public testing::Test {
 protected:
  struct Watched {
    sys::UniqueFd output;
    sys::UniqueFd error;
    sys::UniqueFd log;
  };

  // `relaxed_ns`: for how long from now; 0 = not.
  void send(abi::MonitorCommandVerb verb, uint32_t worker, std::vector<int> fds = {},
            int64_t relaxed_ns = 0) {
    abi::MonitorCommand command{};
    command.magic = abi::kMonitorMagic;
    command.verb = verb;
    command.worker = worker;
    command.log_bytes_max = kLogBytes;
    command.relaxed_until_ns = relaxed_ns == 0 ? 0 : sys::monotonic_ns() + relaxed_ns;
    ASSERT_TRUE(sys::send_record(link_.first.get(), command, fds));
    ASSERT_TRUE(monitor_->turn());
  }

  Watched watch(uint32_t worker) {
    auto output = sys::create_pipe().value();
    auto error = sys::create_pipe().value();
    Watched watched{.output = std::move(output.write),
                    .error = std::move(error.write),
                    .log = sys::create_memfd("log", 0).value()};
    send(abi::MonitorCommandVerb::kWatch, worker,
         {output.read.get(), error.read.get(), watched.log.get()});
    return watched;
  }

  static void print(const sys::UniqueFd& pipe, const std::string& text) {
    ASSERT_TRUE(sys::write_all(pipe.get(), std::as_bytes(std::span(text))));
  }

  // Texts of the frames of one stream, joined.
  static std::string logged(const sys::UniqueFd& log, Stream stream) {
    std::string bytes(static_cast<size_t>(::lseek(log.get(), 0, SEEK_END)), '\0');
    EXPECT_EQ(::pread(log.get(), bytes.data(), bytes.size(), 0),
              static_cast<ssize_t>(bytes.size()));
    std::string text;
    for (size_t offset = 0; offset < bytes.size();) {
      abi::LogFrame frame;
      std::memcpy(&frame, bytes.data() + offset, sizeof frame);
      if (frame.stream == static_cast<uint8_t>(stream)) {
        text += bytes.substr(offset + sizeof frame, frame.bytes);
      }
      offset += sizeof frame + frame.bytes;
    }
    return text;
  }

  sys::SocketPair link_ = sys::create_seqpacket_pair().value();
  std::unique_ptr<Monitor> monitor_ = Monitor::create(link_.second.get()).value();
};

TEST_F(MonitorTest, SaysThatItServes) {
  ASSERT_TRUE(monitor_->announce());
  abi::MonitorReport report{};
  ASSERT_TRUE(sys::receive_record(link_.first.get(), report));
  EXPECT_EQ(report.verb, abi::MonitorReportVerb::kWatching);
}

TEST_F(MonitorTest, BothStreamsGoToTheLog) {
  const Watched watched = watch(1);
  print(watched.output, "out");
  print(watched.error, "err");
  ASSERT_TRUE(monitor_->turn());
  EXPECT_EQ(logged(watched.log, Stream::kOutput), "out");
  EXPECT_EQ(logged(watched.log, Stream::kError), "err");
}

TEST_F(MonitorTest, FloodOfOneWorkerDoesNotHoldUpAnother) {
  const Watched flooding = watch(1);
  const Watched quiet = watch(2);
  ASSERT_GE(::fcntl(flooding.output.get(), F_SETPIPE_SZ, 1 << 20), 0);
  print(flooding.output, std::string(1 << 20, 'x'));
  print(quiet.output, "here");
  ASSERT_TRUE(monitor_->turn());
  EXPECT_EQ(logged(quiet.log, Stream::kOutput), "here");
  EXPECT_EQ(logged(flooding.log, Stream::kOutput).size(), abi::kLogFrameBytesMax);
}

TEST_F(MonitorTest, WorkerBeyondItsRateIsLeftUnreadWhileOthersAreServed) {
  const Watched flooding = watch(1);
  const Watched quiet = watch(2);
  const std::string chunk(abi::kLogFrameBytesMax, 'x');
  // The burst and what is earned meanwhile is taken; then the pipe fills up.
  ASSERT_TRUE(sys::set_nonblocking(flooding.output.get(), true));
  while (sys::write_some(flooding.output.get(), std::as_bytes(std::span(chunk)))) {
    print(quiet.output, ".");  // so that no turn waits
    ASSERT_TRUE(monitor_->turn());
  }
  const std::string before = logged(quiet.log, Stream::kOutput);
  print(quiet.output, "!");
  ASSERT_TRUE(monitor_->turn());
  EXPECT_EQ(logged(quiet.log, Stream::kOutput), before + "!");
}

TEST_F(MonitorTest, LastWordsAreKeptWhenTheWorkerIsForgotten) {
  Watched watched = watch(1);
  print(watched.output, std::string(60'000, 'x'));
  watched.output.reset();
  send(abi::MonitorCommandVerb::kForget, 1);
  EXPECT_EQ(logged(watched.log, Stream::kOutput).size(), 60'000U);
  EXPECT_EQ(monitor_->worker_count(), 0U);
}

TEST_F(MonitorTest, ClosedPipesEndNothingElse) {
  Watched watched = watch(1);
  watched.output.reset();
  ASSERT_TRUE(monitor_->turn());
  print(watched.error, "still here");
  ASSERT_TRUE(monitor_->turn());
  EXPECT_EQ(logged(watched.log, Stream::kError), "still here");
}

TEST_F(MonitorTest, EndOfTheLinkEndsTheMonitorAfterTheLastWords) {
  const Watched watched = watch(1);
  print(watched.output, "bye");
  link_.first.reset();
  Result<void> turned;
  while (turned) {
    turned = monitor_->turn();
  }
  EXPECT_TRUE(sys::peer_gone(turned.error()));
  monitor_->finish();
  EXPECT_EQ(logged(watched.log, Stream::kOutput), "bye");
}

TEST_F(MonitorTest, BadCommandsAreIgnored) {
  const auto pipe = sys::create_pipe().value();
  send(abi::MonitorCommandVerb::kWatch, 1, {pipe.read.get()});   // too few descriptors
  send(abi::MonitorCommandVerb::kListen, 9, {pipe.read.get()});  // nobody's
  send(static_cast<abi::MonitorCommandVerb>(99), 1);             // no verb
  send(abi::MonitorCommandVerb::kForget, 9);                     // nobody
  ASSERT_TRUE(sys::send_message(link_.first.get(), std::as_bytes(std::span("short", 5))));
  ASSERT_TRUE(monitor_->turn());
  EXPECT_EQ(monitor_->worker_count(), 0U);
  const Watched watched = watch(1);
  watch(1);  // a second time under the same number
  EXPECT_EQ(monitor_->worker_count(), 1U);
  print(watched.output, "first");
  ASSERT_TRUE(monitor_->turn());
  EXPECT_EQ(logged(watched.log, Stream::kOutput), "first");
}

// A child under a filter that notifies personality() and chroot() alone; its listener comes through
// a socket. With a path it makes the second call, otherwise the first.
class FilteredChild {
 public:
  explicit FilteredChild(const char* path = nullptr) {
    auto sockets = sys::create_seqpacket_pair().value();
    pid_ = ::fork();
    if (pid_ == 0) {
      run(sockets.second.get(), path);
    }
    abi::MonitorReport unused{};
    auto received = sys::receive_record(sockets.first.get(), unused, 1, sys::Wait::kYes);
    listener_ = received.value().fds.take(0);
  }
  ~FilteredChild() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  FilteredChild(const FilteredChild&) = delete;
  FilteredChild& operator=(const FilteredChild&) = delete;
  [[nodiscard]] int listener() const { return listener_.get(); }
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  [[noreturn]] static void run(int socket, const char* path) {
    const sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(personality_call()), 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(chroot_call()), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    static_cast<void>(sys::set_no_new_privileges());
    const int listener = sys::load_filter_with_listener(filter).value();
    const abi::MonitorReport unused{};
    static_cast<void>(sys::send_record(socket, unused, std::span(&listener, 1)));
    ::close(listener);
    if (path != nullptr) {
      static_cast<void>(::chroot(path));
    }
    sys::call_probe(0xabcdef);
    ::_exit(0);
  }
  pid_t pid_ = -1;
  sys::UniqueFd listener_;
};

TEST_F(MonitorTest, ForbiddenCallIsReportedAndLeftUnanswered) {
  const Watched watched = watch(5);
  const FilteredChild child;
  send(abi::MonitorCommandVerb::kListen, 5, {child.listener()});
  ASSERT_TRUE(monitor_->turn());
  abi::MonitorReport report{};
  ASSERT_TRUE(sys::receive_record(link_.first.get(), report));
  EXPECT_EQ(report.verb, abi::MonitorReportVerb::kViolation);
  EXPECT_EQ(report.worker, 5U);
  EXPECT_EQ(report.pid, child.pid());
  EXPECT_EQ(report.call, personality_call());
  EXPECT_EQ(report.arch, static_cast<uint32_t>(AUDIT_ARCH_X86_64));
  EXPECT_EQ(report.arguments[0], 0xabcdefU);
  EXPECT_NE(report.instruction, 0U);
  EXPECT_EQ(::waitpid(child.pid(), nullptr, WNOHANG), 0) << "the call was answered";
}

class MonitorPathTest : public MonitorTest {
 protected:
  // What is reported of a child that names `path`.
  abi::MonitorReport report_of(const char* path, bool with_memory = true) {
    const Watched watched = watch(5);
    const FilteredChild child(path);
    const auto memory =
        sys::open_file("/proc/" + std::to_string(child.pid()) + "/mem", O_RDONLY).value();
    send(abi::MonitorCommandVerb::kListen, 5,
         with_memory ? std::vector{child.listener(), memory.get()} : std::vector{child.listener()});
    EXPECT_TRUE(monitor_->turn());
    abi::MonitorReport report{};
    EXPECT_TRUE(sys::receive_record(link_.first.get(), report));
    EXPECT_EQ(report.call, chroot_call());
    return report;
  }
};

TEST_F(MonitorPathTest, PathOfTheCallIsCopiedAsItStands) {
  const abi::MonitorReport report = report_of("/a\033[2J path");
  EXPECT_EQ(std::string(report.path, report.path_bytes), "/a\033[2J path");
  EXPECT_EQ(report.path_is_cut, 0U);
}

TEST_F(MonitorPathTest, LongPathIsCut) {
  const std::string path(2 * abi::kSeenPathBytesMax, 'x');
  const abi::MonitorReport report = report_of(path.c_str());
  EXPECT_EQ(report.path_bytes, abi::kSeenPathBytesMax);
  EXPECT_EQ(report.path_is_cut, 1U);
}

TEST_F(MonitorPathTest, PointerToNothingIsNoPath) {
  EXPECT_EQ(report_of(std::bit_cast<const char*>(uint64_t{0x10})).path_bytes, 0U);
}

TEST_F(MonitorPathTest, PointerThatIsNoAddressIsNoPath) {
  EXPECT_EQ(report_of(std::bit_cast<const char*>(UINT64_MAX - 3)).path_bytes, 0U);
}

TEST_F(MonitorPathTest, WithoutTheMemoryThereIsTheCallAlone) {
  EXPECT_EQ(report_of("/a", false).path_bytes, 0U);
}

// A child that asks for its parent, which some policy could allow, `count` times; then it makes a
// call that no policy can allow.
class RelaxedChild {
 public:
  explicit RelaxedChild(unsigned count) {
    auto sockets = sys::create_seqpacket_pair().value();
    pid_ = ::fork();
    if (pid_ == 0) {
      run(sockets.second.get(), count);
    }
    abi::MonitorReport unused{};
    auto received = sys::receive_record(sockets.first.get(), unused, 1, sys::Wait::kYes);
    listener_ = received.value().fds.take(0);
  }
  ~RelaxedChild() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  RelaxedChild(const RelaxedChild&) = delete;
  RelaxedChild& operator=(const RelaxedChild&) = delete;
  [[nodiscard]] int listener() const { return listener_.get(); }

 private:
  [[noreturn]] static void run(int socket, unsigned count) {
    const sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_personality, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    static_cast<void>(sys::set_no_new_privileges());
    const int listener = sys::load_filter_with_listener(filter).value();
    const abi::MonitorReport unused{};
    static_cast<void>(sys::send_record(socket, unused, std::span(&listener, 1)));
    ::close(listener);
    for (unsigned i = 0; i < count; ++i) {
      static_cast<void>(::getppid());
    }
    sys::call_probe(0xabcdef);
    ::_exit(0);
  }
  pid_t pid_ = -1;
  sys::UniqueFd listener_;
};

constexpr int64_t kLong = 3'600'000'000'000;

class MonitorRelaxedTest : public MonitorTest {
 protected:
  // What is reported of worker 5 until its violation, which is the last.
  std::vector<abi::MonitorReport> reports_to_the_end() {
    std::vector<abi::MonitorReport> all;
    while (all.empty() || all.back().verb != abi::MonitorReportVerb::kViolation) {
      abi::MonitorReport report{};
      if (sys::receive_record(link_.first.get(), report)) {
        all.push_back(report);
      } else if (!monitor_->turn()) {
        ADD_FAILURE() << "the monitor ended";
        break;
      }
    }
    return all;
  }
};

TEST_F(MonitorRelaxedTest, CallsAreMadeAndToldOfNowAndThenUntilOneThatNoPolicyAllows) {
  const Watched watched = watch(5);
  const RelaxedChild child(300);
  send(abi::MonitorCommandVerb::kListen, 5, {child.listener()}, kLong);
  const auto reports = reports_to_the_end();
  ASSERT_EQ(reports.size(), 4U);
  const uint64_t counts[] = {1, 16, 256};
  for (size_t i = 0; i < std::size(counts); ++i) {
    EXPECT_EQ(reports[i].verb, abi::MonitorReportVerb::kSeen);
    EXPECT_EQ(reports[i].call, SYS_getppid);
    EXPECT_EQ(reports[i].count, counts[i]);
  }
  EXPECT_EQ(reports.back().call, SYS_personality);
}

TEST_F(MonitorRelaxedTest, WithoutItTheFirstCallIsAViolation) {
  const Watched watched = watch(5);
  const RelaxedChild child(1);
  send(abi::MonitorCommandVerb::kListen, 5, {child.listener()});
  const auto reports = reports_to_the_end();
  ASSERT_EQ(reports.size(), 1U);
  EXPECT_EQ(reports[0].call, SYS_getppid);
}

TEST_F(MonitorRelaxedTest, ItsEndEndsIt) {
  const Watched watched = watch(5);
  const RelaxedChild child(UINT_MAX);
  constexpr int64_t kShort = 20'000'000;
  send(abi::MonitorCommandVerb::kListen, 5, {child.listener()}, kShort);
  const auto reports = reports_to_the_end();
  EXPECT_EQ(reports.front().verb, abi::MonitorReportVerb::kSeen);
  EXPECT_EQ(reports.back().call, SYS_getppid);
}

TEST_F(MonitorRelaxedTest, ItCanBeginAndEndWhileTheWorkerRuns) {
  const Watched watched = watch(5);
  const RelaxedChild child(UINT_MAX);
  send(abi::MonitorCommandVerb::kRelax, 5, {}, kLong);
  send(abi::MonitorCommandVerb::kListen, 5, {child.listener()}, kLong);
  ASSERT_TRUE(monitor_->turn());
  send(abi::MonitorCommandVerb::kRelax, 5, {}, 0);
  const auto reports = reports_to_the_end();
  EXPECT_EQ(reports.back().call, SYS_getppid);
  EXPECT_GE(reports.size(), 2U);
}

TEST_F(MonitorRelaxedTest, OneWorkerInALoopHoldsUpNobody) {
  const Watched watched = watch(5);
  const Watched other = watch(6);
  const RelaxedChild child(UINT_MAX);
  send(abi::MonitorCommandVerb::kListen, 5, {child.listener()}, kLong);
  print(other.output, "here");
  ASSERT_TRUE(monitor_->turn());
  EXPECT_EQ(logged(other.log, Stream::kOutput), "here");
  send(abi::MonitorCommandVerb::kRelax, 6);  // nobody's listener
  EXPECT_EQ(monitor_->worker_count(), 2U);
}

TEST_F(MonitorTest, ReportWaitsForRoomOnTheLink) {
  const Watched watched = watch(5);
  const FilteredChild child;
  send(abi::MonitorCommandVerb::kListen, 5, {child.listener()});
  constexpr int kSmallest = 1;  // the kernel makes it its least
  ASSERT_EQ(::setsockopt(link_.second.get(), SOL_SOCKET, SO_SNDBUF, &kSmallest, sizeof kSmallest),
            0);
  const abi::MonitorReport filler{};
  while (sys::send_record(link_.second.get(), filler)) {
  }
  ASSERT_TRUE(monitor_->turn());
  bool seen = false;
  for (abi::MonitorReport report{}; !seen;) {
    if (!sys::receive_record(link_.first.get(), report)) {
      ASSERT_TRUE(monitor_->turn());
      continue;
    }
    seen = report.verb == abi::MonitorReportVerb::kViolation;
  }
}

}  // namespace
}  // namespace rtsup::monitor
