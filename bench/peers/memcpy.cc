// Floor: one copy of so many bytes, from memory to memory of one process, both touched before.
#include <cstring>
#include <vector>

#include "bench/peers/server_process.h"

namespace rtsup::bench {
namespace {

class Memcpy : public Peer {
 public:
  Memcpy(Placement placement, size_t bytes)
      : placement_(placement), from_(bytes, 'x'), to_(bytes, 'y') {}

  std::optional<Sample> run(uint32_t calls) override {
    return measure(calls, placement_.caller, 0, [this] {
      std::memcpy(to_.data(), from_.data(), from_.size());
      // The compiler must believe that somebody reads it.
      asm volatile("" : : "r"(to_.data()) : "memory");
    });
  }

 private:
  Placement placement_;
  std::vector<char> from_;
  std::vector<char> to_;
};

}  // namespace

std::unique_ptr<Peer> make_memcpy(Placement placement, size_t bytes) {
  return std::make_unique<Memcpy>(placement, bytes);
}

}  // namespace rtsup::bench
