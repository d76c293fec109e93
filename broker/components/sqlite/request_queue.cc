#include "broker/components/sqlite/request_queue.h"

#include <iterator>

namespace rtsup::broker::sqlite {

bool RequestQueue::push(RequestPtr& request) {
  {
    const std::lock_guard lock(mutex_);
    const bool has_room =
        waiting_.size() < limits_.requests && request->bytes <= limits_.bytes - bytes_;
    if (stopped_ || (!has_room && !request->is_always_taken)) {
      return false;
    }
    bytes_ += request->bytes;
    waiting_.push_back(std::move(request));
  }
  arrived_.notify_one();
  return true;
}

std::vector<RequestPtr> RequestQueue::take(std::chrono::milliseconds patience) {
  std::unique_lock lock(mutex_);
  arrived_.wait_for(lock, patience, [this] { return stopped_ || !waiting_.empty(); });
  size_t count = 0;
  size_t bytes = 0;
  while (count < waiting_.size() && count < kGroupRequestsMax &&
         (count == 0 || bytes < kGroupBytesMax)) {
    bytes += waiting_[count]->bytes;
    ++count;
  }
  const auto end = waiting_.begin() + static_cast<ptrdiff_t>(count);
  std::vector<RequestPtr> taken(std::make_move_iterator(waiting_.begin()),
                                std::make_move_iterator(end));
  waiting_.erase(waiting_.begin(), end);
  bytes_ -= bytes;
  return taken;
}

void RequestQueue::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  arrived_.notify_all();
}

bool RequestQueue::is_stopped() const {
  const std::lock_guard lock(mutex_);
  return stopped_ && waiting_.empty();
}

}  // namespace rtsup::broker::sqlite
