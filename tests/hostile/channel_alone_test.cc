// The evil worker with every system call allowed: no filter, no sandbox, the uid of the test. What
// holds here holds by the channel alone. A real broker under its own filter, a victim that calls
// all the while, and a rogue that is a process of its own; after each deed the broker has nothing
// of the rogue's left, and nothing is pending.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <future>
#include <random>
#include <thread>

#include "abi/operation.h"
#include "broker/testing/tables.h"
#include "broker/testing/temp_folder.h"
#include "schemas/plan_generated.h"
#include "schemas/pubsub_generated.h"
#include "sdk/channel_transport.h"
#include "supervisor/lifecycle/cause.h"
#include "tests/hostile/deeds.h"
#include "tests/hostile/rogue/ranges.h"
#include "tests/support/broker_process.h"

namespace rtsup::test {
namespace {

using broker::testing::Table;
using broker::testing::text_of;

constexpr const char* kRogue = RTSUP_BUILD_DIR "/test-functions/rogue";
constexpr uint32_t kVictim = 0;  // functions, and the sessions that are there from the beginning
constexpr uint32_t kRogueFunction = 1;
constexpr uint32_t kHastyFunction = 2;  // the same, with a short deadline of its events
constexpr uint64_t kInvokeTimeoutNs = 60'000'000'000;
constexpr uint32_t kVictimSession = 1;
constexpr uint32_t kOperatorSession = 2;
constexpr uint64_t kShutdownLimitMs = 60'000;
// Far below the limit and far above what an idle broker needs.
constexpr int kPatienceMs = 10'000;
constexpr int kShutdownPatienceMs = 40'000;
#ifdef __SANITIZE_ADDRESS__
constexpr uint32_t kDeathRounds = 50;
#else
constexpr uint32_t kDeathRounds = 300;
#endif

sys::SealedMemfd base_plan() {
  flatbuffers::FlatBufferBuilder b;
  const std::vector components = {plan::CreateComponentDirect(b, "store", "state.memory"),
                                  plan::CreateComponentDirect(b, "bus", "pubsub.memory")};
  const std::vector<uint16_t> opcodes = {abi::op::kStateGet, abi::op::kStateSet};
  const std::vector<flatbuffers::Offset<flatbuffers::String>> all = {b.CreateString("*")};
  const std::vector state = {plan::CreateStateGrantDirect(b, 0, &all, &opcodes)};
  const std::vector publish = {plan::CreatePubsubGrantDirect(b, 1, &all)};
  const std::vector subscribe = {plan::CreatePubsubGrantDirect(b, 1, nullptr, &all)};
  const std::vector functions = {
      plan::CreateFunctionDirect(b, "victim", &state, nullptr, 0, 5'000'000'000, 1, &publish),
      plan::CreateFunctionDirect(b, "rogue", nullptr, nullptr, 0, kInvokeTimeoutNs, 1, &subscribe),
      plan::CreateFunctionDirect(b, "hasty", nullptr, nullptr, 0, 500'000'000, 1, &subscribe)};
  b.Finish(plan::CreateBasePlanDirect(b, 1, "evil", "evil", &components, &functions), "RTBP");
  return sys::SealedMemfd::create(
             "plan", {reinterpret_cast<const std::byte*>(b.GetBufferPointer()), b.GetSize()})
      .value();
}

struct Reply {
  Status status = Status::kUnknown;
  std::string data;
};

Reply call(sdk::Transport& transport, uint16_t opcode, const Table& table,
           std::string_view payload = {}) {
  const sdk::Answer answer =
      transport.call({.opcode = opcode,
                      .metadata = table,
                      .payload = std::as_bytes(std::span(payload.data(), payload.size())),
                      .timeout_ns = kInvokeTimeoutNs});
  Reply reply{.status = answer.status, .data = text_of(answer.payload)};
  transport.release(answer.lease);
  return reply;
}

// Writes and reads its own key all the while, and counts what was not as it should be.
class Victim {
 public:
  explicit Victim(sdk::Regions regions)
      : shard_(regions.shard), worker_(sdk::ChannelTransport::create(std::move(regions))) {
    EXPECT_EQ(call(*worker_, abi::op::kStateSet, broker::testing::set_table("store", "kept"),
                   "the victim's value")
                  .status,
              Status::kOk);
    thread_ = std::jthread([this](const std::stop_token& stopped) { use(stopped); });
  }
  // It has been answered rightly since this was called, and always before.
  void expect_undisturbed() const {
    const uint64_t before = right_;
    while (right_ < before + 10 && wrong_ == 0) {
      std::this_thread::yield();
    }
    EXPECT_EQ(wrong_, 0U) << "the victim got a wrong answer";
  }
  void expect_value_kept() const {
    EXPECT_EQ(call(*worker_, abi::op::kStateGet, broker::testing::get_table("store", "kept")).data,
              "the victim's value");
  }
  void publish(std::string_view text) const {
    const Table table = broker::testing::make_table(
        [](auto& b) { return abi::CreatePubsubPublishRequestDirect(b, "bus", "news"); });
    EXPECT_EQ(call(*worker_, abi::op::kPubsubPublish, table, text).status, Status::kOk);
  }
  void rest() {
    thread_.request_stop();
    thread_.join();
  }
  // Who the shard's page says that owns it: the broker's thread, as long as it lives.
  [[nodiscard]] uint32_t owner() const {
    return reinterpret_cast<const abi::ShardPage*>(shard_.data())->owner.load();
  }

 private:
  void use(const std::stop_token& stopped) {
    const Table set = broker::testing::set_table("store", "counted");
    const Table get = broker::testing::get_table("store", "counted");
    for (uint64_t number = 0; !stopped.stop_requested(); ++number) {
      const std::string text = "value " + std::to_string(number);
      const bool written = call(*worker_, abi::op::kStateSet, set, text).status == Status::kOk;
      const bool same = call(*worker_, abi::op::kStateGet, get).data == text;
      ++(written && same ? right_ : wrong_);
    }
  }
  std::span<const std::byte> shard_;
  std::unique_ptr<sdk::ChannelTransport> worker_;
  std::atomic<uint64_t> right_{0};
  std::atomic<uint64_t> wrong_{0};
  std::jthread thread_;
};

// A rogue in a process of its own: nobody confines it.
class RogueProcess {
 public:
  explicit RogueProcess(const sys::UniqueFd& socket) {
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(socket.get(), abi::kSessionFd);
      ::execl(kRogue, "rogue", nullptr);
      ::_exit(127);
    }
  }
  ~RogueProcess() { (void)end(); }
  RogueProcess(const RogueProcess&) = delete;
  RogueProcess& operator=(const RogueProcess&) = delete;
  // Waits for it to end by itself; the status as waitpid() has it.
  int wait() {
    int status = -1;
    EXPECT_EQ(::waitpid(std::exchange(pid_, -1), &status, 0) > 0, true);
    return status;
  }
  int end() {
    if (pid_ <= 0) {
      return -1;
    }
    ::kill(pid_, SIGKILL);
    return wait();
  }

 private:
  pid_t pid_ = -1;
};

class ChannelAloneTest : public ::testing::Test {
 protected:
  ChannelAloneTest()
      : plan_(base_plan()),
        filter_(broker_filter()),
        broker_(folder_.path(), plan_.fd(), filter_.fd()) {
    EXPECT_EQ(broker_.next().verb, abi::LinkReportVerb::kServing);
    victim_.emplace(broker_.attach({kVictimSession, kVictim}));
    operator_ = sdk::ChannelTransport::create(
        broker_.attach({kOperatorSession, 0, abi::PrincipalKind::kOperator}));
    EXPECT_EQ(rogue_usage().sessions, 0U);
    owner_ = victim_->owner();
    EXPECT_NE(owner_, 0U);
    before_ = broker_.holdings();
  }
  // Whatever was done: nothing of it is left, and nothing is pending.
  void TearDown() override {
    victim_->expect_undisturbed();
    victim_->expect_value_kept();
    EXPECT_EQ(victim_->owner(), owner_) << "the shard's page says that the broker is another";
    victim_->rest();
    EXPECT_TRUE(broker_.is_alive());
    broker_.tell(abi::LinkCommandVerb::kShutdown, 0, kShutdownLimitMs);
    const int status = broker_.wait_exit_for(kShutdownPatienceMs);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0)
        << "status " << status << (status == -1 ? ": calls were still pending" : "");
  }

