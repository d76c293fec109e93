// The typed calls of the C ABI on one key, one function or one message: encode, send, decode in
// place; at once, or begun now and awaited later.
#include <array>
#include <cstring>

#include "abi/operation.h"
#include "abi/text_table.h"
#include "schemas/base_generated.h"
#include "schemas/invoke_generated.h"
#include "schemas/pubsub_generated.h"
#include "schemas/state_generated.h"
#include "sdk/client.h"

namespace {

using namespace rtsup;  // NOLINT(google-build-using-namespace): this file is the edge between C
                        // names and the library's
using sdk::Builder;
using sdk::guarded;
using sdk::required;

static_assert(sizeof(void*) == sizeof(uint64_t), "an answer's handle holds a lease");

abi::Concurrency concurrency_of(const rtsup_state_write& write) noexcept {
  return write.concurrency == RTSUP_FIRST_WRITE ? abi::Concurrency::FirstWrite
                                                : abi::Concurrency::LastWrite;
}

// ---- requests: each gives its table, finished; the payload goes beside it ----

struct Call {
  uint16_t opcode = 0;
  const rtsup_options* options = nullptr;
  sdk::Bytes payload = {};
};

std::string_view view(rtsup_string text) noexcept { return {text.data, text.length}; }

// Where a table is written that consists of short texts, as nearly all do.
using Room = std::array<std::byte, 512>;

// `texts`: the table's fields up to the last one that may be there, when all that is set is text.
// `build` does it in any case.
template <size_t kFields, typename Build>
sdk::Bytes encode(Room& room, const std::array<abi::TextField, kFields>& texts, bool is_text,
                  const Build& build) {
  const size_t bytes = is_text ? abi::write_text_table(texts, room) : 0;
  if (bytes != 0) {
    return {room.data(), bytes};
  }
  Builder& builder = sdk::fresh_builder();
  builder.Finish(build(builder));
  return sdk::bytes_of(builder);
}

sdk::Bytes encode_get(Room& room, rtsup_string component, rtsup_string key,
                      const rtsup_options& how) {
  return encode<2>(
      room, {{{view(component)}, {view(key)}}}, how.metadata_count == 0, [&](Builder& builder) {
        const auto metadata = sdk::encode_metadata(builder, how);
        const auto name = required(builder, component);
        return abi::CreateStateGetRequest(builder, name, required(builder, key), metadata);
      });
}

sdk::Bytes encode_set(Room& room, rtsup_string component, rtsup_string key,
                      const rtsup_state_write& written, const rtsup_options& how) {
  constexpr abi::TextField kAbsent = {{}, false};
  const bool is_text =
      how.metadata_count == 0 && written.concurrency != RTSUP_FIRST_WRITE && written.ttl_ms == 0;
  return encode<6>(room,
                   {{{view(component)},
                     {view(key)},
                     abi::text_if_any(view(written.etag)),
                     kAbsent,
                     kAbsent,
                     abi::text_if_any(view(written.content_type))}},
                   is_text, [&](Builder& builder) {
                     const auto metadata = sdk::encode_metadata(builder, how);
                     const auto name = required(builder, component);
                     const auto key_text = required(builder, key);
                     const auto etag = sdk::encode(builder, written.etag);
                     return abi::CreateStateSetRequest(
                         builder, name, key_text, etag, concurrency_of(written), written.ttl_ms,
                         sdk::encode(builder, written.content_type), metadata);
                   });
}

sdk::Bytes encode_delete(Room& room, rtsup_string component, rtsup_string key,
                         const rtsup_state_write& written, const rtsup_options& how) {
  return encode<3>(room, {{{view(component)}, {view(key)}, abi::text_if_any(view(written.etag))}},
                   how.metadata_count == 0 && written.concurrency != RTSUP_FIRST_WRITE,
                   [&](Builder& builder) {
                     const auto metadata = sdk::encode_metadata(builder, how);
                     const auto name = required(builder, component);
                     const auto key_text = required(builder, key);
                     return abi::CreateStateDeleteRequest(builder, name, key_text,
                                                          sdk::encode(builder, written.etag),
                                                          concurrency_of(written), metadata);
                   });
}

sdk::Bytes encode_invoke(Room& room, rtsup_string function, rtsup_string method,
                         rtsup_string content_type, const rtsup_options& how) {
  return encode<3>(
      room,
      {{{view(function)}, abi::text_if_any(view(method)), abi::text_if_any(view(content_type))}},
      how.metadata_count == 0, [&](Builder& builder) {
        const auto metadata = sdk::encode_metadata(builder, how);
        const auto name = required(builder, function);
        const auto method_text = sdk::encode(builder, method);
        return abi::CreateInvokeRequest(builder, name, method_text,
                                        sdk::encode(builder, content_type), metadata);
      });
}

sdk::Bytes encode_publish(Room& room, rtsup_string component, rtsup_string topic,
                          const rtsup_message& message, const rtsup_options& how) {
  return encode<3>(
      room, {{{view(component)}, {view(topic)}, abi::text_if_any(view(message.content_type))}},
      how.metadata_count == 0, [&](Builder& builder) {
        const auto metadata = sdk::encode_metadata(builder, how);
        const auto name = required(builder, component);
        const auto topic_text = required(builder, topic);
        return abi::CreatePubsubPublishRequest(
            builder, name, topic_text, sdk::encode(builder, message.content_type), metadata);
      });
}

sdk::Bytes encode_echo(Room& room) {
  return encode<0>(room, {}, true,
                   [](Builder& builder) { return abi::CreateEchoRequest(builder); });
}

// ---- answers ----

void decode(uint16_t opcode, const sdk::Answer& got, rtsup_answer& filled) noexcept {
  if (opcode == abi::op::kStateGet) {
    if (const auto* table = sdk::table_of<abi::StateGetResponse>(got); table != nullptr) {
      filled.found = table->found() ? 1 : 0;
      filled.etag = sdk::raw(table->etag());
      filled.content_type = sdk::raw(table->content_type());
      filled.expires_unix_ms = table->expires_unix_ms();
    }
  } else if (opcode == abi::op::kStateSet) {
    if (const auto* table = sdk::table_of<abi::StateSetResponse>(got); table != nullptr) {
      filled.etag = sdk::raw(table->etag());
    }
  } else if (opcode == abi::op::kStateDelete) {
    if (const auto* table = sdk::table_of<abi::StateDeleteResponse>(got); table != nullptr) {
      filled.found = table->deleted() ? 1 : 0;
    }
  } else if (opcode == abi::op::kInvokeCall) {
    if (const auto* table = sdk::table_of<abi::InvokeResponse>(got); table != nullptr) {
      filled.content_type = sdk::raw(table->content_type());
    }
  } else if (opcode == abi::op::kPubsubPublish) {
    if (const auto* table = sdk::table_of<abi::PubsubPublishResponse>(got); table != nullptr) {
      filled.message_id = sdk::raw(table->id());
    }
  }
}

// ---- made at once, or begun ----

// `encode` gives the call's table, with the room that may hold it and the options as far as they
// reach.
template <typename Encode>
int make(const Call& call, rtsup_answer* answer, const Encode& encode) noexcept {
  return guarded(answer, [&](rtsup_answer& filled) {
    const rtsup_options how = sdk::read_struct(call.options);
    Room room;
    const sdk::Answer got = sdk::send({call.opcode, encode(room, how), call.payload}, how, filled);
    decode(call.opcode, got, filled);
    return got.status;
  });
}

template <typename Encode>
int begin(const Call& call, rtsup_call* given, const Encode& encode) noexcept {
  if (given == nullptr) {
    return RTSUP_INVALID_ARGUMENT;
  }
  auto begun = RTSUP_INIT(rtsup_call);
  begun.operation = call.opcode;
  sdk::Begun got{.failure = {.status = Status::kUnavailable, .reason = "NOT_ATTACHED"}};
  try {
    const rtsup_options how = sdk::read_struct(call.options);
    Room room;
    const sdk::Bytes table = encode(room, how);
    if (sdk::Transport* base = sdk::transport(); base != nullptr) {
      got = base->begin(sdk::request_of({call.opcode, table, call.payload}, how));
    }
  } catch (...) {
    got.failure = {.status = Status::kResourceExhausted, .reason = "NO_MEMORY"};
  }
  begun.handle = got.handle;
  if (got.handle == 0) {
    begun.status = static_cast<int32_t>(got.failure.status);
    begun.reason = {got.failure.reason, std::strlen(got.failure.reason)};
  }
  sdk::write_struct(begun, given);
  return begun.status;
}

}  // namespace

