// rtsup-bench-percall: a broker and its workers as threads of one process, for counting what a call
// costs in instructions (bench/percall/count.py runs it under callgrind, twice, and takes the
// difference). The broker's parts are the shipped ones; only the supervisor is played. Times are
// not taken: a count is the same on a busy machine.
//
// usage: rtsup-bench-percall get|set|publish|mix DEPTH CALLS
//
// The first thread calls, the third is the broker, those after it are subscribers. `mix` is not
// counted: cmake/profile.cmake runs it for what a compiler learns from, so that it has all kinds of
// calls, both regimes of waiting, and an orderly end.
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <vector>

#include "abi/operation.h"
#include "bench/percall/calls.h"
#include "bench/percall/supervisor.h"
#include "schemas/pubsub_generated.h"
#include "schemas/session_generated.h"
#include "sdk/channel_transport.h"
#include "sdk/client.h"
#include "sdk/host.h"

namespace rtsup::bench {
namespace {

constexpr uint32_t kFirstSubscriber = 10;
constexpr size_t kValueBytes = 64;
constexpr size_t kMessageBytes = 4096;

std::unique_ptr<sdk::ChannelTransport> attach(Supervisor& supervisor, uint32_t session,
                                              uint32_t function) {
  auto worker = sdk::ChannelTransport::attach(supervisor.introduce(session, function),
                                              host::kAttachTimeoutNs);
  check(worker.has_value(), "a session");
  return std::move(*worker);
}

// As a function with the library, whose handler does nothing.
class Subscriber {
 public:
  Subscriber(Supervisor& supervisor, uint32_t number)
      : worker_(attach(supervisor, kFirstSubscriber + number, 1 + number)) {
    flatbuffers::FlatBufferBuilder builder;
    builder.Finish(abi::CreatePubsubSubscribeRequestDirect(builder, "bus", "news"));
    call(abi::op::kPubsubSubscribe, builder);
    builder.Clear();
    builder.Finish(abi::CreateSessionReadyRequest(builder));
    call(abi::op::kSessionReady, builder);
    thread_ = std::thread([this] { serve(); });
  }
  ~Subscriber() {
    worker_->stop();
    thread_.join();
  }
  [[nodiscard]] uint64_t received() const noexcept { return received_.load(); }

 private:
  void call(uint16_t opcode, const flatbuffers::FlatBufferBuilder& table) {
    const auto answer = worker_->call(
        {.opcode = opcode,
         .metadata = std::as_bytes(std::span(table.GetBufferPointer(), table.GetSize()))});
    check(answer.status == Status::kOk, "a subscriber's call");
    worker_->release(answer.lease);
  }
  void serve() {
    sdk::Event event;
    while (worker_->next_event(event) == sdk::Next::kEvent) {
      ++received_;
      worker_->reply(event, Status::kOk, {}, {}, 0);
    }
  }

  std::unique_ptr<sdk::ChannelTransport> worker_;
  std::atomic<uint64_t> received_{0};
  std::thread thread_;
};

void run(const CallerRequest& request) {
  const bool is_mix = request.verb == "mix";
  const bool publishes = is_mix || request.verb == "publish";
  Supervisor supervisor(is_mix ? Waiting::kSpin : Waiting::kSleep);
  sdk::set_transport(attach(supervisor, 1, 0));
  std::vector<std::unique_ptr<Subscriber>> subscribers;
  for (uint32_t i = 0; publishes && i < kSubscribers; ++i) {
    subscribers.push_back(std::make_unique<Subscriber>(supervisor, i));
  }
  check(make_calls(request), "a call");
  if (is_mix) {
    sdk::set_transport(nullptr);
    return;
  }
  for (const auto& subscriber : subscribers) {
    while (subscriber->received() < request.calls) {
      usleep(1000);
    }
  }
  supervisor.abandon();
}

}  // namespace
}  // namespace rtsup::bench

int main(int argc, char** argv) {
  rtsup::bench::check(argc == 4, "usage: rtsup-bench-percall get|set|publish|mix DEPTH CALLS");
  const bool publishes = std::string(argv[1]) == "publish";
  rtsup::bench::run({.verb = argv[1],
                     .depth = std::strtoull(argv[2], nullptr, 10),
                     .calls = std::strtoull(argv[3], nullptr, 10),
                     .bytes = publishes ? rtsup::bench::kMessageBytes : rtsup::bench::kValueBytes});
  return 0;
}