  std::unique_ptr<RogueProcess> launch(uint32_t function = kRogueFunction) {
    ++session_;
    auto rogue = std::make_unique<RogueProcess>(broker_.introduce({session_, function}));
    const abi::LinkReport report = broker_.next();
    EXPECT_EQ(report.verb, abi::LinkReportVerb::kReady);
    EXPECT_EQ(report.session, session_);
    return rogue;
  }
  std::future<Reply> tell(const char* function, const std::string& what) {
    return std::async(std::launch::async, [this, function, what] {
      return call(*operator_, abi::op::kInvokeCall, broker::testing::invoke_table(function), what);
    });
  }
  void expect_violation(uint32_t session, std::string_view reason) {
    const abi::LinkReport report = broker_.next();
    EXPECT_EQ(report.verb, abi::LinkReportVerb::kViolation);
    EXPECT_EQ(report.session, session);
    if (!reason.empty()) {
      EXPECT_EQ(supervisor::violation_name(report.reason), reason) << "figure " << report.number;
    }
  }
  struct Usage {
    uint32_t sessions = 0;
    uint64_t violations = 0;
  };
  Usage rogue_usage() {
    const Table table = broker::testing::usage_table();
    const sdk::Answer answer = operator_->call({.opcode = abi::op::kBaseUsage, .metadata = table});
    EXPECT_EQ(answer.status, Status::kOk);
    const auto& rows =
        *flatbuffers::GetRoot<abi::UsageResponse>(answer.metadata.data())->functions();
    Usage usage;
    for (const uint32_t function : {kRogueFunction, kHastyFunction}) {
      usage.sessions += rows[function]->sessions();
      usage.violations += rows[function]->violations();
    }
    operator_->release(answer.lease);
    return usage;
  }
  // What the supervisor asks for when it has seen a death. Commands and calls reach the broker by
  // different ways, so that it may take a moment until the one shows in the other.
  void reclaim(uint32_t session) {
    broker_.tell(abi::LinkCommandVerb::kDetach, session);
    while (rogue_usage().sessions != 0) {
      std::this_thread::yield();
    }
    // The memory goes at the end of the broker's turn, which may be after that answer.
    for (int i = 0; i < kPatienceMs && broker_.holdings() != before_; ++i) {
      ::usleep(1000);
    }
    EXPECT_EQ(broker_.holdings().descriptors, before_.descriptors);
    EXPECT_EQ(broker_.holdings().mappings, before_.mappings);
  }