void rtsup_answer_release(rtsup_answer* answer) {
  if (answer == nullptr || answer->handle == nullptr) {
    return;
  }
  if (sdk::Transport* base = sdk::transport(); base != nullptr) {
    base->release(reinterpret_cast<uintptr_t>(answer->handle));
  }
  answer->handle = nullptr;
}

int rtsup_state_get(rtsup_string component, rtsup_string key, const rtsup_options* options,
                    rtsup_answer* answer) {
  return make({abi::op::kStateGet, options}, answer, [&](Room& room, const rtsup_options& how) {
    return encode_get(room, component, key, how);
  });
}

int rtsup_state_get_begin(rtsup_string component, rtsup_string key, const rtsup_options* options,
                          rtsup_call* call) {
  return begin({abi::op::kStateGet, options}, call, [&](Room& room, const rtsup_options& how) {
    return encode_get(room, component, key, how);
  });
}

int rtsup_state_set(rtsup_string component, rtsup_string key, rtsup_bytes value,
                    const rtsup_state_write* write, const rtsup_options* options,
                    rtsup_answer* answer) {
  const rtsup_state_write written = sdk::read_struct(write);
  return make({abi::op::kStateSet, options, sdk::bytes_of(value)}, answer,
              [&](Room& room, const rtsup_options& how) {
                return encode_set(room, component, key, written, how);
              });
}

