// Who pays for large values, and what the broker does when its own memory is short: a real broker
// in a control group of its own, workers in others.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstring>
#include <optional>
#include <thread>

#include "abi/operation.h"
#include "broker/testing/tables.h"
#include "broker/testing/temp_folder.h"
#include "schemas/plan_generated.h"
#include "schemas/session_generated.h"
#include "sdk/channel_transport.h"
#include "sys/cgroup.h"
#include "sys/cgroup_mounts.h"
#include "sys/socket.h"
#include "tests/support/broker_process.h"
#include "tests/support/calls.h"
#include "tests/support/group_sweeper.h"

namespace rtsup::test {
namespace {

using broker::testing::get_table;
using broker::testing::make_table;
using broker::testing::set_table;
using broker::testing::Table;
using broker::testing::text_of;

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr uint64_t kPatienceNs = 60'000'000'000;
constexpr uint32_t kWriter = 0;  // functions
constexpr uint32_t kRogue = 1;
constexpr uint32_t kVictim = 2;

struct Limits {
  uint64_t functions = 0;
  const char* store = "16777216";
};

sys::SealedMemfd base_plan(const Limits& limits) {
  flatbuffers::FlatBufferBuilder b;
  const std::vector settings = {plan::CreateSettingDirect(b, "bytes_max", limits.store)};
  const std::vector own = {plan::CreateSettingDirect(b, "bytes_max", "1048576")};
  const std::vector components = {
      plan::CreateComponentDirect(b, "fast", "state.memory", nullptr, &settings),
      plan::CreateComponentDirect(b, "kept", "state.sqlite", "kept.db"),
      plan::CreateComponentDirect(b, "store", "state.memory", nullptr, &own)};
  const std::vector<uint16_t> opcodes = {abi::op::kStateGet, abi::op::kStateSet};
  const std::vector<flatbuffers::Offset<flatbuffers::String>> all = {b.CreateString("*")};
  const auto grant = [&](uint32_t component) {
    return plan::CreateStateGrantDirect(b, component, &all, &opcodes);
  };
  const std::vector writer = {grant(0), grant(1)};
  const std::vector victim = {grant(2)};
  const std::vector functions = {plan::CreateFunctionDirect(b, "writer", &writer),
                                 plan::CreateFunctionDirect(b, "rogue"),
                                 plan::CreateFunctionDirect(b, "victim", &victim)};
  b.Finish(plan::CreateBasePlanDirect(b, 1, "shop", "shop", &components, &functions, 0,
                                      limits.functions),
           "RTBP");
  return sys::SealedMemfd::create(
             "plan", {reinterpret_cast<const std::byte*>(b.GetBufferPointer()), b.GetSize()})
      .value();
}

// A process in a group of its own that does one thing and then waits to be ended.
class Guest {
 public:
  // `work` runs in the child; what it returns is said() to the parent.
  template <typename Work>
  Guest(const sys::Cgroup& group, const Work& work) {
    std::array<int, 2> pipe{};
    EXPECT_EQ(::pipe2(pipe.data(), O_CLOEXEC), 0);
    said_ = sys::UniqueFd(pipe[0]);
    const sys::UniqueFd saying(pipe[1]);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      join(group);
      const char byte = work() ? 'y' : 'n';
      if (::write(saying.get(), &byte, 1) == 1) {
        ::pause();
      }
      ::_exit(1);
    }
  }
  ~Guest() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Guest(const Guest&) = delete;
  Guest& operator=(const Guest&) = delete;
  // Waits for the end of its work.
  [[nodiscard]] bool went_well() const {
    char byte = 'n';
    return ::read(said_.get(), &byte, 1) == 1 && byte == 'y';
  }

 private:
  pid_t pid_ = -1;
  sys::UniqueFd said_;
};

// A worker that writes its own frames, with windows of its own, into which it can punch holes.
class RogueWorker {
 public:
  RogueWorker(sdk::Regions regions, int socket) : regions_(std::move(regions)), socket_(socket) {}

  // The bytes of a window of the size; empty when the base gives none.
  std::span<std::byte> ask_window(uint32_t bytes) {
    const abi::Frame answer = ask(abi::op::kSessionWindow, make_table([&](auto& b) {
                                    return abi::CreateWindowRequest(b, abi::Direction::Up, bytes);
                                  }));
    if (answer.status != 0) {
      return {};
    }
    abi::SessionMessage message{};
    auto received = sys::receive_record(socket_, message, abi::kSessionItemsMax);
    void* const at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
                            received->fds.take(0).get(), 0);
    last_window_ = message.items[0].window;
    const abi::Frame ready =
        ask(abi::op::kSessionWindowReady,
            make_table([&](auto& b) { return abi::CreateWindowReadyRequest(b, last_window_); }));
    return at == MAP_FAILED || ready.status != 0 ? std::span<std::byte>()
                                                 : std::span(static_cast<std::byte*>(at), bytes);
  }
  // Has the base read there.
  bool have_read(uint32_t offset, uint32_t bytes) {
    return ask(abi::op::kBaseEcho, make_table([](auto& b) { return abi::CreateEchoRequest(b); }),
               {last_window_, offset, bytes, 0})
               .status == 0;
  }

