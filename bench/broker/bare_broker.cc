#include "bench/broker/bare_broker.h"

#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "abi/operation.h"
#include "bench/peers/server_process.h"
#include "manifest/disk_file_system.h"
#include "manifest/load.h"
#include "schemas/plan_generated.h"
#include "sdk/host.h"
#include "sys/seccomp.h"
#include "sys/socket.h"

namespace rtsup::bench {
namespace {

sys::SealedMemfd make_plan(bool spin) {
  flatbuffers::FlatBufferBuilder b;
  const std::vector components = {plan::CreateComponentDirect(b, "memory", "state.memory")};
  const std::vector<uint16_t> opcodes = {abi::op::kStateGet, abi::op::kStateSet};
  const std::vector<flatbuffers::Offset<flatbuffers::String>> keys = {b.CreateString("item-*")};
  const std::vector grants = {plan::CreateStateGrantDirect(b, 0, &keys, &opcodes)};
  const std::vector functions = {plan::CreateFunctionDirect(b, "caller", &grants),
                                 plan::CreateFunctionDirect(b, "idle")};
  b.Finish(
      plan::CreateBasePlanDirect(b, 1, "bench", "bench", &components, &functions, spin ? 1 : 0),
      "RTBP");
  auto sealed = sys::SealedMemfd::create(
      "plan", {reinterpret_cast<const std::byte*>(b.GetBufferPointer()), b.GetSize()});
  return sealed ? std::move(*sealed) : sys::SealedMemfd();
}

sys::SealedMemfd make_filter() {
  const auto loaded = manifest::load_daemon_filter("daemon-broker", manifest::DiskFileSystem(),
                                                   {.policy_folder = RTSUP_SOURCE_DIR "/policies"});
  if (!loaded.filter) {
    fail("the broker's filter");
  }
  const auto compiled = sys::compile_filter(*loaded.filter, sys::DefaultAction::kKillProcess);
  auto sealed = sys::SealedMemfd::create("filter", std::as_bytes(std::span(compiled.value())));
  return sealed ? std::move(*sealed) : sys::SealedMemfd();
}

}  // namespace

BareBroker::BareBroker(const Options& options) {
  std::string folder = "/tmp/rtsup-bench-broker-XXXXXX";
  if (mkdtemp(folder.data()) == nullptr) {
    fail("mkdtemp");
  }
  folder_ = folder;
  const std::string program = folder_of_this_program() + "/" + options.program;
  if (access(program.c_str(), X_OK) != 0) {
    fail(program.c_str());
  }
  const sys::SealedMemfd plan = make_plan(options.spin);
  const sys::SealedMemfd filter = make_filter();
  auto pair = sys::create_seqpacket_pair();
  if (!pair || !plan || !filter) {
    fail("what the broker is started with");
  }
  pid_ = fork();
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    cpu_set_t all;
    std::memset(&all, 0xFF, sizeof all);
    sched_setaffinity(0, sizeof all, &all);
    const int given[] = {pair->second.get(), plan.fd(), filter.fd()};
    int high[3];
    for (int i = 0; i < 3; ++i) {
      high[i] = dup(given[i]);  // these lie above 5, because 3 to 5 are among those given
    }
    for (int i = 0; i < 3; ++i) {
      dup2(high[i], 3 + i);
    }
    execl(program.c_str(), "rtsup-broker", "--state", folder_.c_str(), nullptr);
    _exit(127);
  }
  link_ = std::move(pair->first);
  if (next().verb != abi::LinkReportVerb::kServing) {
    fail("the broker does not serve");
  }
  pin_to_cpu(pid_, options.cpu);  // only now: one that sees one CPU never spins
}

BareBroker::~BareBroker() {
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

abi::LinkReport BareBroker::next() {
  abi::LinkReport report{};
  for (;;) {
    const auto received = sys::receive_record(link_.get(), report, 1, sys::Wait::kYes);
    if (received) {
      return report;
    }
    if (received.error().status != Status::kDataLoss) {  // longer than it: what was refused
      fail("the broker's link");
    }
  }
}

void BareBroker::send(const abi::LinkCommand& command, int fd) {
  const auto sent = fd < 0 ? sys::send_record(link_.get(), command)
                           : sys::send_record(link_.get(), command, std::span(&fd, 1));
  if (!sent) {
    fail("the broker's link");
  }
}

sys::UniqueFd BareBroker::introduce(uint32_t session, uint32_t function, abi::PrincipalKind kind) {
  auto pair = sys::create_seqpacket_pair();
  if (!pair || !sys::shutdown_socket(pair->first.get(), sys::Direction::kRead)) {
    fail("a session's socket");
  }
  abi::LinkCommand command{};
  command.magic = abi::kLinkMagic;
  command.verb = abi::LinkCommandVerb::kAttach;
  command.session = session;
  command.function = function;
  command.principal = kind;
  command.epoch = 1;
  send(command, pair->first.get());
  // Reports of sessions that ended meanwhile are none of this one's business.
  while (next().verb != abi::LinkReportVerb::kAttached) {
  }
  return std::move(pair->second);
}

std::unique_ptr<sdk::ChannelTransport> BareBroker::attach(uint32_t session, uint32_t function,
                                                          abi::PrincipalKind kind) {
  return attach_here(introduce(session, function, kind));
}

void BareBroker::detach(uint32_t session) {
  abi::LinkCommand command{};
  command.magic = abi::kLinkMagic;
  command.verb = abi::LinkCommandVerb::kDetach;
  command.session = session;
  send(command);
}

std::unique_ptr<sdk::ChannelTransport> attach_here(sys::UniqueFd socket) {
  auto worker = sdk::ChannelTransport::attach(std::move(socket), host::kAttachTimeoutNs);
  if (!worker) {
    fail("a session that does not attach");
  }
  return std::move(*worker);
}

}  // namespace rtsup::bench
