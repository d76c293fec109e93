// Messages through the whole of rtsup: the measuring function publishes, and others like it, each
// in its own sandbox, have subscribed. A run lasts from the first publication until every
// subscriber has handled the last message.
#include <poll.h>

#include <algorithm>

#include "bench/ipc/base.h"
#include "bench/peers/server_process.h"

namespace rtsup::bench {
namespace {

constexpr int kAskAgainMs = 10;
constexpr int kDeliveryTimeoutMs = 20'000;

class PubsubPeer : public Peer {
 public:
  PubsubPeer(std::shared_ptr<Base> base, size_t bytes, uint32_t depth)
      : base_(std::move(base)), bytes_(bytes), depth_(depth) {}

  std::optional<std::string> open() override {
    if (auto fault = base_->open()) {
      return fault;
    }
    for (const std::string& subscriber : base_->subscribers()) {
      if (!base_->ask(subscriber, "subscribe")) {
        return subscriber + " could not subscribe";
      }
    }
    // Until the subscribers share memory.
    return run(kWarmUpCalls) ? std::nullopt : std::optional<std::string>("publishing failed");
  }

  std::optional<Sample> run(uint32_t calls) override {
    const auto counted = base_->counters();
    const uint64_t cpu = cpu_time_ns(base_->broker());
    const auto published =
        base_->ask("measure", "publish " + std::to_string(bytes_) + " " + std::to_string(calls) +
                                  " " + std::to_string(depth_));
    const auto publisher = CallerReport::parse(published.value_or(""));
    if (!publisher) {
      return std::nullopt;
    }
    Sample sample;
    sample.begin_ns = publisher->begin_ns;
    uint64_t callers_cpu = publisher->cpu_ns;
    for (const std::string& subscriber : base_->subscribers()) {
      const auto report = received(subscriber, calls);
      if (!report) {
        return std::nullopt;
      }
      callers_cpu += report->cpu_ns;
      sample.latency.merge(report->latency);
      sample.end_ns = std::max(sample.end_ns, report->end_ns);
    }
    const uint64_t spent = cpu_time_ns(base_->broker()) - cpu;
    sample.calls_per_second = calls * 1e9 / static_cast<double>(sample.end_ns - sample.begin_ns);
    sample.caller_cpu_ns = static_cast<double>(callers_cpu) / calls;
    sample.server_cpu_ns = static_cast<double>(spent) / calls;
    base_->count_since(counted, calls, sample);
    return sample;
  }

 private:
  std::optional<CallerReport> received(const std::string& subscriber, uint32_t calls) {
    for (int waited = 0; waited < kDeliveryTimeoutMs; waited += kAskAgainMs) {
      const auto answer = base_->ask(subscriber, "received 0 " + std::to_string(calls));
      if (!answer) {
        return std::nullopt;
      }
      if (auto report = CallerReport::parse(*answer)) {
        return report;
      }
      ::poll(nullptr, 0, kAskAgainMs);
    }
    return std::nullopt;
  }

  std::shared_ptr<Base> base_;
  size_t bytes_;
  uint32_t depth_;
};

}  // namespace

std::unique_ptr<Peer> make_pubsub_peer(std::shared_ptr<Base> base, size_t bytes, uint32_t depth) {
  return std::make_unique<PubsubPeer>(std::move(base), bytes, depth);
}

}  // namespace rtsup::bench
