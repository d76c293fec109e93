// The calls on parts of values, and the two that read and write whole ones with them.
#include <algorithm>
#include <memory>

#include "abi/operation.h"
#include "schemas/state_generated.h"
#include "sdk/client.h"
#include "sdk/include/rtsup/state_parts.h"

namespace {

using namespace rtsup;  // NOLINT(google-build-using-namespace): this file is the edge between C
                        // names and the library's
using sdk::Builder;
using sdk::guarded;
using sdk::required;

// Asked for at a time; a base may give less.
constexpr uint32_t kReadBytes = 1024 * 1024;

struct Target {
  rtsup_string component;
  rtsup_string key;
};

abi::Concurrency concurrency_of(const rtsup_state_write& write) noexcept {
  return write.concurrency == RTSUP_FIRST_WRITE ? abi::Concurrency::FirstWrite
                                                : abi::Concurrency::LastWrite;
}

struct Asked {
  uint64_t offset = 0;
  uint32_t length = 0;
  rtsup_string etag = {nullptr, 0};
};

Status read_part(const Target& target, const Asked& asked, const rtsup_options& how,
                 rtsup_answer& filled, uint64_t& whole) {
  Builder& builder = sdk::fresh_builder();
  const auto metadata = sdk::encode_metadata(builder, how);
  const auto component = required(builder, target.component);
  const auto key = required(builder, target.key);
  const auto etag = sdk::encode(builder, asked.etag);
  builder.Finish(abi::CreateStateReadPartRequest(builder, component, key, asked.offset,
                                                 asked.length, etag, metadata));
  const sdk::Answer got = sdk::send(abi::op::kStateReadPart, builder, {}, how, filled);
  if (const auto* table = sdk::table_of<abi::StateReadPartResponse>(got); table != nullptr) {
    filled.found = table->found() ? 1 : 0;
    filled.etag = sdk::raw(table->etag());
    filled.content_type = sdk::raw(table->content_type());
    filled.expires_unix_ms = table->expires_unix_ms();
    whole = table->size();
  }
  return got.status;
}

Status begin(uint64_t bytes, const rtsup_options& how, rtsup_answer& filled, rtsup_upload& upload) {
  Builder& builder = sdk::fresh_builder();
  const auto metadata = sdk::encode_metadata(builder, how);
  const auto component = required(builder, upload.component);
  builder.Finish(abi::CreateStateUploadBeginRequest(
      builder, component, required(builder, upload.key), bytes, metadata));
  const sdk::Answer got = sdk::send(abi::op::kStateUploadBegin, builder, {}, how, filled);
  if (const auto* table = sdk::table_of<abi::StateUploadBeginResponse>(got); table != nullptr) {
    upload.token = table->token();
    upload.bytes = bytes;
    upload.part_bytes = table->part_bytes();
  }
  return got.status;
}

struct Part {
  uint64_t offset = 0;
  sdk::Bytes bytes = {};
};

Status put(const rtsup_upload& upload, const Part& part, const rtsup_options& how,
           rtsup_answer& filled) {
  Builder& builder = sdk::fresh_builder();
  const auto component = required(builder, upload.component);
  const auto key = required(builder, upload.key);
  builder.Finish(
      abi::CreateStateUploadPartRequest(builder, component, key, upload.token, part.offset));
  return sdk::send(abi::op::kStateUploadPart, builder, part.bytes, how, filled).status;
}

Status commit(const rtsup_upload& upload, const rtsup_state_write& write, const rtsup_options& how,
              rtsup_answer& filled) {
  Builder& builder = sdk::fresh_builder();
  const auto component = required(builder, upload.component);
  const auto key = required(builder, upload.key);
  const auto etag = sdk::encode(builder, write.etag);
  const auto type = sdk::encode(builder, write.content_type);
  builder.Finish(abi::CreateStateUploadCommitRequest(builder, component, key, upload.token, etag,
                                                     concurrency_of(write), write.ttl_ms, type));
  const sdk::Answer got = sdk::send(abi::op::kStateUploadCommit, builder, {}, how, filled);
  if (const auto* table = sdk::table_of<abi::StateUploadCommitResponse>(got); table != nullptr) {
    filled.etag = sdk::raw(table->etag());
  }
  return got.status;
}

Status abort(const rtsup_upload& upload, const rtsup_options& how, rtsup_answer& filled) {
  Builder& builder = sdk::fresh_builder();
  const auto component = required(builder, upload.component);
  const auto key = required(builder, upload.key);
  builder.Finish(abi::CreateStateUploadAbortRequest(builder, component, key, upload.token));
  return sdk::send(abi::op::kStateUploadAbort, builder, {}, how, filled).status;
}

// The answer to the call before is given back, or its memory would be used up.
void renew(rtsup_answer& filled) noexcept {
  const size_t size = filled.size;
  rtsup_answer_release(&filled);
  filled = RTSUP_INIT(rtsup_answer);
  filled.size = size;
}

// One buffer for all parts.
Status put_all(const rtsup_upload& upload, const rtsup_source& source, const rtsup_options& how,
               rtsup_answer& filled) {
  const auto buffer = std::make_unique_for_overwrite<std::byte[]>(upload.part_bytes);
  for (uint64_t offset = 0; offset < upload.bytes; offset += upload.part_bytes) {
    const auto length =
        static_cast<size_t>(std::min<uint64_t>(upload.part_bytes, upload.bytes - offset));
    renew(filled);
    if (const int given = source.fill(source.context, offset, buffer.get(), length);
        given != RTSUP_OK) {
      filled.reason = RTSUP_LITERAL("SOURCE_ENDED");
      return Status{static_cast<uint8_t>(given)};
    }
    const Part part{.offset = offset, .bytes = {buffer.get(), length}};
    if (const Status status = put(upload, part, how, filled); status != Status::kOk) {
      return status;
    }
  }
  renew(filled);
  return Status::kOk;
}

}  // namespace

