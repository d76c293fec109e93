// Attack: one deed against the channel, by its name. A worker that behaves does it when an event's
// payload is the name; what must come of each is in tests/hostile/deeds.h.
// Threads: one at a time, unless the attack is about threads.
#pragma once

#include <span>
#include <string_view>

#include "tests/hostile/rogue/raw_session.h"

namespace rtsup::test {

struct Attack {
  std::string_view name;
  // `event` is still unanswered. Whoever answers it says in words what came of the deed.
  void (*run)(RawSession&, const abi::Frame& event);
};

std::span<const Attack> frame_attacks();       // what stands in rings and headers
std::span<const Attack> table_attacks();       // what stands in flatbuffers
std::span<const Attack> memory_attacks();      // regions, their descriptors, futex words
std::span<const Attack> descriptor_attacks();  // doorbell and session socket
std::span<const Attack> service_attacks();     // calls that are well-formed and ill-meant
std::span<const Attack> thread_attacks();      // memory that changes while the base reads it
std::span<const Attack> ending_attacks();      // silence, flood and death

}  // namespace rtsup::test
