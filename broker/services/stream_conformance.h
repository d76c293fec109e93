// The conformance suite of values in parts. A component joins as it joins StateConformance.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "broker/services/state_conformance.h"
#include "broker/testing/stream_tables.h"

namespace rtsup::broker::testing {

inline constexpr size_t kPart = kUploadPartBytes;

class StreamConformance : public StateConformance {
 protected:
  uint64_t begin(const std::string& key, uint64_t size, uint32_t session = 1) {
    const FakeCall call =
        run(abi::op::kStateUploadBegin, upload_begin_table(key, size), {}, session);
    return call.status == Status::kOk ? call.response<abi::StateUploadBeginResponse>().token() : 0;
  }
  FakeCall put(const std::string& key, uint64_t token, uint64_t offset, std::string bytes,
               uint32_t session = 1) {
    return run(abi::op::kStateUploadPart, upload_part_table(key, token, offset), std::move(bytes),
               session);
  }
  // All parts, the last one first.
  void put_all(const std::string& key, uint64_t token, const std::string& value) {
    for (size_t i = parts_of(value.size()); i > 0; --i) {
      const size_t offset = (i - 1) * kPart;
      ASSERT_EQ(put(key, token, offset, value.substr(offset, kPart)).status, Status::kOk);
    }
  }
  FakeCall commit(const std::string& key, uint64_t token, const Write& write = {},
                  uint32_t session = 1) {
    return run(abi::op::kStateUploadCommit, upload_commit_table(key, token, write), {}, session);
  }
  bool abort(const std::string& key, uint64_t token, uint32_t session = 1) {
    return run(abi::op::kStateUploadAbort, upload_abort_table(key, token), {}, session)
        .response<abi::StateUploadAbortResponse>()
        .aborted();
  }
  void upload(const std::string& key, const std::string& value, const Write& write = {}) {
    const uint64_t token = begin(key, value.size());
    put_all(key, token, value);
    ASSERT_EQ(commit(key, token, write).status, Status::kOk);
  }
  FakeCall read(const std::string& key, uint64_t offset, uint32_t length,
                const std::string& etag = {}) {
    return run(abi::op::kStateReadPart, read_part_table(key, offset, length, etag));
  }
  std::string read_all(const std::string& key) {
    std::string value;
    while (true) {
      const FakeCall part = read(key, value.size(), UINT32_MAX);
      if (part.status != Status::kOk || part.data.empty()) {
        return value;
      }
      value += part.data;
    }
  }
};

}  // namespace rtsup::broker::testing
