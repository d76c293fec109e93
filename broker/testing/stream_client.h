// StreamClient: asks a store for values in parts without a service in between.
#pragma once

#include <string>

#include "broker/components/state_streams.h"
#include "broker/testing/fake_call.h"

namespace rtsup::broker::testing {

class StreamAnswer final : public StreamSink {
 public:
  void stream_done(const StreamResult& result) override {
    done = true;
    reason = result.reason;
    upload = result.upload;
    found = result.item.found;
    size = result.size;
    etag = result.item.etag;
    value = text_of(result.item.value.bytes());
  }
  bool done = false;
  abi::Reason reason = abi::Reason::kNone;
  uint64_t upload = 0;
  bool found = false;
  uint64_t size = 0;
  uint64_t etag = 0;
  std::string value;
};

inline void ask_part(StreamStore& store, uint64_t upload, uint32_t number, const std::string& value,
                     StreamAnswer& answer) {
  const std::string part = value.substr(number * kUploadPartBytes, kUploadPartBytes);
  store.put_part(upload, number, ValueRef::copy_of(std::as_bytes(std::span(part))), answer);
}

// A whole value; `wait(answer)` runs the store until it has answered.
template <typename Wait>
StreamAnswer upload(StreamStore& store, std::string_view key, const std::string& value,
                    const Wait& wait) {
  StreamAnswer answer;
  store.begin_upload(value.size(), answer);
  wait(answer);
  const uint64_t id = answer.upload;
  for (uint32_t i = 0; i < parts_of(value.size()) && answer.reason == abi::Reason::kNone; ++i) {
    answer = {};
    ask_part(store, id, i, value, answer);
    wait(answer);
  }
  if (answer.reason == abi::Reason::kNone) {
    answer = {};
    store.commit_upload(id, {.key = key}, answer);
    wait(answer);
  }
  return answer;
}

}  // namespace rtsup::broker::testing
