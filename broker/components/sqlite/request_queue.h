// RequestQueue: what waits for one of a store's threads. Bounded in number and bytes; the bound is
// the caller's answer STORE_BUSY.
// Threads: push() and stop() the shard's, take() the store's.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <vector>

#include "broker/components/sqlite/request.h"
#include "broker/core/limits.h"

namespace rtsup::broker::sqlite {

// Taken at a time: one group commit. More would only delay the first ones' answers.
inline constexpr size_t kGroupRequestsMax = 1024;
inline constexpr size_t kGroupBytesMax = 16 << 20;

class RequestQueue {
 public:
  struct Limits {
    size_t requests = 4096;
    size_t bytes = 2 * kValueBytesMax + (8 << 20);
  };
  explicit RequestQueue(Limits limits) : limits_(limits) {}

  // False, and the request is untouched, when there is no room.
  bool push(RequestPtr& request);
  // Waits for requests, at most `patience`; empty when there was none. After stop() it gives what
  // is left and then, at once, nothing.
  std::vector<RequestPtr> take(std::chrono::milliseconds patience);
  void stop();
  bool is_stopped() const;

 private:
  const Limits limits_;
  mutable std::mutex mutex_;  // guards all below
  std::condition_variable arrived_;
  std::vector<RequestPtr> waiting_;  // oldest first
  size_t bytes_ = 0;
  bool stopped_ = false;
};

}  // namespace rtsup::broker::sqlite
