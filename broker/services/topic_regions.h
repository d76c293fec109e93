// TopicRegions: makes the memory that the subscribers of a topic share, and puts messages into it.
// A message is copied there once, for any number of subscribers; their workers map it read-only.
// Owns:    what it counts; each region belongs to whoever still needs it (SharedMemory).
// Units:   limits in broker/core/limits.h.
// Errors:  none: a message that finds no room there is an ordinary value, and copied for each.
// Threads: the shard's only.
#pragma once

#include <memory>
#include <vector>

#include "broker/components/pubsub_bus.h"
#include "broker/core/fair_shares.h"

namespace rtsup::broker {

class TopicRegions {
 public:
  explicit TopicRegions(size_t function_count);

  struct Sizes {
    size_t table = 0;
    size_t payload = 0;
  };
  // Both parts of a message in the memory of the topic's subscribers, which is made when they have
  // not changed for a while. Empty: it must lie elsewhere.
  BusMessage make(Audience& audience, const Sizes& sizes, FunctionIndex publisher);

  // Regions that a message of the function made and anybody may still have mapped.
  [[nodiscard]] uint32_t regions_of(FunctionIndex publisher) const noexcept {
    return accounts_->publishers[publisher.value].regions;
  }
  // Bytes that messages of the function take in all of them.
  [[nodiscard]] size_t held_by(FunctionIndex publisher) const noexcept {
    return accounts_->publishers[publisher.value].bytes;
  }

 private:
  class Region;
  struct Publisher {
    uint32_t regions = 0;  // made by a message of it
    size_t bytes = 0;      // of its messages, in all of them
  };
  // Shared with the regions, because sessions may hold them for longer than this lives.
  struct Accounts {
    FairShares opened;
    std::vector<Publisher> publishers;
  };
  bool open(Audience& audience, uint32_t publisher);
  static ValueRef take(const std::shared_ptr<SharedMemory>& memory, size_t size,
                       FunctionIndex publisher);

  std::shared_ptr<Accounts> accounts_;
};

}  // namespace rtsup::broker