int rtsup_state_set_begin(rtsup_string component, rtsup_string key, rtsup_bytes value,
                          const rtsup_state_write* write, const rtsup_options* options,
                          rtsup_call* call) {
  const rtsup_state_write written = sdk::read_struct(write);
  return begin({abi::op::kStateSet, options, sdk::bytes_of(value)}, call,
               [&](Room& room, const rtsup_options& how) {
                 return encode_set(room, component, key, written, how);
               });
}

int rtsup_state_delete(rtsup_string component, rtsup_string key, const rtsup_state_write* write,
                       const rtsup_options* options, rtsup_answer* answer) {
  const rtsup_state_write written = sdk::read_struct(write);
  return make({abi::op::kStateDelete, options}, answer, [&](Room& room, const rtsup_options& how) {
    return encode_delete(room, component, key, written, how);
  });
}

int rtsup_state_delete_begin(rtsup_string component, rtsup_string key,
                             const rtsup_state_write* write, const rtsup_options* options,
                             rtsup_call* call) {
  const rtsup_state_write written = sdk::read_struct(write);
  return begin({abi::op::kStateDelete, options}, call, [&](Room& room, const rtsup_options& how) {
    return encode_delete(room, component, key, written, how);
  });
}

int rtsup_invoke(rtsup_string function, rtsup_string method, rtsup_bytes data,
                 rtsup_string content_type, const rtsup_options* options, rtsup_answer* answer) {
  return make({abi::op::kInvokeCall, options, sdk::bytes_of(data)}, answer,
              [&](Room& room, const rtsup_options& how) {
                return encode_invoke(room, function, method, content_type, how);
              });
}

int rtsup_invoke_begin(rtsup_string function, rtsup_string method, rtsup_bytes data,
                       rtsup_string content_type, const rtsup_options* options, rtsup_call* call) {
  return begin({abi::op::kInvokeCall, options, sdk::bytes_of(data)}, call,
               [&](Room& room, const rtsup_options& how) {
                 return encode_invoke(room, function, method, content_type, how);
               });
}

int rtsup_publish(rtsup_string component, rtsup_string topic, rtsup_bytes data,
                  const rtsup_message* message, const rtsup_options* options,
                  rtsup_answer* answer) {
  const rtsup_message given = sdk::read_struct(message);
  return make({abi::op::kPubsubPublish, options, sdk::bytes_of(data)}, answer,
              [&](Room& room, const rtsup_options& how) {
                return encode_publish(room, component, topic, given, how);
              });
}

int rtsup_publish_begin(rtsup_string component, rtsup_string topic, rtsup_bytes data,
                        const rtsup_message* message, const rtsup_options* options,
                        rtsup_call* call) {
  const rtsup_message given = sdk::read_struct(message);
  return begin({abi::op::kPubsubPublish, options, sdk::bytes_of(data)}, call,
               [&](Room& room, const rtsup_options& how) {
                 return encode_publish(room, component, topic, given, how);
               });
}

int rtsup_echo(rtsup_bytes data, const rtsup_options* options, rtsup_answer* answer) {
  return make({abi::op::kBaseEcho, options, sdk::bytes_of(data)}, answer,
              [](Room& room, const rtsup_options&) { return encode_echo(room); });
}

int rtsup_echo_begin(rtsup_bytes data, const rtsup_options* options, rtsup_call* call) {
  return begin({abi::op::kBaseEcho, options, sdk::bytes_of(data)}, call,
               [](Room& room, const rtsup_options&) { return encode_echo(room); });
}

void rtsup_flush(void) {
  if (sdk::Transport* base = sdk::transport(); base != nullptr) {
    base->flush();
  }
}

int rtsup_wait(rtsup_call* call, rtsup_answer* answer) {
  return guarded(answer, [&](rtsup_answer& filled) {
    const rtsup_call begun = sdk::read_struct(call);
    sdk::Transport* base = sdk::transport();
    sdk::Answer got{.status = Status::kInvalidArgument, .reason = "CALL_UNKNOWN"};
    if (begun.handle != 0 && base != nullptr) {
      call->handle = 0;
      got = base->await(begun.handle);
    } else if (begun.status != RTSUP_OK) {
      filled.reason = begun.reason;
      return Status{static_cast<uint8_t>(begun.status)};
    }
    sdk::hand_out(got, filled);
    decode(static_cast<uint16_t>(begun.operation), got, filled);
    return got.status;
  });
}

void rtsup_call_give_up(rtsup_call* call) {
  if (call == nullptr || call->handle == 0) {
    return;
  }
  if (sdk::Transport* base = sdk::transport(); base != nullptr) {
    base->give_up(call->handle);
  }
  call->handle = 0;
}

const char* rtsup_status_name(int status) {
  return status >= 0 && status <= kStatusMax
             ? status_name(Status{static_cast<uint8_t>(status)}).data()
             : "UNKNOWN";
}

const char* rtsup_version(void) { return RTSUP_VERSION; }