int rtsup_state_read_part(rtsup_string component, rtsup_string key, rtsup_range* range,
                          const rtsup_options* options, rtsup_answer* answer) {
  return guarded(answer, [&](rtsup_answer& filled) {
    rtsup_range asked = sdk::read_struct(range);
    const Status status = read_part({component, key}, {asked.offset, asked.length, asked.etag},
                                    sdk::read_struct(options), filled, asked.whole);
    if (range != nullptr) {
      sdk::write_struct(asked, range);
    }
    return status;
  });
}

int rtsup_state_upload_begin(rtsup_string component, rtsup_string key, uint64_t bytes,
                             const rtsup_options* options, rtsup_upload* upload,
                             rtsup_answer* answer) {
  if (upload == nullptr) {
    return RTSUP_INVALID_ARGUMENT;
  }
  return guarded(answer, [&](rtsup_answer& filled) {
    auto begun = RTSUP_INIT(rtsup_upload);
    begun.component = component;
    begun.key = key;
    const Status status = begin(bytes, sdk::read_struct(options), filled, begun);
    sdk::write_struct(begun, upload);
    return status;
  });
}

int rtsup_state_upload_part(const rtsup_upload* upload, uint64_t offset, rtsup_bytes part,
                            const rtsup_options* options, rtsup_answer* answer) {
  return guarded(answer, [&](rtsup_answer& filled) {
    return put(sdk::read_struct(upload), {offset, sdk::bytes_of(part)}, sdk::read_struct(options),
               filled);
  });
}

int rtsup_state_upload_commit(const rtsup_upload* upload, const rtsup_state_write* write,
                              const rtsup_options* options, rtsup_answer* answer) {
  return guarded(answer, [&](rtsup_answer& filled) {
    return commit(sdk::read_struct(upload), sdk::read_struct(write), sdk::read_struct(options),
                  filled);
  });
}

int rtsup_state_upload_abort(const rtsup_upload* upload, const rtsup_options* options,
                             rtsup_answer* answer) {
  return guarded(answer, [&](rtsup_answer& filled) {
    return abort(sdk::read_struct(upload), sdk::read_struct(options), filled);
  });
}

int rtsup_state_read(rtsup_string component, rtsup_string key, rtsup_sink sink, void* context,
                     const rtsup_options* options, rtsup_answer* answer) {
  return guarded(answer, [&](rtsup_answer& filled) {
    const rtsup_options how = sdk::read_struct(options);
    std::string etag;
    uint64_t whole = 0;
    for (uint64_t offset = 0; offset == 0 || offset < whole;) {
      renew(filled);
      const Asked asked{offset, kReadBytes, {etag.data(), etag.size()}};
      if (const Status status = read_part({component, key}, asked, how, filled, whole);
          status != Status::kOk) {
        return status;
      }
      const rtsup_bytes part = filled.data;
      if (part.length == 0) {
        return filled.found == 0 || offset == whole ? Status::kOk : Status::kDataLoss;
      }
      if (const int taken = sink(context, offset, whole, part); taken != RTSUP_OK) {
        return Status{static_cast<uint8_t>(taken)};
      }
      etag.assign(filled.etag.data == nullptr ? "" : filled.etag.data, filled.etag.length);
      offset += part.length;
    }
    filled.data = {nullptr, 0};
    return Status::kOk;
  });
}

int rtsup_state_write_parts(rtsup_string component, rtsup_string key, const rtsup_source* source,
                            const rtsup_state_write* write, const rtsup_options* options,
                            rtsup_answer* answer) {
  const rtsup_source from = sdk::read_struct(source);
  if (from.fill == nullptr) {
    return RTSUP_INVALID_ARGUMENT;
  }
  return guarded(answer, [&](rtsup_answer& filled) {
    const rtsup_options how = sdk::read_struct(options);
    auto upload = RTSUP_INIT(rtsup_upload);
    upload.component = component;
    upload.key = key;
    Status status = begin(from.bytes, how, filled, upload);
    if (status != Status::kOk) {
      return status;
    }
    status = upload.part_bytes == 0 ? Status::kDataLoss : put_all(upload, from, how, filled);
    if (status == Status::kOk) {
      status = commit(upload, sdk::read_struct(write), how, filled);
    }
    if (status != Status::kOk) {
      auto ignored = RTSUP_INIT(rtsup_answer);
      (void)abort(upload, how, ignored);
      rtsup_answer_release(&ignored);
    }
    return status;
  });
}
