// read_plan: the launch plan that the supervisor wrote, checked before anything in it is used.
// Owns:    the mapping, which lasts until exec or exit: what is returned points into it.
// Errors:  kPlanRead: kInvalidArgument (no valid plan, another version, a bound exceeded: number
//          says which), kOutOfRange (empty, or too large).
// Threads: any; allocates nothing.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "abi/base/result.h"
#include "schemas/launch_generated.h"

struct sock_filter;

namespace rtsup::worker {

// Bounds of what a launcher handles without allocating.
inline constexpr size_t kPlanBytesMax = 1024 * 1024;
inline constexpr unsigned kMountsMax = 64;
inline constexpr unsigned kArgumentsMax = 64;
inline constexpr unsigned kEnvironmentMax = 256;
inline constexpr unsigned kDescriptorsMax = 32;
// Descriptors as the program sees them are small numbers, so that everything else can be closed.
inline constexpr int kDescriptorNumberMax = 63;

Result<const launch::LaunchPlan*> read_plan(int fd) noexcept;

// The filter of the plan; empty when there is none.
std::span<const sock_filter> filter_of(const launch::LaunchPlan& plan) noexcept;

inline std::string_view text_of(const flatbuffers::String* text) noexcept {
  return text == nullptr ? std::string_view() : std::string_view(text->c_str(), text->size());
}

}  // namespace rtsup::worker
