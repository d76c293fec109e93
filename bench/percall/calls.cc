#include "bench/percall/calls.h"

#include <unistd.h>

#include <array>
#include <rtsup/pending.hpp>
#include <vector>

namespace rtsup::bench {
namespace {

// `begin` begins one call.
template <typename Begin>
bool pipelined(uint64_t depth, uint64_t calls, const Begin& begin) {
  std::vector<decltype(begin())> open;
  open.reserve(depth);
  for (uint64_t done = 0; done < calls;) {
    open.clear();
    for (uint64_t i = 0; i < depth; ++i) {
      open.push_back(begin());
    }
    for (auto& one : open) {
      const rtsup_status code = one.wait().status().code();
      if (code == RTSUP_OK) {
        ++done;
      } else if (code == RTSUP_RESOURCE_EXHAUSTED) {
        usleep(1000);  // a subscriber's queue is full
      } else {
        return false;
      }
    }
  }
  return true;
}

template <typename Call>
bool one_by_one(uint64_t calls, const Call& call) {
  bool good = true;
  for (uint64_t i = 0; i < calls; ++i) {
    good = call().status().ok() && good;
  }
  return good;
}

// Calls of all kinds in turns, with keys and values of several sizes.
bool make_mix(uint64_t depth, uint64_t calls) {
  const State state("memory");
  const Pubsub bus("bus");
  const std::array<std::string, 4> keys = {"item-1", "item-0123456789",
                                           "item-long-" + std::string(40, 'k'), "item-/a/b/c"};
  const std::array<std::vector<std::byte>, 4> values = {
      std::vector<std::byte>(8), std::vector<std::byte>(64), std::vector<std::byte>(1000),
      std::vector<std::byte>(4096)};
  const auto ask = [depth](const auto& call, const auto& begin) {
    return depth == 1 ? one_by_one(8, call) : pipelined(depth, depth, begin);
  };
  bool good = true;
  uint64_t done = 0;
  for (uint64_t i = 0; done < calls && good; ++i, done += depth == 1 ? 8 : depth) {
    const std::string& key = keys[i % keys.size()];
    const std::vector<std::byte>& value = values[i / 3 % values.size()];
    switch (i % 8) {
      case 0:
      case 1:
      case 2:
        good = ask([&] { return state.get(key); }, [&] { return begin_get(state, key); });
        break;
      case 3:
      case 4:
        good = ask([&] { return state.set(key, value); },
                   [&] { return begin_set(state, key, value); });
        break;
      case 5:
        good = ask([&] { return state.get("item-none"); },
                   [&] { return begin_get(state, "item-none"); });
        break;
      case 6:
        good = ask([&] { return invoke("subscriber0", "call", value); },
                   [&] { return begin_invoke("subscriber0", "call", value); });
        break;
      default:
        good = pipelined(depth, depth, [&] { return begin_publish(bus, "news", value); });
        break;
    }
  }
  return good;
}

}  // namespace

bool make_calls(const CallerRequest& request) {
  const State state("memory");
  const Pubsub bus("bus");
  const std::string key = "item-64";
  const std::vector<std::byte> value(request.bytes, std::byte{'v'});
  const bool is_set = state.set(key, value).status().ok();
  const uint64_t depth = request.depth;
  const uint64_t calls = request.calls;
  const bool is_single = depth == 1;
  if (request.verb == "mix") {
    return make_mix(depth, calls);
  }
  if (request.verb == "get") {
    return is_set && (is_single ? one_by_one(calls, [&] { return state.get(key); })
                                : pipelined(depth, calls, [&] { return begin_get(state, key); }));
  }
  if (request.verb == "set") {
    return is_set &&
           (is_single ? one_by_one(calls, [&] { return state.set(key, value); })
                      : pipelined(depth, calls, [&] { return begin_set(state, key, value); }));
  }
  return pipelined(depth, calls, [&] { return begin_publish(bus, "news", value); });
}

}  // namespace rtsup::bench
