// The measuring function: asked "get BYTES CALLS" or "echo BYTES CALLS", it makes that many calls
// one after the other from inside its sandbox and answers with the whole distribution and its own
// CPU time. "prepare BYTES" stores the value that get reads.
//
// Answer: "CPU_NS_PER_CALL HISTOGRAM".
#include <charconv>
#include <ctime>
#include <optional>
#include <rtsup/rtsup.hpp>
#include <string>
#include <vector>

#include "bench/ipc/histogram.h"
#include "bench/ipc/stopwatch.h"

namespace {

using rtsup::bench::Histogram;
using rtsup::bench::Stopwatch;
using rtsup::bench::ticks;

constexpr uint32_t kWarmUpCalls = 200;

uint64_t own_cpu_ns() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

struct Request {
  std::string verb;
  size_t bytes = 0;
  uint32_t calls = 0;
};

Request parse(std::string_view text) {
  Request request;
  const size_t verb_end = text.find(' ');
  request.verb = text.substr(0, verb_end);
  if (verb_end != std::string_view::npos) {
    const char* end = text.data() + text.size();
    const auto bytes = std::from_chars(text.data() + verb_end + 1, end, request.bytes);
    if (bytes.ptr != end) {
      std::from_chars(bytes.ptr + 1, end, request.calls);
    }
  }
  return request;
}

}  // namespace

class Measure : public rtsup::Function {
 public:
  rtsup::Status handle(const rtsup::Event& event, rtsup::Reply& reply) override {
    const Request request = parse(event.text());
    const std::string key = "item-" + std::to_string(request.bytes);
    const std::vector<std::byte> value(request.bytes, std::byte{'v'});
    if (request.verb == "prepare") {
      const auto written = state_.set(key, value);
      return written ? rtsup::Status() : written.status();
    }
    if (request.verb == "get") {
      return measure(request.calls, reply, [&]() -> rtsup::Status {
        const auto entry = state_.get(key);
        if (entry && entry->bytes().size() != value.size()) {
          return {RTSUP_DATA_LOSS, "WRONG_SIZE"};
        }
        return entry.status();
      });
    }
    if (request.verb == "echo") {
      return measure(request.calls, reply, [&]() -> rtsup::Status {
        rtsup::Answer answer;
        const int code = rtsup_echo(rtsup::Data(value).raw(), nullptr, answer.raw());
        return code == RTSUP_OK ? rtsup::Status() : answer.to_status(code);
      });
    }
    if (request.verb == "config") {
      return measure(request.calls, reply, []() -> rtsup::Status {
        char room[64];
        auto answer = RTSUP_INIT(rtsup_answer);
        const int code =
            rtsup_config_get(RTSUP_LITERAL("greeting"), room, sizeof room, nullptr, &answer);
        const bool right = answer.data.length == 16;
        rtsup_answer_release(&answer);
        return {static_cast<rtsup_status>(code == RTSUP_OK && !right ? RTSUP_DATA_LOSS : code)};
      });
    }
    if (request.verb == "number") {
      return measure(request.calls, reply, []() -> rtsup::Status {
        uint64_t given = 0;
        const int code = rtsup_sequencer_next(RTSUP_LITERAL("ids"), RTSUP_LITERAL("order"), 1,
                                              nullptr, &given, nullptr);
        return {static_cast<rtsup_status>(code)};
      });
    }
    return {RTSUP_INVALID_ARGUMENT, "BAD_REQUEST", "prepare, get or echo, then bytes and calls"};
  }

 private:
  template <typename Call>
  rtsup::Status measure(uint32_t calls, rtsup::Reply& reply, Call&& call) {
    if (!stopwatch_) {
      stopwatch_.emplace();  // takes 20 ms, which are none of the start's
    }
    for (uint32_t i = 0; i < kWarmUpCalls; ++i) {
      rtsup::Status status = call();
      if (!status.ok()) {
        return status;
      }
    }
    Histogram latency;
    const uint64_t cpu_before = own_cpu_ns();
    uint64_t before = ticks();
    for (uint32_t i = 0; i < calls; ++i) {
      rtsup::Status status = call();
      const uint64_t after = ticks();
      if (!status.ok()) {
        return status;
      }
      latency.add(stopwatch_->to_ns(after - before));
      before = after;
    }
    const uint64_t cpu = calls == 0 ? 0 : (own_cpu_ns() - cpu_before) / calls;
    return reply.set(std::to_string(cpu) + " " + latency.to_text());
  }

  rtsup::State state_{"memory"};
  std::optional<Stopwatch> stopwatch_;
};

RTSUP_FUNCTION(Measure)