  // Does it, looks at what comes of it, and takes everything back.
  void commit(const Deed& deed, const std::string& input) {
    SCOPED_TRACE(input);
    const uint64_t violations = rogue_usage().violations;
    const auto rogue = launch();
    std::future<Reply> told = tell("rogue", input);
    bool is_violation = deed.alone.end == End::kEnded;
    switch (deed.alone.end) {
      case End::kAnswered:
        EXPECT_EQ(told.get().data, deed.alone.detail);
        break;
      case End::kEnded:
        expect_violation(session_, deed.alone.detail);
        break;
      case End::kEither:
        is_violation = told.get().data != deed.alone.detail;
        if (is_violation) {
          expect_violation(session_, {});
        }
        break;
      case End::kExits:
        EXPECT_EQ(rogue->wait(), 7 << 8);
        break;
      case End::kKilled:
        EXPECT_EQ(rogue->wait(), SIGKILL);
        break;
      case End::kStopped:
        FAIL() << "here nothing is stopped";
    }
    victim_->expect_undisturbed();
    (void)rogue->end();
    reclaim(session_);
    if (told.valid()) {
      (void)told.get();  // that there is one is the point: no caller waits for ever
    }
    EXPECT_EQ(rogue_usage().violations - violations, is_violation ? 1U : 0U);
  }
  void commit_all(std::span<const Deed> deeds) {
    for (const Deed& deed : deeds) {
      commit(deed, std::string(deed.attack));
    }
  }

