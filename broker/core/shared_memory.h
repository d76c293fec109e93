// SharedMemory: memory of the base that workers map read-only, so that bytes which many of them get
// stand there once. Values lie in it (ValueRef::make_in); sessions hand it to their workers.
// Owns:    shared by whoever may still need it: the topic, the values in it, and every session
//          whose worker was given it, because nobody can take a mapping back before that worker has
//          ended.
// Threads: the shard's only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace rtsup::broker {

class SharedMemory {
 public:
  virtual ~SharedMemory() = default;
  // Sealed: who gets it can map it read-only and nothing else.
  [[nodiscard]] virtual int fd() const noexcept = 0;
  [[nodiscard]] virtual std::span<const std::byte> bytes() const noexcept = 0;
  // False: nothing new comes into it, so that no further worker needs it.
  [[nodiscard]] virtual bool is_current() const noexcept = 0;
  virtual void retire() noexcept = 0;
  // A value in it is gone. `owner`: as given to make_in().
  virtual void give_back(std::span<std::byte> place, uint32_t owner) noexcept = 0;
};

}  // namespace rtsup::broker