 private:
  abi::Frame ask(uint16_t opcode, const Table& table, const abi::Range& payload = {}) {
    abi::Frame frame;
    frame.sequence = tail_;
    frame.correlation = 1 + tail_;
    frame.opcode = opcode;
    std::memcpy(regions_.up.data() + abi::kArenaOffset, table.data(), table.size());
    frame.metadata = {0, abi::kArenaOffset, static_cast<uint32_t>(table.size()), 0};
    frame.payload = payload;
    std::memcpy(regions_.up_slot(tail_), &frame, sizeof frame);
    regions_.up_header().request_tail.store(++tail_);
    EXPECT_TRUE(regions_.doorbell.notify());
    for (;;) {
      while (regions_.down_header().response_tail.load() == head_) {
        std::this_thread::yield();
      }
      abi::Frame answer;
      std::memcpy(&answer, regions_.down_slot(head_), sizeof answer);
      regions_.up_header().down_head.store(++head_);
      if (answer.lease != abi::kNoLease) {
        regions_.up_header().released[answer.lease].store(answer.lease_generation);
      }
      if (answer.kind == abi::FrameKind::kResponse && answer.correlation == frame.correlation) {
        return answer;
      }
    }
  }
  sdk::Regions regions_;
  int socket_;
  uint64_t tail_ = 0;
  uint64_t head_ = 0;
  uint32_t last_window_ = 0;
};

// Has the base read holes in every window that it gives; whether one was refused.
bool punch_holes(int socket) {
  auto regions = sdk::Regions::attach(sys::duplicate(socket).value(), kPatienceNs);
  RogueWorker worker(std::move(*regions), socket);
  bool was_refused = false;
  for (const uint32_t bytes : {64U << 20, 32U << 20, 16U << 20, 8U << 20, 8U << 20, 4U << 20,
                               4U << 20, 2U << 20, 1U << 20, 1U << 20}) {
    const auto window = worker.ask_window(bytes);
    was_refused = was_refused || window.empty();
    if (!window.empty()) {
      ::madvise(window.data(), window.size(), MADV_REMOVE);
      for (uint32_t at = 0; at < bytes; at += 16 << 10) {
        if (!worker.have_read(at, 16 << 10)) {
          return false;
        }
      }
    }
  }
  return was_refused;
}

// Writes without end; whether it was refused at times, and got what it had written otherwise.
bool write_without_end(int socket) {
  auto regions = sdk::Regions::attach(sys::duplicate(socket).value(), kPatienceNs);
  const auto transport = sdk::ChannelTransport::create(std::move(*regions));
  int refused = 0;
  for (int i = 0; i < 40; ++i) {
    const std::string payload((i % 5) * kMiB + 1000, 'w');
    const std::string key = "key" + std::to_string(i);
    for (const char* const component : {"fast", "kept"}) {
      const Status status =
          call(*transport, abi::op::kStateSet, set_table(component, key), payload, kPatienceNs)
              .status;
      refused += status == Status::kResourceExhausted ? 1 : 0;
      if (status != Status::kOk && status != Status::kResourceExhausted) {
        return false;
      }
      if (status == Status::kOk) {
        const Reply got =
            call(*transport, abi::op::kStateGet, get_table(component, key), {}, kPatienceNs);
        if (got.status == Status::kOk && got.data != payload) {
          return false;
        }
      }
    }
  }
  return refused > 0;
}

class BrokerMemoryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto mounts = sys::find_cgroup_mounts();
    if (!mounts) {
      GTEST_SKIP() << "no cgroup file system: " << describe(mounts.error());
    }
    const std::string name = "memory-test-" + std::to_string(::getpid());
    sweeper_.emplace(sys::CgroupTree::folders_of(name, *mounts));
    auto tree = sys::CgroupTree::create(name, *mounts);
    if (!tree) {
      GTEST_SKIP() << "no control group of its own: " << describe(tree.error());
    }
    tree_ = std::move(*tree);
    if (!tree_.abilities().memory) {
      GTEST_SKIP() << "the memory controller is not there";
    }
    has_tree_ = true;
  }
  void TearDown() override {
    broker_.reset();
    if (has_tree_) {
      const Result<void> removed = tree_.remove();
      EXPECT_TRUE(removed) << describe(removed.error());
    }
  }
  sys::Cgroup group(const std::string& name, uint64_t memory_bytes = 0) {
    auto made = tree_.create_group(name, {.memory_bytes = memory_bytes});
    EXPECT_TRUE(made) << describe(made.error());
    return std::move(*made);
  }
  void start_broker(const Limits& limits, const sys::Cgroup& own) {
    plan_ = base_plan(limits);
    broker_.emplace(folder_.path(), plan_.fd(), filter_.fd(), &own);
    ASSERT_EQ(broker_->next().verb, abi::LinkReportVerb::kServing);
  }
  static uint64_t bytes_of(const sys::Cgroup& group) { return group.usage()->memory_bytes; }

  std::optional<GroupSweeper> sweeper_;
  sys::CgroupTree tree_;
  bool has_tree_ = false;
  broker::testing::TempFolder folder_;
  sys::SealedMemfd plan_;
  sys::SealedMemfd filter_ = broker_filter();
  std::optional<BrokerProcess> broker_;
};

// Windows in both directions are the worker's own, whatever their size.
TEST_F(BrokerMemoryTest, TheWorkerPaysForItsWindows) {
  const sys::Cgroup own = group("broker");
  start_broker({}, own);
  const sys::Cgroup workers = group("worker");
  const sys::UniqueFd socket = broker_->introduce({.session = 1, .function = kWriter});
  const uint64_t before = bytes_of(own);
  const Guest worker(workers, [&] {
    auto regions = sdk::Regions::attach(sys::duplicate(socket.get()).value(), kPatienceNs);
    // Never destroyed: its windows stay until the process is ended.
    auto* const transport = sdk::ChannelTransport::create(std::move(*regions)).release();
    const std::string payload(48 * kMiB, 'p');
    const Table table = make_table([](auto& b) { return abi::CreateEchoRequest(b); });
    const sdk::Answer answer = transport->call({.opcode = abi::op::kBaseEcho,
                                                .metadata = table,
                                                .payload = std::as_bytes(std::span(payload)),
                                                .timeout_ns = kPatienceNs});
    return text_of(answer.payload) == payload;
  });
  EXPECT_TRUE(worker.went_well());
  EXPECT_GT(bytes_of(workers), 2 * 48 * kMiB);
  // The broker held the payload once, on its way; what is left is page tables.
  uint64_t after = bytes_of(own);
  for (int i = 0; i < 5000 && after > before + 8 * kMiB; ++i) {
    ::usleep(1000);
    after = bytes_of(own);
  }
  EXPECT_LT(after, before + 8 * kMiB);
}

// A broker of little memory, a worker that has it pay for holes in every window that it can get,
// and one that writes without end: both are refused, nobody is ended, the third notices nothing.
TEST_F(BrokerMemoryTest, UnderATightLimitTheBrokerRefusesAndLives) {
  const sys::Cgroup own = group("broker", 144 * kMiB);
  start_broker({.functions = 96 * kMiB}, own);
  const auto victim =
      sdk::ChannelTransport::create(broker_->attach({.session = 3, .function = kVictim}));
  ASSERT_EQ(set(*victim, "store", "key", "kept").status, Status::kOk);

  const sys::Cgroup workers = group("workers");
  const sys::UniqueFd writer_socket = broker_->introduce({.session = 1, .function = kWriter});
  const sys::UniqueFd rogue_socket = broker_->introduce({.session = 2, .function = kRogue});
  const Guest rogue(workers, [&] { return punch_holes(rogue_socket.get()); });
  const Guest writer(workers, [&] { return write_without_end(writer_socket.get()); });
  std::atomic<bool> is_over{false};
  int wrong = 0;
  std::thread using_it([&] {
    while (!is_over) {
      wrong += set(*victim, "store", "key", "kept").status == Status::kOk ? 0 : 1;
      wrong += get(*victim, "store", "key").data == "kept" ? 0 : 1;
    }
  });
  EXPECT_TRUE(rogue.went_well());
  EXPECT_TRUE(writer.went_well());
  is_over = true;
  using_it.join();
  EXPECT_EQ(wrong, 0) << "answers of the neighbour";
  EXPECT_TRUE(broker_->is_alive());
  const sys::CgroupUsage usage = *own.usage();
  EXPECT_EQ(usage.oom_kills, 0U);
  EXPECT_LE(usage.memory_peak_bytes, 144 * kMiB);
  std::printf("broker: %llu MiB at most\n",
              static_cast<unsigned long long>(usage.memory_peak_bytes / kMiB));
}

}  // namespace
}  // namespace rtsup::test
