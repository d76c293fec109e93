#include "bench/percall/calls.h"

#include <unistd.h>

#include <rtsup/pending.hpp>
#include <vector>

namespace rtsup::bench {
namespace {

// `begin` begins one call.
template <typename Begin>
bool pipelined(const CallerRequest& request, const Begin& begin) {
  std::vector<decltype(begin())> open;
  open.reserve(request.depth);
  for (uint64_t done = 0; done < request.calls;) {
    open.clear();
    for (uint64_t i = 0; i < request.depth; ++i) {
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
bool one_by_one(const CallerRequest& request, const Call& call) {
  bool good = true;
  for (uint64_t i = 0; i < request.calls; ++i) {
    good = call().status().ok() && good;
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
  const bool is_single = request.depth == 1;
  if (request.verb == "get") {
    return is_set && (is_single ? one_by_one(request, [&] { return state.get(key); })
                                : pipelined(request, [&] { return begin_get(state, key); }));
  }
  if (request.verb == "set") {
    return is_set && (is_single ? one_by_one(request, [&] { return state.set(key, value); })
                                : pipelined(request, [&] { return begin_set(state, key, value); }));
  }
  return pipelined(request, [&] { return begin_publish(bus, "news", value); });
}

}  // namespace rtsup::bench
