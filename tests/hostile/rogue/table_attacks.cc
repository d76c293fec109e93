// Flatbuffers that are none, or more than they seem: made by hand, since no builder would.
#include <array>
#include <cstring>
#include <vector>

#include "schemas/state_generated.h"
#include "tests/hostile/rogue/attack.h"

namespace rtsup::test {
namespace {

using abi::Frame;
using flatbuffers::FlatBufferBuilder;

void bad_flatbuffer(RawSession& session, const Frame& /*event*/) {
  std::array<std::byte, 256> garbage{};
  garbage.fill(std::byte{0xFE});
  Frame frame = session.echo_request();
  frame.metadata = session.put(garbage);
  session.publish(frame);
}

void long_flatbuffer(RawSession& session, const Frame& /*event*/) {
  static const std::array<std::byte, 5000> too_much{};
  Frame frame = session.echo_request();
  frame.metadata = session.put(too_much);
  session.publish(frame);
}

// A state.get with `pairs` pairs of metadata, all the same table when `shared`.
void build(FlatBufferBuilder& builder, size_t pairs, bool shared) {
  std::vector<flatbuffers::Offset<abi::Pair>> offsets;
  for (size_t i = 0; i < pairs; ++i) {
    offsets.push_back(shared && i > 0 ? offsets.front()
                                      : abi::CreatePairDirect(builder, "name", "value"));
  }
  builder.Finish(abi::CreateStateGetRequestDirect(builder, "store", "key", &offsets));
}

void publish(RawSession& session, const FlatBufferBuilder& table) {
  session.publish(session.request(kStateGet, table));
}

void store(const void* at, uint32_t value) {
  std::memcpy(const_cast<void*>(at), &value, sizeof value);
}

// One small table that a careless verifier would visit a thousand times.
void shared_tables(RawSession& session, const Frame& /*event*/) {
  FlatBufferBuilder table;
  build(table, 900, true);
  publish(session, table);
}

void many_tables(RawSession& session, const Frame& /*event*/) {
  FlatBufferBuilder table;
  build(table, 80, false);
  publish(session, table);
}

// The element of a vector is the table that holds the vector: around for ever, if 32 bits wrap.
void cyclic_tables(RawSession& session, const Frame& /*event*/) {
  FlatBufferBuilder table;
  build(table, 1, false);
  const auto* root = flatbuffers::GetRoot<abi::StateGetRequest>(table.GetBufferPointer());
  const uint8_t* element = root->metadata()->Data();
  store(element, static_cast<uint32_t>(reinterpret_cast<const uint8_t*>(root) - element));
  publish(session, table);
}

void huge_vector(RawSession& session, const Frame& /*event*/) {
  FlatBufferBuilder table;
  build(table, 1, false);
  const auto* root = flatbuffers::GetRoot<abi::StateGetRequest>(table.GetBufferPointer());
  store(root->metadata(), 0x3FFFFFFF);
  publish(session, table);
}

void huge_string(RawSession& session, const Frame& /*event*/) {
  FlatBufferBuilder table;
  build(table, 0, false);
  const auto* root = flatbuffers::GetRoot<abi::StateGetRequest>(table.GetBufferPointer());
  store(root->key(), 0xFFFFFFFF);
  publish(session, table);
}

void string_without_end(RawSession& session, const Frame& /*event*/) {
  FlatBufferBuilder table;
  build(table, 0, false);
  const auto* root = flatbuffers::GetRoot<abi::StateGetRequest>(table.GetBufferPointer());
  std::memset(const_cast<char*>(root->key()->c_str()) + root->key()->size(), 'x', 1);
  publish(session, table);
}

// The table of fields lies outside of the buffer.
void vtable_outside(RawSession& session, const Frame& /*event*/) {
  FlatBufferBuilder table;
  build(table, 0, false);
  store(flatbuffers::GetRoot<abi::StateGetRequest>(table.GetBufferPointer()), 0x7FFFFFFF);
  publish(session, table);
}

// Of another operation: a required field is missing.
void other_table(RawSession& session, const Frame& /*event*/) {
  Frame frame = session.echo_request();
  frame.opcode = kStateGet;
  session.publish(frame);
}

constexpr Attack kAttacks[] = {
    {"bad-flatbuffer", bad_flatbuffer}, {"long-flatbuffer", long_flatbuffer},
    {"shared-tables", shared_tables},   {"many-tables", many_tables},
    {"cyclic-tables", cyclic_tables},   {"huge-vector", huge_vector},
    {"huge-string", huge_string},       {"string-without-end", string_without_end},
    {"vtable-outside", vtable_outside}, {"other-table", other_table},
};

}  // namespace

std::span<const Attack> table_attacks() { return kAttacks; }

}  // namespace rtsup::test
