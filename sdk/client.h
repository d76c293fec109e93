// The process's one session, and what every typed call shares: how it is encoded, sent and handed
// out. The C ABI has no handle for a session, because a function has exactly one; hence the one
// global of the library, kept here.
// Threads: any, except set_transport().
#pragma once

#include <flatbuffers/flatbuffers.h>

#include <cstring>
#include <memory>

#include "schemas/common_generated.h"
#include "sdk/include/rtsup/rtsup.h"
#include "sdk/transport.h"

namespace rtsup::sdk {

// nullptr before attach.
Transport* transport() noexcept;
void set_transport(std::unique_ptr<Transport> transport) noexcept;

// The event that this thread handles now; its calls inherit deadline and trace.
EventContext& current_event() noexcept;

// This thread's builder, empty. It keeps its memory, so that later calls allocate nothing.
flatbuffers::FlatBufferBuilder& fresh_builder() noexcept;

using PairsOffset = flatbuffers::Offset<flatbuffers::Vector<flatbuffers::Offset<abi::Pair>>>;
using Builder = flatbuffers::FlatBufferBuilder;
flatbuffers::Offset<flatbuffers::String> encode(Builder& builder,
                                                rtsup_string text);  // none for an empty one
inline flatbuffers::Offset<flatbuffers::String> required(Builder& builder, rtsup_string text) {
  return builder.CreateString(text.length == 0 ? "" : text.data, text.length);
}
PairsOffset encode_metadata(Builder& builder,
                            const rtsup_options& options);  // none when there is none

// A struct of the caller's, which may be older (shorter) than ours: what it lacks is zero. Null =
// all zero.
template <typename Struct>
Struct read_struct(const Struct* given) noexcept {
  Struct whole{};
  if (given != nullptr && given->size >= sizeof whole) {
    whole = *given;
  } else if (given != nullptr) {
    std::memcpy(&whole, given, given->size);
  }
  whole.size = sizeof whole;
  return whole;
}
template <typename Struct>
void write_struct(const Struct& whole, Struct* given) noexcept {
  const size_t size = given->size;
  if (size >= sizeof whole) {
    *given = whole;
    given->size = size;
  } else if (size > sizeof(size_t)) {
    std::memcpy(reinterpret_cast<char*>(given) + sizeof(size_t),
                reinterpret_cast<const char*>(&whole) + sizeof(size_t), size - sizeof(size_t));
  }
}

inline Bytes bytes_of(rtsup_bytes bytes) noexcept {
  return {static_cast<const std::byte*>(bytes.data), bytes.length};
}
inline rtsup_bytes raw(Bytes bytes) noexcept { return {bytes.data(), bytes.size()}; }
inline rtsup_string raw(const flatbuffers::String* text) noexcept {
  return text == nullptr ? rtsup_string{nullptr, 0} : rtsup_string{text->c_str(), text->size()};
}

inline Bytes bytes_of(const Builder& table) noexcept {
  return std::as_bytes(std::span(table.GetBufferPointer(), table.GetSize()));
}
// What is sent: a finished table, and the payload beside it.
struct Message {
  uint16_t opcode = 0;
  Bytes table = {};
  Bytes payload = {};
};
// As a request of this thread's event.
Request request_of(const Message& message, const rtsup_options& options) noexcept;
// Handle and data of an answer, or its reason and message.
void hand_out(const Answer& answer, rtsup_answer& filled) noexcept;
// Sends it and fills `filled`: handle, data, and reason and message when it failed.
Answer send(const Message& message, const rtsup_options& options, rtsup_answer& filled) noexcept;
inline Answer send(uint16_t opcode, const Builder& table, Bytes payload,
                   const rtsup_options& options, rtsup_answer& filled) noexcept {
  return send({opcode, bytes_of(table), payload}, options, filled);
}
// Fills an answer of this library's own size, whatever the call does. bad_alloc (the only thing the
// encoder throws) does not get out.
template <typename Call>
int guarded_into(rtsup_answer& filled, const Call& call) noexcept {
  try {
    return static_cast<int>(call(filled));
  } catch (...) {
    filled.reason = RTSUP_LITERAL("NO_MEMORY");
    return RTSUP_RESOURCE_EXHAUSTED;
  }
}
// What goes on around every call: no answer struct is needed, and older ones are filled as far as
// they reach.
template <typename Call>
int guarded(rtsup_answer* given, const Call& call) noexcept {
  if (given != nullptr && given->size >= sizeof *given) {
    const size_t size = given->size;
    *given = RTSUP_INIT(rtsup_answer);
    given->size = size;
    return guarded_into(*given, call);
  }
  auto filled = RTSUP_INIT(rtsup_answer);
  const int status = guarded_into(filled, call);
  if (given != nullptr) {
    write_struct(filled, given);
  } else {
    rtsup_answer_release(&filled);
  }
  return status;
}

// The response table of an answer that went well; nullptr when there is none.
template <typename Table>
const Table* table_of(const Answer& answer) noexcept {
  return answer.status != Status::kOk || answer.metadata.empty()
             ? nullptr
             : flatbuffers::GetRoot<Table>(answer.metadata.data());
}

}  // namespace rtsup::sdk
