// Limits of what an operator may write. They keep a broken or generated file from taking the
// supervisor's memory and time; none of them is near what a hand-written manifest reaches.
#pragma once

#include <cstddef>
#include <cstdint>

namespace rtsup::manifest {

inline constexpr size_t kFileBytesMax = 1U << 20;  // one manifest or policy file
inline constexpr size_t kDepthMax = 24;        // nesting of arrays and objects; the shapes need 8
inline constexpr size_t kNodesMax = 65536;     // values in one file
inline constexpr size_t kMembersMax = 1024;    // keys of one object
inline constexpr size_t kTextBytesMax = 4096;  // one string: PATH_MAX
inline constexpr size_t kMistakesMax = 200;    // reported of one load; the rest is counted

inline constexpr size_t kFunctionsMax = 256;
inline constexpr size_t kComponentsMax = 64;
inline constexpr int64_t kShardsMax = 16;        // as broker/core/placement.h
inline constexpr int64_t kLeaseMax = 1'000'000;  // values of a sequence that may be lost at a time
inline constexpr int64_t kInstancesMax = 64;     // of one function
inline constexpr int64_t kConcurrencyMax =
    64;  // events in flight of one instance: frames of its ring
inline constexpr size_t kEnvironmentBytesMax = 32768;  // names and values of one function
inline constexpr size_t kExtendsDepthMax = 8;          // policies that extend policies
inline constexpr size_t kExtendsMax = 16;              // policies that one policy extends
inline constexpr size_t kRulesMax =
    1024;  // normalised rules of one filter: the kernel takes 4096 instructions
inline constexpr size_t kCombinationsMax =
    256;  // normalised rules that one written rule may become
inline constexpr size_t kKeyPatternBytesMax = 1024;
inline constexpr size_t kTopicPatternBytesMax = 255;  // a topic, as the broker accepts them

}  // namespace rtsup::manifest
