// EventRooms: tells several services of room for events, where the directory knows one observer.
// They compete for the same instances: each time another one is asked first.
// Owns:    nothing; the observers must outlive it.
// Threads: the shard's only.
#pragma once

#include <array>

#include "broker/core/endpoint.h"

namespace rtsup::broker {

class EventRooms final : public Directory::Observer {
 public:
  EventRooms(Directory::Observer& one, Directory::Observer& other) : observers_{&one, &other} {}
  void room(FunctionIndex function) override {
    first_ = 1 - first_;
    observers_[first_]->room(function);
    observers_[1 - first_]->room(function);
  }
  void down(FunctionIndex function) override {
    for (Directory::Observer* const observer : observers_) {
      observer->down(function);
    }
  }

 private:
  std::array<Directory::Observer*, 2> observers_;
  size_t first_ = 0;
};

}  // namespace rtsup::broker
