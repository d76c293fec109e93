// Request tables for the broker's unit tests.
#pragma once

#include <string>
#include <vector>

#include "broker/testing/fake_call.h"
#include "schemas/base_generated.h"
#include "schemas/invoke_generated.h"
#include "schemas/state_generated.h"

namespace rtsup::broker::testing {

using Table = std::vector<std::byte>;

struct Write {
  std::string key{};
  std::string value{};
  std::string etag{};
  bool first_write = false;
  int64_t ttl_ms = 0;
  std::string content_type{};
};

inline abi::Concurrency concurrency_of(const Write& write) {
  return write.first_write ? abi::Concurrency::FirstWrite : abi::Concurrency::LastWrite;
}

inline Table get_table(std::string_view component, std::string_view key) {
  return make_table([&](auto& b) {
    const auto component_at = b.CreateString(component.data(), component.size());
    return abi::CreateStateGetRequest(b, component_at, b.CreateString(key.data(), key.size()));
  });
}

inline Table set_table(std::string_view component, std::string_view key, const Write& write = {}) {
  return make_table([&](auto& b) {
    const auto component_at = b.CreateString(component.data(), component.size());
    const auto key_at = b.CreateString(key.data(), key.size());
    const auto etag = b.CreateString(write.etag);
    const auto type = b.CreateString(write.content_type);
    return abi::CreateStateSetRequest(b, component_at, key_at, etag, concurrency_of(write),
                                      write.ttl_ms, type);
  });
}

inline Table delete_table(std::string_view component, std::string_view key,
                          const Write& write = {}) {
  return make_table([&](auto& b) {
    const auto component_at = b.CreateString(component.data(), component.size());
    const auto key_at = b.CreateString(key.data(), key.size());
    const auto etag = b.CreateString(write.etag);
    return abi::CreateStateDeleteRequest(b, component_at, key_at, etag, concurrency_of(write));
  });
}

inline Table bulk_get_table(std::string_view component, const std::vector<std::string>& keys) {
  return make_table([&](auto& b) {
    const auto component_at = b.CreateString(component.data(), component.size());
    return abi::CreateStateBulkGetRequest(b, component_at, b.CreateVectorOfStrings(keys));
  });
}

// The values stand in the payload one after the other.
inline Table bulk_set_table(std::string_view component, const std::vector<Write>& writes) {
  return make_table([&](auto& b) {
    std::vector<flatbuffers::Offset<abi::StateBulkSetItem>> items;
    uint32_t offset = 0;
    for (const Write& write : writes) {
      const abi::Part part(offset, static_cast<uint32_t>(write.value.size()));
      offset += part.length();
      const auto key = b.CreateString(write.key);
      const auto etag = b.CreateString(write.etag);
      const auto type = b.CreateString(write.content_type);
      items.push_back(abi::CreateStateBulkSetItem(b, key, &part, etag, concurrency_of(write),
                                                  write.ttl_ms, type));
    }
    const auto component_at = b.CreateString(component.data(), component.size());
    return abi::CreateStateBulkSetRequest(b, component_at, b.CreateVector(items));
  });
}

inline std::string joined_values(const std::vector<Write>& writes) {
  std::string payload;
  for (const Write& write : writes) {
    payload += write.value;
  }
  return payload;
}

inline Table bulk_delete_table(std::string_view component, const std::vector<Write>& writes) {
  return make_table([&](auto& b) {
    std::vector<flatbuffers::Offset<abi::StateBulkDeleteItem>> items;
    for (const Write& write : writes) {
      const auto key = b.CreateString(write.key);
      const auto etag = b.CreateString(write.etag);
      items.push_back(abi::CreateStateBulkDeleteItem(b, key, etag, concurrency_of(write)));
    }
    const auto component_at = b.CreateString(component.data(), component.size());
    return abi::CreateStateBulkDeleteRequest(b, component_at, b.CreateVector(items));
  });
}

inline Table invoke_table(std::string_view function, std::string_view method = {}) {
  return make_table([&](auto& b) {
    const auto function_at = b.CreateString(function.data(), function.size());
    const auto method_at = b.CreateString(method.data(), method.size());
    const auto type = b.CreateString("text/plain");
    const std::vector pairs = {abi::CreatePairDirect(b, "lang", "en")};
    return abi::CreateInvokeRequest(b, function_at, method_at, type, b.CreateVector(pairs));
  });
}

inline Table usage_table() {
  return make_table([](auto& b) { return abi::CreateUsageRequest(b); });
}

}  // namespace rtsup::broker::testing
