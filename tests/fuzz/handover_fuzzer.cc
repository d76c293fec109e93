// Handover: the file that one broker gives to the next. Input: the bytes of such a file; or records
// of any kinds and fields, under checks that are right, so that what lies behind them is reached.
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "broker/core/limits.h"
#include "broker/link/broker_state.h"
#include "broker/testing/fake_loop.h"
#include "schemas/plan_generated.h"
#include "schemas/pubsub_generated.h"
#include "sys/memory.h"
#include "tests/fuzz/require.h"
#include "tests/fuzz/script.h"

namespace rtsup::fuzz {
namespace {

using broker::HandoverKind;
using broker::HandoverWriter;
using Bytes = std::vector<std::byte>;

flatbuffers::FlatBufferBuilder make_plan() {
  flatbuffers::FlatBufferBuilder b;
  const std::vector components = {plan::CreateComponentDirect(b, "fast", "state.memory"),
                                  plan::CreateComponentDirect(b, "bus", "pubsub.memory")};
  const std::vector functions = {
      plan::CreateFunctionDirect(b, "cart", nullptr, nullptr, 10, 1000, 1),
      plan::CreateFunctionDirect(b, "mail", nullptr, nullptr, 0, 1000, 1)};
  b.Finish(plan::CreateBasePlanDirect(b, 1, "shop", "shop", &components, &functions), "RTBP");
  return b;
}

class Nobody final : public broker::PubsubBus::Observer {
 public:
  void due(FunctionIndex /*subscriber*/) override {}
};

// A broker's parts that nobody has used.
struct Parts {
  Parts()
      : plan(*plan::GetBasePlan(plan_bytes().GetBufferPointer())),
        components(std::move(*broker::ComponentSet::open(plan, "/nowhere", [this](uint32_t) {
          return broker::ComponentSet::Services{.post = loop, .timers = loop, .clock = loop};
        }))) {
    components.buses()[1]->observe(&nobody);
  }
  static flatbuffers::FlatBufferBuilder& plan_bytes() {
    static flatbuffers::FlatBufferBuilder made = make_plan();
    return made;
  }
  broker::BrokerState state() {
    return {.plan = plan, .meter = meter, .quota = quota, .components = components};
  }
  broker::testing::FakeLoop loop;
  Nobody nobody;
  const plan::BasePlan& plan;
  broker::ComponentSet components;
  broker::Meter meter{2};
  broker::Quota quota{{10, 0}};
};

Bytes bytes_of(const sys::UniqueFd& fd) {
  const auto size = static_cast<size_t>(::lseek(fd.get(), 0, SEEK_END));
  const auto mapping = sys::ReadOnlyMapping::create(fd.get(), size);
  RTSUP_REQUIRE(mapping.has_value(), "a file that can be mapped");
  return {mapping->bytes().begin(), mapping->bytes().end()};
}

Bytes hand_over(Parts& parts) {
  const auto fd = broker::hand_over_state(parts.state(), parts.meter);
  RTSUP_REQUIRE(fd.has_value(), "what was taken over can be handed over");
  return bytes_of(*fd);
}

// Uses what was taken over; and what goes on once more must be the same in the end.
void use(Parts& parts) {
  Parts next;
  const Bytes once = hand_over(parts);
  RTSUP_REQUIRE(broker::take_over_state(next.state(), once).has_value(),
                "WRONG ACCEPT: what was accepted is refused the next time");
  RTSUP_REQUIRE(hand_over(next).size() == once.size(), "something is lost on the way");
  broker::Delivery delivery;
  for (uint32_t function = 0; function < 2; ++function) {
    while (parts.components.buses()[1]->take({function}, delivery)) {
      RTSUP_REQUIRE(delivery.attempt <= broker::kDeliveriesMax, "more attempts than there are");
      parts.components.buses()[1]->settle(delivery, broker::Settled::kAgain);
    }
  }
  parts.loop.advance_ms(60'000);
}

std::string word(Script& script) {
  static constexpr const char* kWords[] = {"shop",   "cart",         "mail",          "fast", "bus",
                                           "orders", "state.memory", "pubsub.memory", "k",    ""};
  return kWords[script.below(std::size(kWords))];
}

Bytes message_table(Script& script) {
  flatbuffers::FlatBufferBuilder b;
  b.Finish(abi::CreatePubsubMessageEventDirect(b, "bus", word(script).c_str(), "id", "cart", 1, 1));
  const auto* start = reinterpret_cast<const std::byte*>(b.GetBufferPointer());
  Bytes table(start, start + b.GetSize());
  if (script.below(8) == 0) {
    table[script.below(static_cast<uint32_t>(table.size()))] ^= std::byte{script.byte()};
  }
  return table;
}

void put_counts(HandoverWriter& writer, Script& script) {
  const uint32_t count = script.below(16);
  writer.u32(script.below(8) == 0 ? script.u32() : count);
  for (uint32_t i = 0; i < count; ++i) {
    writer.u64(script.byte());
  }
}

// The fields of that kind, mostly sensible.
void put_fields(HandoverWriter& writer, HandoverKind kind, Script& script) {
  switch (kind) {
    case HandoverKind::kOwner:
    case HandoverKind::kComponent:
      writer.text(word(script));
      return writer.text(word(script));
    case HandoverKind::kFunction:
      writer.text(word(script));
      writer.u32(script.below(12));
      writer.u64(script.u64());
      writer.u64(script.u64());
      return put_counts(writer, script);
    case HandoverKind::kOperator:
      return put_counts(writer, script);
    case HandoverKind::kStore:
      writer.bytes(Bytes(script.below(8) == 0 ? script.byte() : 16));
      return writer.u64(script.u64());
    case HandoverKind::kEntry:
      writer.text(word(script) + std::to_string(script.byte()));
      writer.text(word(script));
      writer.u64(script.byte());
      writer.i64(script.below(4) == 0 ? static_cast<int64_t>(script.u64()) : 0);
      return writer.bytes(Bytes(script.u16()));
    case HandoverKind::kLongEntry:
      writer.text(word(script) + std::to_string(script.byte()));
      writer.text(word(script));
      writer.u64(script.byte());
      writer.i64(script.below(4) == 0 ? static_cast<int64_t>(script.u64()) : 0);
      return writer.u64(script.below(8) == 0 ? script.u64() : script.u16());
    case HandoverKind::kPart:
      return writer.bytes(Bytes(script.u16()));
    case HandoverKind::kBus:
      writer.u64(script.u64());
      return writer.u64(script.u64());
    case HandoverKind::kSubscription:
      writer.u32(script.below(3));
      return writer.text(word(script));
    case HandoverKind::kMessage:
      writer.bytes(message_table(script));
      return writer.bytes(Bytes(script.byte()));
    case HandoverKind::kQueued:
      writer.u32(script.below(3));
      writer.u32(script.below(3));
      writer.u64(script.byte());
      writer.u64(script.below(2) == 0 ? 0 : script.u64());
      writer.u32(script.below(12));
      return writer.u32(script.below(4));
    case HandoverKind::kEnd:
      return writer.u64(script.byte());
  }
}

// Owner and functions first, in most cases, so that components are reached.
Bytes made_file(Script& script) {
  auto writer = HandoverWriter::create();
  RTSUP_REQUIRE(writer.has_value(), "a file to write");
  if (script.below(8) != 0) {
    writer->begin(HandoverKind::kOwner);
    writer->text("shop");
    writer->text("shop");
    writer->end();
    for (const char* const name : {"cart", "mail"}) {
      writer->begin(HandoverKind::kFunction);
      writer->text(name);
      writer->u32(0);
      writer->u64(0);
      writer->u64(0);
      writer->u32(0);
      writer->end();
    }
    writer->begin(HandoverKind::kComponent);
    const bool is_store = script.below(2) == 0;
    writer->text(is_store ? "fast" : "bus");
    writer->text(is_store ? "state.memory" : "pubsub.memory");
    writer->end();
  }
  for (int i = 0; i < 64 && !script.at_end(); ++i) {
    const HandoverKind kind{1 + script.below(10)};
    writer->begin(kind);
    put_fields(*writer, kind, script);
    writer->end();
  }
  const auto fd = writer->finish();
  RTSUP_REQUIRE(fd.has_value(), "a file that was written");
  return bytes_of(*fd);
}

void try_one(Script& script) {
  const bool is_file = script.below(2) == 0;
  Bytes file(script.left());
  if (is_file) {
    script.fill(file);
  } else {
    file = made_file(script);
  }
  Parts parts;
  if (broker::take_over_state(parts.state(), file)) {
    use(parts);
  }
}

}  // namespace
}  // namespace rtsup::fuzz

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer finds it by this name
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  rtsup::fuzz::Script script(data, size);
  rtsup::fuzz::try_one(script);
  return 0;
}
