// rogue: a worker that behaves until its input names an attack on the channel, and then really does
// it. One program for all, so that every attack starts from a session that was in order. It knows
// nothing of the SDK and its manners: abi/ is all that an attacker needs.
#include <initializer_list>
#include <string_view>

#include "tests/hostile/rogue/attack.h"

namespace rtsup::test {
namespace {

// `input` is a name, or a name and a number.
const Attack* find_attack(std::string_view input) {
  const std::string_view name = input.substr(0, input.find(' '));
  for (const auto group : {frame_attacks(), table_attacks(), memory_attacks(), descriptor_attacks(),
                           service_attacks(), thread_attacks(), ending_attacks()}) {
    for (const Attack& attack : group) {
      if (attack.name == name) {
        return &attack;
      }
    }
  }
  return nullptr;
}

void serve(RawSession& session) {
  abi::Frame event;
  while (session.receive(event)) {
    if (event.kind != abi::FrameKind::kRequest) {
      session.release(event);
      continue;
    }
    const std::string_view wanted = session.payload(event);
    if (const Attack* const attack = find_attack(wanted); attack != nullptr) {
      attack->run(session, event);
    } else {
      session.answer(event, wanted);
    }
    session.release(event);
  }
}

}  // namespace
}  // namespace rtsup::test

int main() {
  rtsup::test::RawSession session;
  session.report_ready();
  rtsup::test::serve(session);
  return 0;
}
