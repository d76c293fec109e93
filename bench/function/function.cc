// The measuring function: asked "get BYTES CALLS DEPTH START_NS" or "echo ...", it makes that many
// calls from inside its sandbox, DEPTH of them under way at a time, and answers with the whole
// distribution and its own CPU time. START_NS is the CLOCK_MONOTONIC time at which all workers
// begin together. "prepare BYTES" stores the value that get reads. "arrivals BYTES CALLS RATE
// START_NS" makes RATE calls a second, whether the one before was answered or not, and counts each
// from the time it was due. "flood BYTES MS DEPTH" gets as fast as it can for so long; "haul BYTES
// MS 1" sets and gets a value of that size.
// "publish ..." publishes messages, each with the time in front; "subscribe" makes it a subscriber,
// which answers "received 0 CALLS" with what it measured once it has got that many, and before that
// with nothing.
//
// Answer: a report as text, bench/ipc/caller_report.h.
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <ctime>
#include <optional>
#include <rtsup/pending.hpp>
#include <string>
#include <vector>

#include "bench/ipc/caller_report.h"
#include "bench/ipc/stopwatch.h"

namespace {

using rtsup::bench::CallerReport;
using rtsup::bench::Stopwatch;
using rtsup::bench::ticks;

constexpr uint32_t kWarmUpCalls = 200;
constexpr uint64_t kDepthMax = 64;  // what the library takes
constexpr const char* kTopic = "news";
constexpr uint64_t kRetryNs = 200'000;  // after a subscriber's queue was full

uint64_t own_cpu_ns() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

struct Request {
  std::string verb;
  uint64_t bytes = 0;
  uint64_t calls = 0;
  uint64_t depth = 1;
  uint64_t start_ns = 0;
};

Request parse(std::string_view text) {
  Request request;
  const size_t verb_end = text.find(' ');
  request.verb = text.substr(0, verb_end);
  if (verb_end != std::string_view::npos) {
    const char* at = text.data() + verb_end;
    const char* end = text.data() + text.size();
    for (uint64_t* field : {&request.bytes, &request.calls, &request.depth, &request.start_ns}) {
      at = at == end ? end : std::from_chars(at + 1, end, *field).ptr;
    }
  }
  return request;
}

void sleep_until(uint64_t monotonic_ns) {
  const timespec when{static_cast<time_t>(monotonic_ns / 1'000'000'000),
                      static_cast<long>(monotonic_ns % 1'000'000'000)};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, nullptr) == EINTR) {
  }
}

}  // namespace

class Measure : public rtsup::Function {
 public:
  rtsup::Status handle(const rtsup::Event& event, rtsup::Reply& reply) override {
    if (event.is_message()) {
      return take(event);
    }
    const Request request = parse(event.text());
    if (request.verb == "config" || request.verb == "number") {
      return measure_page(request, reply);
    }
    if (request.verb == "subscribe" || request.verb == "received" || request.verb == "publish") {
      return measure_topic(request, reply);
    }
    const std::string key = "item-" + std::to_string(request.bytes);
    const std::vector<std::byte> value(request.bytes, std::byte{'v'});
    if (request.verb == "prepare") {
      const auto written = state_.set(key, value);
      return written ? rtsup::Status() : written.status();
    }
    const auto check = [&](const rtsup::Result<rtsup::Entry>& entry) -> rtsup::Status {
      if (entry && entry->bytes().size() != value.size()) {
        return {RTSUP_DATA_LOSS, "WRONG_SIZE"};
      }
      return entry.status();
    };
    if (request.verb == "get" && request.depth > 1) {
      std::vector<rtsup::Pending<rtsup::Entry>> gets;
      gets.reserve(request.depth);
      return measure(request, reply, [&]() -> rtsup::Status {
        gets.clear();
        for (uint64_t i = 0; i < request.depth; ++i) {
          gets.push_back(rtsup::begin_get(state_, key));
        }
        for (auto& get : gets) {
          rtsup::Status status = check(get.wait());
          if (!status.ok()) {
            return status;
          }
        }
        return {};
      });
    }
    if (request.verb == "get") {
      return measure(request, reply, [&] { return check(state_.get(key)); });
    }
    if (request.verb == "arrivals") {
      return arrivals(request, reply, [&] { return check(state_.get(key)); });
    }
    if (request.verb == "flood") {
      return flood(request, key);
    }
    if (request.verb == "haul") {
      return haul(request, value);
    }
    if (request.verb == "echo") {
      return measure(request, reply, [&]() -> rtsup::Status {
        rtsup::Answer answer;
        const int code = rtsup_echo(rtsup::Data(value).raw(), nullptr, answer.raw());
        return code == RTSUP_OK ? rtsup::Status() : answer.to_status(code);
      });
    }
    return {RTSUP_INVALID_ARGUMENT, "BAD_REQUEST",
            "prepare, get or echo, then bytes, calls, depth and start"};
  }

 private:
  // What is read from the runtime page.
  rtsup::Status measure_page(const Request& request, rtsup::Reply& reply) {
    if (request.verb == "config") {
      return measure(request, reply, []() -> rtsup::Status {
        char room[64];
        auto answer = RTSUP_INIT(rtsup_answer);
        const int code =
            rtsup_config_get(RTSUP_LITERAL("greeting"), room, sizeof room, nullptr, &answer);
        const bool right = answer.data.length == 16;
        rtsup_answer_release(&answer);
        return {static_cast<rtsup_status>(code == RTSUP_OK && !right ? RTSUP_DATA_LOSS : code)};
      });
    }
    return measure(request, reply, []() -> rtsup::Status {
      uint64_t given = 0;
      const int code = rtsup_sequencer_next(RTSUP_LITERAL("ids"), RTSUP_LITERAL("order"), 1,
                                            nullptr, &given, nullptr);
      return {static_cast<rtsup_status>(code)};
    });
  }

  rtsup::Status measure_topic(const Request& request, rtsup::Reply& reply) {
    if (request.verb == "subscribe") {
      received_cpu_ns_ = own_cpu_ns();
      return bus_.subscribe(kTopic);
    }
    if (request.verb == "received") {
      return report_received(request, reply);
    }
    return publish(request, reply);
  }

  rtsup::Status take(const rtsup::Event& event) {
    uint64_t sent = 0;
    std::memcpy(&sent, event.bytes().data(), sizeof sent);
    received_.end_ns = rtsup::bench::monotonic_ns();
    received_.latency.add(received_.end_ns - sent);
    return {};
  }

  rtsup::Status report_received(const Request& request, rtsup::Reply& reply) {
    if (received_.latency.count() < request.calls) {
      return {};
    }
    const uint64_t cpu = own_cpu_ns();
    received_.cpu_ns = cpu - std::exchange(received_cpu_ns_, cpu);
    received_.begin_ns = received_.end_ns;
    return reply.set(std::exchange(received_, {}).to_text());
  }

  rtsup::Status publish(const Request& request, rtsup::Reply& reply) {
    std::vector<std::byte> message(std::max(request.bytes, uint64_t{sizeof(uint64_t)}));
    std::vector<rtsup::Pending<rtsup::Answer>> pending;
    CallerReport report;
    const uint64_t cpu = own_cpu_ns();
    report.begin_ns = rtsup::bench::monotonic_ns();
    for (uint64_t done = 0; done < request.calls;) {
      const uint64_t now = rtsup::bench::monotonic_ns();
      std::memcpy(message.data(), &now, sizeof now);
      pending.clear();
      for (uint64_t i = 0; i < std::min(request.depth, request.calls - done); ++i) {
        pending.push_back(rtsup::begin_publish(bus_, kTopic, message));
      }
      for (auto& one : pending) {
        rtsup::Status status = one.wait().status();
        if (status.ok()) {
          ++done;
        } else if (status.code() != RTSUP_RESOURCE_EXHAUSTED) {
          return status;
        } else {
          sleep_until(rtsup::bench::monotonic_ns() + kRetryNs);
        }
      }
    }
    report.end_ns = rtsup::bench::monotonic_ns();
    report.latency.add(report.end_ns - report.begin_ns, request.calls);
    report.cpu_ns = own_cpu_ns() - cpu;
    return reply.set(report.to_text());
  }

  // An open loop: who is late is not asked less often, so that a stall counts for every call that
  // it held up.
  template <typename Call>
  rtsup::Status arrivals(const Request& request, rtsup::Reply& reply, const Call& call) {
    const uint64_t rate = request.depth;
    if (rate == 0) {
      return {RTSUP_INVALID_ARGUMENT, "BAD_RATE"};
    }
    CallerReport report;
    const uint64_t cpu_before = own_cpu_ns();
    report.begin_ns = std::max(request.start_ns, rtsup::bench::monotonic_ns() + 1'000'000);
    for (uint64_t i = 0; i < request.calls; ++i) {
      const uint64_t due = report.begin_ns + i * 1'000'000'000 / rate;
      sleep_until(due);
      rtsup::Status status = call();
      if (!status.ok()) {
        return status;
      }
      report.latency.add(rtsup::bench::monotonic_ns() - due);
    }
    report.end_ns = rtsup::bench::monotonic_ns();
    report.cpu_ns = own_cpu_ns() - cpu_before;
    return reply.set(report.to_text());
  }

  rtsup::Status flood(const Request& request, const std::string& key) {
    if (request.depth == 0 || request.depth > kDepthMax) {
      return {RTSUP_INVALID_ARGUMENT, "BAD_DEPTH"};
    }
    const uint64_t end_ns = rtsup::bench::monotonic_ns() + request.calls * 1'000'000;
    std::vector<rtsup::Pending<rtsup::Entry>> gets;
    gets.reserve(request.depth);
    while (rtsup::bench::monotonic_ns() < end_ns) {
      gets.clear();
      for (uint64_t i = 0; i < request.depth; ++i) {
        gets.push_back(rtsup::begin_get(state_, key));
      }
      for (auto& get : gets) {
        (void)get.wait();  // refused or not: a flood does not mind
      }
    }
    return {};
  }

  rtsup::Status haul(const Request& request, const std::vector<std::byte>& value) {
    const std::string key = "item-hauled";
    const uint64_t end_ns = rtsup::bench::monotonic_ns() + request.calls * 1'000'000;
    while (rtsup::bench::monotonic_ns() < end_ns) {
      if (const auto written = state_.set(key, value); !written) {
        return written.status();
      }
      const auto entry = state_.get(key);
      if (!entry || entry->bytes().size() != value.size()) {
        return {RTSUP_DATA_LOSS, "WRONG_SIZE"};
      }
    }
    return {};
  }

  // `turn` makes `depth` calls.
  template <typename Turn>
  rtsup::Status measure(const Request& request, rtsup::Reply& reply, Turn&& turn) {
    if (request.depth == 0 || request.depth > kDepthMax) {
      return {RTSUP_INVALID_ARGUMENT, "BAD_DEPTH"};
    }
    if (!stopwatch_) {
      stopwatch_.emplace();  // takes 20 ms, which are none of the start's
    }
    for (uint64_t i = 0; i < kWarmUpCalls; i += request.depth) {
      rtsup::Status status = turn();
      if (!status.ok()) {
        return status;
      }
    }
    sleep_until(request.start_ns);
    CallerReport report;
    const uint64_t cpu_before = own_cpu_ns();
    report.begin_ns = rtsup::bench::monotonic_ns();
    uint64_t before = ticks();
    for (uint64_t i = 0; i < request.calls; i += request.depth) {
      rtsup::Status status = turn();
      const uint64_t after = ticks();
      if (!status.ok()) {
        return status;
      }
      report.latency.add(stopwatch_->to_ns(after - before), request.depth);
      before = after;
    }
    report.end_ns = rtsup::bench::monotonic_ns();
    report.cpu_ns = own_cpu_ns() - cpu_before;
    return reply.set(report.to_text());
  }

  rtsup::State state_{"memory"};
  rtsup::Pubsub bus_{"bus"};
  CallerReport received_;
  uint64_t received_cpu_ns_ = 0;
  std::optional<Stopwatch> stopwatch_;
};

RTSUP_FUNCTION(Measure)
