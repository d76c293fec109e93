// FairShares: divides what a component has among those who use it: half of it evenly, which nobody
// else can take, and the other half to whoever comes first. So nobody, and no number of others,
// keeps anyone from his share.
// Owns:    the figures.
// Units:   the user's own: bytes, entries, regions.
// Errors:  none: whoever takes has asked lacks() before.
// Threads: the shard's only; MemoryBudget is the same for all of them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace rtsup::broker {

class FairShares {
 public:
  FairShares(size_t total, size_t accounts)
      : accounts_(std::max<size_t>(accounts, 1), 0),
        share_(total / 2 / accounts_.size()),
        common_(total - share_ * accounts_.size()) {}

  // What of the common half `amount` more would need. An unknown account is the last one.
  [[nodiscard]] size_t beyond(uint32_t account, size_t amount) const noexcept {
    const size_t held = accounts_[index(account)];
    return beyond_share(held + amount) - beyond_share(held);
  }
  [[nodiscard]] size_t common_left() const noexcept { return common_ - common_held_; }
  [[nodiscard]] bool lacks(uint32_t account, size_t amount) const noexcept {
    return amount > share_ + common_ || beyond(account, amount) > common_left();
  }
  void take(uint32_t account, size_t amount) noexcept {
    common_held_ += beyond(account, amount);
    accounts_[index(account)] += amount;
  }
  void give(uint32_t account, size_t amount) noexcept {
    accounts_[index(account)] -= amount;
    common_held_ -= beyond(account, amount);
  }
  [[nodiscard]] size_t share() const noexcept { return share_; }

 private:
  [[nodiscard]] size_t index(uint32_t account) const noexcept {
    return std::min<size_t>(account, accounts_.size() - 1);
  }
  [[nodiscard]] size_t beyond_share(size_t amount) const noexcept {
    return amount > share_ ? amount - share_ : 0;
  }

  std::vector<size_t> accounts_;  // what each holds
  size_t share_;
  size_t common_;
  size_t common_held_ = 0;  // by all beyond their shares
};

}  // namespace rtsup::broker
