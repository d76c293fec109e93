// Calls that every check of form passes, made by somebody who may not make them, claims to be
// somebody else, or never means to give back what he gets.
#include <unistd.h>

#include <string>

#include "schemas/invoke_generated.h"
#include "schemas/pubsub_generated.h"
#include "schemas/session_generated.h"
#include "schemas/state_generated.h"
#include "tests/hostile/rogue/attack.h"

namespace rtsup::test {
namespace {

using abi::Frame;
using flatbuffers::FlatBufferBuilder;

std::string digits(uint8_t status) {
  return {static_cast<char>('0' + status / 10), static_cast<char>('0' + status % 10)};
}

Frame get_request(RawSession& session, const char* key) {
  FlatBufferBuilder table;
  table.Finish(abi::CreateStateGetRequestDirect(table, "store", key));
  return session.request(kStateGet, table);
}

// Answers the event with the status of a request with this opcode.
void ask_and_tell(RawSession& session, const Frame& event, uint16_t opcode) {
  Frame request = session.echo_request();
  request.opcode = opcode;
  session.answer(event, digits(session.ask(request)));
}

void unknown_opcode(RawSession& session, const Frame& event) {
  ask_and_tell(session, event, 0x7777);
}

// base.usage is the operator's.
void operator_opcode(RawSession& session, const Frame& event) {
  ask_and_tell(session, event, kUsage);
}

// A key that is there and one that is not, neither granted: they must look alike.
void others_keys(RawSession& session, const Frame& event) {
  const uint8_t there = session.ask(get_request(session, "kept"));
  const uint8_t absent = session.ask(get_request(session, "never written"));
  session.answer(event, digits(there) + " " + digits(absent));
}

// Says in every place where a name can stand that it is the operator.
void forged_identity(RawSession& session, const Frame& event) {
  FlatBufferBuilder table;
  const std::vector pairs = {abi::CreatePairDirect(table, "caller", "operator"),
                             abi::CreatePairDirect(table, "principal", "operator"),
                             abi::CreatePairDirect(table, "function", "victim")};
  table.Finish(abi::CreateInvokeRequestDirect(table, "victim", "operator", "text/plain", &pairs));
  session.answer(event, digits(session.ask(session.request(kInvokeCall, table))));
}

// Events that were never sent to it, or long ago: naming one as the parent must lend nothing.
void forged_parent(RawSession& session, const Frame& event) {
  uint8_t worst = 0;
  for (uint64_t guess = 0; guess < 1000; ++guess) {
    Frame request = session.echo_request();
    request.parent = guess < 500 ? guess : ~guess;
    worst = std::max(worst, session.ask(request));
  }
  session.answer(event, digits(worst));
}

// Memory for windows without end, of which none is ever mapped.
void window_flood(RawSession& session, const Frame& event) {
  uint8_t last = 0;
  for (int i = 0; i < 1000; ++i) {
    FlatBufferBuilder table;
    table.Finish(abi::CreateWindowRequest(table, abi::Direction::Up, 8 << 20));
    last = session.ask(session.request(kWindow, table));
  }
  session.answer(event, digits(last));
}

void say_ready(RawSession& session, uint32_t window) {
  FlatBufferBuilder table;
  table.Finish(abi::CreateWindowReadyRequest(table, window));
  session.publish(session.request(kWindowReady, table));
}

void window_never_given(RawSession& session, const Frame& /*event*/) { say_ready(session, 7); }

// Mapped by nobody and full of holes, which the base would have to fill.
void window_of_holes(RawSession& session, const Frame& /*event*/) {
  FlatBufferBuilder table;
  table.Finish(abi::CreateWindowRequest(table, abi::Direction::Up, 1 << 20));
  (void)session.ask(session.request(kWindow, table));
  say_ready(session, 1);
}

// Takes every answer up and gives none of their leases back.
void hoard_leases(RawSession& session, const Frame& event) {
  session.answer(event, "hoarding");
  for (uint32_t i = 0; i < abi::kLeases * 2; ++i) {
    Frame request = session.echo_request();
    request.timeout_ns = 20'000'000;
    session.publish(request);
    Frame answer;
    (void)session.receive(answer);
  }
  ::pause();
}

// Reads its answers and gives their memory back, and never says that it has taken them up.
void never_read(RawSession& session, const Frame& event) {
  uint64_t seen = session.up().down_head.load();
  session.answer(event, "reading nothing");
  for (uint32_t i = 0; i < abi::kRingFrames + 8; ++i) {
    while (!session.has_room()) {
      ::usleep(1000);
    }
    session.publish(session.echo_request());
    for (; session.down().response_tail.load() > seen; ++seen) {
      session.release(session.peek(seen));
    }
    ::usleep(1000);
  }
  ::pause();
}

// Subscribes, and then neither acknowledges the message nor does anything else.
void hold_message(RawSession& session, const Frame& event) {
  FlatBufferBuilder table;
  table.Finish(abi::CreatePubsubSubscribeRequestDirect(table, "bus", "news"));
  session.answer(event, digits(session.ask(session.request(kSubscribe, table))));
  session.release(event);
  Frame message;
  while (session.receive(message) && message.opcode != kEventMessage) {
    session.release(message);
  }
  ::pause();
}

constexpr Attack kAttacks[] = {
    {"unknown-opcode", unknown_opcode},
    {"operator-opcode", operator_opcode},
    {"others-keys", others_keys},
    {"forged-identity", forged_identity},
    {"forged-parent", forged_parent},
    {"window-flood", window_flood},
    {"window-never-given", window_never_given},
    {"window-of-holes", window_of_holes},
    {"hoard-leases", hoard_leases},
    {"never-read", never_read},
    {"hold-message", hold_message},
};

}  // namespace

std::span<const Attack> service_attacks() { return kAttacks; }

}  // namespace rtsup::test
