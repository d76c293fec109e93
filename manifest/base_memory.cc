#include "manifest/base_memory.h"

#include <algorithm>

#include "abi/layout.h"

namespace rtsup::manifest {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

// The program with its libraries, fixed tables of its services, buffers.
constexpr uint64_t kProgramBytes = 32 * kMiB;
// Another shard's tables and buffers.
constexpr uint64_t kShardBytes = 8 * kMiB;
// Two connections with 8 MiB of pages each, and what waits for their threads in small pieces.
constexpr uint64_t kStateSqliteBytes = 48 * kMiB;
constexpr uint64_t kSequencerSqliteBytes = 24 * kMiB;
// Messages and the entries of their queues (broker/core/limits.h).
constexpr uint64_t kPubsubBytes = 72 * kMiB;
constexpr uint64_t kTopicRegionsBytes = 64 * kMiB;  // of all buses of a shard together
// `rtsup upgrade` writes what components hold in memory into a file, which has at most so much
// (broker/handover/handover_file.h), and builds its records one by one.
constexpr uint64_t kHandoverBytesMax = 256 * kMiB;
constexpr uint64_t kHandoverRecordBytes = 65 * kMiB;
// The allocator keeps some of what it was given back.
constexpr uint64_t kSlackParts = 16;
constexpr uint64_t kInstanceBytes = kMiB;
constexpr uint64_t kFunctionsBytesMin = 16 * kMiB;

// By default a base takes so much, and more where its components and instances do not leave half of
// it to the functions.
constexpr uint64_t kLimitDefault = 1024 * kMiB;
constexpr uint64_t kFunctionsDefault = 512 * kMiB;

constexpr uint64_t kPayloadDefaultMin = 8 * kMiB;
constexpr uint64_t kPayloadParts = 4;

uint64_t bytes_of(const Component& component) noexcept {
  switch (component.type) {
    case ComponentType::kStateMemory:
      return component.bytes_max + component.bytes_max / 32;  // its table
    case ComponentType::kStateSqlite:
      return kStateSqliteBytes;
    case ComponentType::kPubsubMemory:
      return kPubsubBytes;
    case ComponentType::kSequencerSqlite:
      return kSequencerSqliteBytes;
  }
  return 0;
}

// What of it `rtsup upgrade` hands over.
uint64_t movable_bytes_of(const Component& component) noexcept {
  switch (component.type) {
    case ComponentType::kStateMemory:
    case ComponentType::kPubsubMemory:
      return bytes_of(component);
    case ComponentType::kStateSqlite:
    case ComponentType::kSequencerSqlite:
      return 0;
  }
  return 0;
}

}  // namespace

BaseMemory base_memory_of(const Manifest& manifest) noexcept {
  BaseMemory memory{.fixed = kProgramBytes + (manifest.shards - 1) * kShardBytes};
  uint64_t buses = 0;
  uint64_t movable = 0;
  for (const Component& component : manifest.components) {
    memory.fixed += bytes_of(component);
    movable += movable_bytes_of(component);
    buses += component.type == ComponentType::kPubsubMemory ? 1 : 0;
  }
  memory.fixed += std::min<uint64_t>(buses, manifest.shards) * kTopicRegionsBytes;
  // The file, and the buffer for the largest record of it.
  memory.fixed += std::min(movable, kHandoverBytesMax) + std::min(movable, kHandoverRecordBytes);
  memory.functions_min = kFunctionsBytesMin;
  for (const Function& function : manifest.functions) {
    memory.functions_min += function.instances * kInstanceBytes;
  }
  memory.limit_min = (memory.fixed + memory.functions_min) / (kSlackParts - 1) * kSlackParts + kMiB;
  memory.limit = manifest.memory_bytes;
  if (memory.limit == 0) {
    const uint64_t needed =
        memory.fixed + std::max(memory.functions_min, kFunctionsDefault) + kLimitDefault / 8;
    memory.limit = std::max(kLimitDefault, needed);
  }
  memory.fixed += memory.limit / kSlackParts;
  memory.functions = memory.limit > memory.fixed ? memory.limit - memory.fixed : 0;
  return memory;
}

uint32_t payload_bytes_max(const ResourcePolicy& resources) noexcept {
  if (resources.payload_bytes_max != 0) {
    return resources.payload_bytes_max;
  }
  return static_cast<uint32_t>(std::clamp<uint64_t>(resources.memory_bytes / kPayloadParts,
                                                    kPayloadDefaultMin, abi::kPayloadBytesMax));
}

}  // namespace rtsup::manifest
