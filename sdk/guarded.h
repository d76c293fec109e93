// What goes around every typed call of the C ABI.
// Threads: any.
#pragma once

#include "sdk/client.h"

namespace rtsup::sdk {

// No answer struct is needed, older ones are filled as far as they reach, and bad_alloc (the only
// thing the encoder throws) does not get out.
template <typename Call>
int guarded(rtsup_answer* given, const Call& call) noexcept {
  auto filled = RTSUP_INIT(rtsup_answer);
  int status = RTSUP_RESOURCE_EXHAUSTED;
  try {
    status = static_cast<int>(call(filled));
  } catch (...) {
    filled.reason = RTSUP_LITERAL("NO_MEMORY");
  }
  if (given != nullptr) {
    write_struct(filled, given);
  } else {
    rtsup_answer_release(&filled);
  }
  return status;
}

// A field that the table must have.
inline flatbuffers::Offset<flatbuffers::String> required(Builder& builder, rtsup_string text) {
  return builder.CreateString(text.length == 0 ? "" : text.data, text.length);
}

}  // namespace rtsup::sdk
