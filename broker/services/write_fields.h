// What the requests say of a write beside its key and value, checked and put into a StateWrite.
// Threads: any. Pure.
#pragma once

#include <string_view>

#include "broker/components/etag.h"
#include "broker/components/state_store.h"
#include "broker/core/limits.h"
#include "broker/core/table.h"
#include "broker/core/wall_clock.h"
#include "broker/services/key.h"
#include "schemas/state_generated.h"

namespace rtsup::broker {

// An absent etag and an empty one are the same.
inline abi::Reason set_expectation(StateWrite& write, const flatbuffers::String* etag,
                                   abi::Concurrency concurrency) noexcept {
  if (concurrency != abi::Concurrency::LastWrite && concurrency != abi::Concurrency::FirstWrite) {
    return abi::Reason::kConcurrencyInvalid;
  }
  if (etag != nullptr && etag->size() > 0) {
    write.expect = Expect::kEtag;
    write.etag = parse_etag(view(etag));
  } else if (concurrency == abi::Concurrency::FirstWrite) {
    write.expect = Expect::kAbsent;
  }
  return abi::Reason::kNone;
}

// The fields that set, an item of bulk_set and upload_commit share.
template <typename Fields>
abi::Reason read_set_fields(const Fields& fields, const WallClock& clock,
                            StateWrite& write) noexcept {
  if (fields.ttl_ms() < 0 || fields.ttl_ms() > kTtlMsMax) {
    return abi::Reason::kTtlInvalid;
  }
  write.content_type = view(fields.content_type());
  if (!is_valid_content_type(write.content_type)) {
    return abi::Reason::kContentTypeInvalid;
  }
  write.expires_unix_ms = fields.ttl_ms() == 0 ? 0 : clock.unix_ms() + fields.ttl_ms();
  return set_expectation(write, fields.etag(), fields.concurrency());
}

}  // namespace rtsup::broker
