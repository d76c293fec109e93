#include "bench/percall/supervisor.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "abi/operation.h"
#include "schemas/plan_generated.h"
#include "sys/memory.h"
#include "sys/socket.h"

namespace rtsup::bench {
namespace {

sys::SealedMemfd make_plan(Waiting waiting) {
  flatbuffers::FlatBufferBuilder b;
  const std::vector components = {plan::CreateComponentDirect(b, "memory", "state.memory"),
                                  plan::CreateComponentDirect(b, "bus", "pubsub.memory")};
  const std::vector<uint16_t> opcodes = {abi::op::kStateGet, abi::op::kStateSet};
  const std::vector<flatbuffers::Offset<flatbuffers::String>> keys = {b.CreateString("item-*")};
  const std::vector<flatbuffers::Offset<flatbuffers::String>> topics = {b.CreateString("news")};
  const std::vector states = {plan::CreateStateGrantDirect(b, 0, &keys, &opcodes)};
  const std::vector publish = {plan::CreatePubsubGrantDirect(b, 1, &topics, nullptr)};
  const std::vector subscribe = {plan::CreatePubsubGrantDirect(b, 1, nullptr, &topics)};
  const std::vector<uint32_t> callees = {1};  // the first subscriber
  std::vector functions = {plan::CreateFunctionDirect(b, "caller", &states, &callees, 1'000'000'000,
                                                      5'000'000'000, 1, &publish)};
  for (uint32_t i = 0; i < kSubscribers; ++i) {
    const std::string name = "subscriber" + std::to_string(i);
    functions.push_back(plan::CreateFunctionDirect(b, name.c_str(), nullptr, nullptr, 0,
                                                   5'000'000'000, 32, &subscribe));
  }
  b.Finish(plan::CreateBasePlanDirect(b, 1, "bench", "bench", &components, &functions,
                                      waiting == Waiting::kSpin ? 2 : 0),
           "RTBP");
  auto sealed = sys::SealedMemfd::create(
      "plan", {reinterpret_cast<const std::byte*>(b.GetBufferPointer()), b.GetSize()});
  return sealed ? std::move(*sealed) : sys::SealedMemfd();
}

}  // namespace

void check(bool holds, const char* what) {
  if (!holds) {
    std::fprintf(stderr, "failed: %s\n", what);
    std::exit(1);
  }
}

Supervisor::Supervisor(Waiting waiting) {
  std::string folder = "/tmp/rtsup-bench-percall-XXXXXX";
  check(mkdtemp(folder.data()) != nullptr, "mkdtemp");
  folder_ = folder;
  auto pair = sys::create_seqpacket_pair();
  const sys::SealedMemfd plan = make_plan(waiting);
  check(pair.has_value() && plan, "what the broker is started with");
  link_ = std::move(pair->first);
  brokers_end_ = std::move(pair->second);
  auto plan_fd = sys::duplicate(plan.fd());
  check(plan_fd.has_value(), "the plan's descriptor");
  auto broker = broker::Broker::open(brokers_end_.get(), std::move(*plan_fd), folder_,
                                     broker::Broker::Role::kFirst);
  check(broker.has_value(), "the broker");
  broker_ = std::move(*broker);
  thread_ = std::thread([this] { check(broker_->run().has_value(), "the broker's loop"); });
  check(next().verb == abi::LinkReportVerb::kServing, "the broker does not serve");
}

Supervisor::~Supervisor() {
  link_.reset();  // which ends the loop
  thread_.join();
  broker_.reset();
  remove_folder();
}

void Supervisor::abandon() {
  remove_folder();
  std::_Exit(0);
}

void Supervisor::remove_folder() const {
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

abi::LinkReport Supervisor::next() {
  abi::LinkReport report{};
  for (;;) {
    const auto received = sys::receive_record(link_.get(), report, 1, sys::Wait::kYes);
    if (received) {
      return report;
    }
    // Longer than it: what was refused.
    check(received.error().status == Status::kDataLoss, "the link");
  }
}

sys::UniqueFd Supervisor::introduce(uint32_t session, uint32_t function) {
  auto pair = sys::create_seqpacket_pair();
  check(pair.has_value() && sys::shutdown_socket(pair->first.get(), sys::Direction::kRead),
        "a session's socket");
  abi::LinkCommand command{};
  command.magic = abi::kLinkMagic;
  command.verb = abi::LinkCommandVerb::kAttach;
  command.session = session;
  command.function = function;
  command.principal = abi::PrincipalKind::kFunction;
  command.epoch = 1;
  const int fd = pair->first.get();
  check(sys::send_record(link_.get(), command, std::span(&fd, 1)).has_value(), "the link");
  while (next().verb != abi::LinkReportVerb::kAttached) {
  }
  return std::move(pair->second);
}

}  // namespace rtsup::bench