  broker::testing::TempFolder folder_;
  sys::SealedMemfd plan_;
  sys::SealedMemfd filter_;
  BrokerProcess broker_;
  std::optional<Victim> victim_;
  std::unique_ptr<sdk::ChannelTransport> operator_;
  uint32_t session_ = kOperatorSession;
  uint32_t owner_ = 0;
  BrokerProcess::Holdings before_;
};

TEST_F(ChannelAloneTest, HoldsAgainstFrames) { commit_all(kFrameDeeds); }
TEST_F(ChannelAloneTest, HoldsAgainstTables) { commit_all(kTableDeeds); }
TEST_F(ChannelAloneTest, HoldsAgainstWhatCanBeDoneToMemory) { commit_all(kMemoryDeeds); }
TEST_F(ChannelAloneTest, HoldsAgainstWhatCanBeDoneToDescriptors) { commit_all(kDescriptorDeeds); }
TEST_F(ChannelAloneTest, HoldsAgainstCallsThatAreIllMeant) { commit_all(kServiceDeeds); }
TEST_F(ChannelAloneTest, HoldsAgainstMemoryThatChangesWhileItIsRead) { commit_all(kThreadDeeds); }
TEST_F(ChannelAloneTest, HoldsAgainstFloodsAndSuddenEnds) { commit_all(kEndingDeeds); }

TEST_F(ChannelAloneTest, NoRangeOutsideOfAWindowIsTaken) {
  for (size_t i = 0; i < 2 * kRangeVectors; ++i) {
    commit(both("range", End::kEnded, "RANGE"), "range " + std::to_string(i));
  }
}

// Each is a session that only its deadline ends. They wait at the same time.
TEST_F(ChannelAloneTest, HoldsAgainstWorkersThatNeverAnswerOrRead) {
  std::vector<std::unique_ptr<RogueProcess>> rogues;
  std::vector<std::future<Reply>> told;
  std::map<uint32_t, std::string_view> due;
  for (const Deed& deed : kSlowDeeds) {
    rogues.push_back(launch(kHastyFunction));
    told.push_back(tell("hasty", std::string(deed.attack)));
    due[session_] = deed.alone.detail;
    told.back().wait();
    // Keeps the subscriber busy, so that what the next rogue is told goes to that one alone.
    if (deed.attack == "hold-message") {
      victim_->publish("a message for nobody's good");
    }
  }
  for (size_t i = 0; i < std::size(kSlowDeeds); ++i) {
    const abi::LinkReport report = broker_.next();
    EXPECT_EQ(report.verb, abi::LinkReportVerb::kViolation);
    EXPECT_EQ(supervisor::violation_name(report.reason), due[report.session])
        << "session " << report.session;
    due.erase(report.session);
  }
  EXPECT_TRUE(due.empty());
  rogues.clear();
  for (uint32_t session = kOperatorSession + 1; session < session_; ++session) {
    broker_.tell(abi::LinkCommandVerb::kDetach, session);
  }
  reclaim(session_);
}

// A worker that dies at any instruction, in the midst of calls. RTSUP_DEATH_SEED repeats a run.
TEST_F(ChannelAloneTest, NothingIsLeftOfAWorkerThatDiesAtAnyInstruction) {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): nobody changes the environment
  const char* const given = std::getenv("RTSUP_DEATH_SEED");
  const uint64_t seed =
      given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::printf("RTSUP_DEATH_SEED=%llu\n", static_cast<unsigned long long>(seed));
  std::mt19937_64 random(seed);
  for (uint32_t round = 0; round < kDeathRounds; ++round) {
    const auto rogue = launch();
    std::future<Reply> told = tell("rogue", "call-for-ever");
    ::usleep(static_cast<useconds_t>(random() % 2000));
    EXPECT_EQ(rogue->end(), SIGKILL);
    reclaim(session_);
    (void)told.get();
  }
  EXPECT_EQ(rogue_usage().violations, 0U) << "dying is no offence";
}

}  // namespace
}  // namespace rtsup::test
