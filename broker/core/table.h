// Reading a request's table and copying parts of it into another one.
// Threads: any. Pure.
#pragma once

#include <flatbuffers/flatbuffers.h>

#include <string_view>
#include <vector>

#include "broker/core/call.h"
#include "schemas/common_generated.h"

namespace rtsup::broker {

// The text, or an empty one when there is none.
inline std::string_view view(const flatbuffers::String* text) noexcept {
  return text == nullptr ? std::string_view() : std::string_view(text->c_str(), text->size());
}

// The request's table, which has passed the verifier.
template <typename Table>
const Table& table_of(const Call& call) noexcept {
  return *flatbuffers::GetRoot<Table>(call.metadata().data());
}

inline flatbuffers::Offset<flatbuffers::String> copy_text(flatbuffers::FlatBufferBuilder& builder,
                                                          const flatbuffers::String* text) {
  return text == nullptr ? flatbuffers::Offset<flatbuffers::String>()
                         : builder.CreateString(text->c_str(), text->size());
}

using Pairs = flatbuffers::Vector<flatbuffers::Offset<abi::Pair>>;
inline flatbuffers::Offset<Pairs> copy_pairs(flatbuffers::FlatBufferBuilder& builder,
                                             const Pairs* pairs) {
  if (pairs == nullptr) {
    return {};
  }
  std::vector<flatbuffers::Offset<abi::Pair>> copies;
  copies.reserve(pairs->size());
  for (const abi::Pair* const pair : *pairs) {
    const auto name = copy_text(builder, pair->name());
    copies.push_back(abi::CreatePair(builder, name, copy_text(builder, pair->value())));
  }
  return builder.CreateVector(copies);
}

}  // namespace rtsup::broker
