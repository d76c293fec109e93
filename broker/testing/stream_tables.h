// Request tables of values in parts, for tests.
#pragma once

#include <string>

#include "broker/testing/tables.h"

namespace rtsup::broker::testing {

inline Table read_part_table(const std::string& key, uint64_t offset, uint32_t length,
                             const std::string& etag = {}) {
  return make_table([&](auto& b) {
    return abi::CreateStateReadPartRequestDirect(b, "store", key.c_str(), offset, length,
                                                 etag.c_str());
  });
}
inline Table upload_begin_table(const std::string& key, uint64_t size) {
  return make_table([&](auto& b) {
    return abi::CreateStateUploadBeginRequestDirect(b, "store", key.c_str(), size);
  });
}
inline Table upload_part_table(const std::string& key, uint64_t token, uint64_t offset) {
  return make_table([&](auto& b) {
    return abi::CreateStateUploadPartRequestDirect(b, "store", key.c_str(), token, offset);
  });
}
inline Table upload_commit_table(const std::string& key, uint64_t token, const Write& write = {}) {
  return make_table([&](auto& b) {
    return abi::CreateStateUploadCommitRequestDirect(b, "store", key.c_str(), token,
                                                     write.etag.c_str(), concurrency_of(write),
                                                     write.ttl_ms, write.content_type.c_str());
  });
}
inline Table upload_abort_table(const std::string& key, uint64_t token) {
  return make_table([&](auto& b) {
    return abi::CreateStateUploadAbortRequestDirect(b, "store", key.c_str(), token);
  });
}

// Bytes of which no two parts of a value are the same.
inline std::string varied(size_t size, uint32_t seed = 1) {
  std::string bytes(size, '\0');
  for (size_t i = 0; i < size; i += 64) {
    seed = seed * 1664525 + 1013904223;
    bytes[i] = static_cast<char>(seed >> 24);
  }
  return bytes;
}

}  // namespace rtsup::broker::testing
