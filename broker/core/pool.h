// Pool: a fixed number of objects, allocated once; taking and giving back touch no allocator.
// Owns:    the objects. A taken one stays where it is until give().
// Errors:  take() returns nullptr when all are taken. give() of a foreign object is our bug and not
//          checked.
// Threads: one at a time.
#pragma once

#include <cstddef>
#include <vector>

#include "abi/base/check.h"

namespace rtsup::broker {

template <typename T>
class Pool {
 public:
  template <typename Make>
  Pool(size_t count, Make make) {
    objects_.reserve(count);
    free_.reserve(count);
    for (size_t i = 0; i < count; ++i) {
      objects_.push_back(make());
    }
    for (size_t i = count; i > 0; --i) {
      free_.push_back(&objects_[i - 1]);
    }
  }
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  T* take() noexcept {
    if (free_.empty()) {
      return nullptr;
    }
    T* object = free_.back();
    free_.pop_back();
    return object;
  }
  void give(T* object) noexcept {
    RTSUP_CHECK(free_.size() < objects_.size());
    free_.push_back(object);
  }
  size_t taken() const noexcept { return objects_.size() - free_.size(); }

 private:
  std::vector<T> objects_;
  std::vector<T*> free_;
};

}  // namespace rtsup::broker
