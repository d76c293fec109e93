#include "broker/services/topic_regions.h"

#include <algorithm>
#include <cstring>

#include "abi/block_map.h"
#include "broker/core/limits.h"
#include "sys/memory.h"

namespace rtsup::broker {
namespace {

constexpr uint32_t kBlockBytes = 256;
// Beyond it the number of messages would overflow; nobody gets that far.
constexpr uint32_t kMadeMax = 12;

}  // namespace

class TopicRegions::Region final : public SharedMemory {
 public:
  Region(sys::WritableRegion region, std::shared_ptr<Accounts> accounts, uint32_t opener) noexcept
      : region_(std::move(region)), accounts_(std::move(accounts)), opener_(opener) {
    accounts_->opened.take(opener_, 1);
    ++accounts_->publishers[opener_].regions;
  }
  ~Region() override {
    accounts_->opened.give(opener_, 1);
    --accounts_->publishers[opener_].regions;
  }
  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;

  // Empty when there is no room.
  std::span<std::byte> take(uint32_t bytes, uint32_t publisher) noexcept {
    size_t& held = accounts_->publishers[publisher].bytes;
    if (held + bytes > kPublisherSharedBytesMax) {
      return {};
    }
    const auto offset = map_.take(bytes);
    if (!offset) {
      return {};
    }
    held += bytes;
    return region_.mapping.bytes().subspan(*offset, bytes);
  }

  [[nodiscard]] int fd() const noexcept override { return region_.fd.get(); }
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept override {
    return region_.mapping.bytes();
  }
  [[nodiscard]] bool is_current() const noexcept override { return is_current_; }
  void retire() noexcept override { is_current_ = false; }
  // Zeroed at once: whoever maps it sees nothing that is over.
  void give_back(std::span<std::byte> place, uint32_t owner) noexcept override {
    std::memset(place.data(), 0, place.size());
    map_.give(static_cast<uint32_t>(place.data() - region_.mapping.bytes().data()),
              static_cast<uint32_t>(place.size()));
    accounts_->publishers[owner].bytes -= place.size();
  }

 private:
  sys::WritableRegion region_;
  std::shared_ptr<Accounts> accounts_;
  const uint32_t opener_;  // who published when it was made
  abi::BlockMap<kTopicRegionBytes, kBlockBytes> map_;
  bool is_current_ = true;
};

TopicRegions::TopicRegions(size_t function_count)
    : accounts_(std::make_shared<Accounts>(
          Accounts{.opened = FairShares(kTopicRegionsMax, function_count),
                   .publishers = std::vector<Publisher>(function_count)})) {}

BusMessage TopicRegions::make(Audience& audience, const Sizes& sizes, FunctionIndex publisher) {
  ++audience.unchanged;
  const size_t size = sizes.table + sizes.payload;
  if (size < kSharedBytesMin || size > kSharedBytesMax ||
      publisher.value >= accounts_->publishers.size() ||
      (audience.memory == nullptr && !open(audience, publisher.value))) {
    return {};
  }
  BusMessage message{.table = take(audience.memory, sizes.table, publisher),
                     .payload = take(audience.memory, sizes.payload, publisher)};
  const bool is_whole =
      message.table.size() == sizes.table && message.payload.size() == sizes.payload;
  return is_whole ? message : BusMessage();
}

// Empty when there is no room.
ValueRef TopicRegions::take(const std::shared_ptr<SharedMemory>& memory, size_t size,
                            FunctionIndex publisher) {
  auto& region = static_cast<Region&>(*memory);  // nobody else makes them
  const auto place = region.take(static_cast<uint32_t>(size), publisher.value);
  if (place.empty()) {
    return {};
  }
  ValueRef value = ValueRef::make_in(memory, place, publisher.value);
  if (value.size() == 0) {
    region.give_back(place, publisher.value);
  }
  return value;
}

bool TopicRegions::open(Audience& audience, uint32_t publisher) {
  const uint32_t wanted = kTopicSettledMessages << (2 * std::min(audience.made, kMadeMax));
  if (audience.unchanged < wanted || accounts_->opened.lacks(publisher, 1) ||
      accounts_->publishers[publisher].regions >= kPublisherRegionsMax) {
    return false;
  }
  auto made = sys::create_writable_region("rtsup-topic", kTopicRegionBytes);
  if (!made) {
    audience.unchanged = 0;  // not again with every message
    return false;
  }
  ++audience.made;
  audience.memory = std::make_shared<Region>(std::move(*made), accounts_, publisher);
  return true;
}

}  // namespace rtsup::broker
