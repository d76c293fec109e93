// The tables that the worker sends: a few valid ones of every operation that it may call, and of
// the answers that it may give.
// Threads: any; made once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace rtsup::fuzz {

struct ValidTable {
  uint16_t opcode = 0;
  std::vector<std::byte> bytes;
};
std::span<const ValidTable> request_tables();
// By the event's opcode; 0 = a Failure, which answers any of them.
std::span<const ValidTable> answer_tables();

}  // namespace rtsup::fuzz
