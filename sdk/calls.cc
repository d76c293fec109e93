// The typed calls of the C ABI on one key or one function: encode, send, decode in place.
#include "abi/operation.h"
#include "schemas/base_generated.h"
#include "schemas/invoke_generated.h"
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
  return guarded(answer, [&](rtsup_answer& filled) {
    const rtsup_options how = sdk::read_struct(options);
    Builder& builder = sdk::fresh_builder();
    const auto metadata = sdk::encode_metadata(builder, how);
    const auto name = required(builder, component);
    builder.Finish(abi::CreateStateGetRequest(builder, name, required(builder, key), metadata));
    const sdk::Answer got = sdk::send(abi::op::kStateGet, builder, {}, how, filled);
    if (const auto* table = sdk::table_of<abi::StateGetResponse>(got); table != nullptr) {
      filled.found = table->found() ? 1 : 0;
      filled.etag = sdk::raw(table->etag());
      filled.content_type = sdk::raw(table->content_type());
      filled.expires_unix_ms = table->expires_unix_ms();
    }
    return got.status;
  });
}

int rtsup_state_set(rtsup_string component, rtsup_string key, rtsup_bytes value,
                    const rtsup_state_write* write, const rtsup_options* options,
                    rtsup_answer* answer) {
  return guarded(answer, [&](rtsup_answer& filled) {
    const rtsup_options how = sdk::read_struct(options);
    const rtsup_state_write written = sdk::read_struct(write);
    Builder& builder = sdk::fresh_builder();
    const auto metadata = sdk::encode_metadata(builder, how);
    const auto name = required(builder, component);
    const auto key_text = required(builder, key);
    const auto etag = sdk::encode(builder, written.etag);
    builder.Finish(abi::CreateStateSetRequest(
        builder, name, key_text, etag, concurrency_of(written), written.ttl_ms,
        sdk::encode(builder, written.content_type), metadata));
    const sdk::Answer got =
        sdk::send(abi::op::kStateSet, builder, sdk::bytes_of(value), how, filled);
    if (const auto* table = sdk::table_of<abi::StateSetResponse>(got); table != nullptr) {
      filled.etag = sdk::raw(table->etag());
    }
    return got.status;
  });
}

int rtsup_state_delete(rtsup_string component, rtsup_string key, const rtsup_state_write* write,
                       const rtsup_options* options, rtsup_answer* answer) {
  return guarded(answer, [&](rtsup_answer& filled) {
    const rtsup_options how = sdk::read_struct(options);
    const rtsup_state_write written = sdk::read_struct(write);
    Builder& builder = sdk::fresh_builder();
    const auto metadata = sdk::encode_metadata(builder, how);
    const auto name = required(builder, component);
    const auto key_text = required(builder, key);
    builder.Finish(abi::CreateStateDeleteRequest(builder, name, key_text,
                                                 sdk::encode(builder, written.etag),
                                                 concurrency_of(written), metadata));
    const sdk::Answer got = sdk::send(abi::op::kStateDelete, builder, {}, how, filled);
    if (const auto* table = sdk::table_of<abi::StateDeleteResponse>(got); table != nullptr) {
      filled.found = table->deleted() ? 1 : 0;
    }
    return got.status;
  });
}

int rtsup_invoke(rtsup_string function, rtsup_string method, rtsup_bytes data,
                 rtsup_string content_type, const rtsup_options* options, rtsup_answer* answer) {
  return guarded(answer, [&](rtsup_answer& filled) {
    const rtsup_options how = sdk::read_struct(options);
    Builder& builder = sdk::fresh_builder();
    const auto metadata = sdk::encode_metadata(builder, how);
    const auto name = required(builder, function);
    const auto method_text = sdk::encode(builder, method);
    builder.Finish(abi::CreateInvokeRequest(builder, name, method_text,
                                            sdk::encode(builder, content_type), metadata));
    const sdk::Answer got =
        sdk::send(abi::op::kInvokeCall, builder, sdk::bytes_of(data), how, filled);
    if (const auto* table = sdk::table_of<abi::InvokeResponse>(got); table != nullptr) {
      filled.content_type = sdk::raw(table->content_type());
    }
    return got.status;
  });
}

int rtsup_echo(rtsup_bytes data, const rtsup_options* options, rtsup_answer* answer) {
  return guarded(answer, [&](rtsup_answer& filled) {
    const rtsup_options how = sdk::read_struct(options);
    Builder& builder = sdk::fresh_builder();
    builder.Finish(abi::CreateEchoRequest(builder));
    return sdk::send(abi::op::kBaseEcho, builder, sdk::bytes_of(data), how, filled).status;
  });
}

const char* rtsup_status_name(int status) {
  return status >= 0 && status <= kStatusMax
             ? status_name(Status{static_cast<uint8_t>(status)}).data()
             : "UNKNOWN";
}

const char* rtsup_version(void) { return RTSUP_VERSION; }
