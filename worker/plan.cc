#include "worker/plan.h"

#include <linux/filter.h>
#include <sys/mman.h>
#include <sys/stat.h>

namespace rtsup::worker {
namespace {

constexpr uint32_t kPlanVersion = 1;
constexpr unsigned kVerifyDepthMax = 8;
constexpr unsigned kVerifyTablesMax = 4096;

Error refuse(int64_t what) noexcept {
  return {.status = Status::kInvalidArgument, .step = Step::kPlanRead, .number = what};
}

template <typename Vector>
bool is_longer(const Vector* vector, size_t most) noexcept {
  return vector != nullptr && vector->size() > most;
}

bool has_good_descriptors(const launch::LaunchPlan& plan) noexcept {
  if (plan.descriptors() == nullptr) {
    return true;
  }
  for (const launch::Descriptor* descriptor : *plan.descriptors()) {
    if (descriptor->from() < 0 || descriptor->to() < 0 || descriptor->to() > kDescriptorNumberMax) {
      return false;
    }
  }
  return true;
}

bool has_good_mounts(const launch::LaunchPlan& plan) noexcept {
  if (plan.mounts() == nullptr) {
    return true;
  }
  for (const launch::Mount* mount : *plan.mounts()) {
    if (!text_of(mount->target()).starts_with('/')) {
      return false;
    }
  }
  return true;
}

}  // namespace

Result<const launch::LaunchPlan*> read_plan(int fd) noexcept {
  struct stat found {};
  if (::fstat(fd, &found) < 0) {
    return sys_error(Step::kPlanRead, fd);
  }
  const auto bytes = static_cast<size_t>(found.st_size);
  if (bytes == 0 || bytes > kPlanBytesMax) {
    return Error{.status = Status::kOutOfRange, .step = Step::kPlanRead, .number = found.st_size};
  }
  void* const address = ::mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, fd, 0);
  if (address == MAP_FAILED) {
    return sys_error(Step::kPlanRead);
  }
  flatbuffers::Verifier verifier(static_cast<const uint8_t*>(address), bytes, kVerifyDepthMax,
                                 kVerifyTablesMax);
  if (!launch::VerifyLaunchPlanBuffer(verifier)) {
    return refuse(1);
  }
  const launch::LaunchPlan* const plan = launch::GetLaunchPlan(address);
  if (plan->version() != kPlanVersion) {
    return refuse(2);
  }
  if (is_longer(plan->mounts(), kMountsMax) || is_longer(plan->argv(), kArgumentsMax) ||
      is_longer(plan->environment(), kEnvironmentMax) ||
      is_longer(plan->descriptors(), kDescriptorsMax)) {
    return refuse(3);
  }
  if (!has_good_descriptors(*plan)) {
    return refuse(4);
  }
  if (!has_good_mounts(*plan)) {
    return refuse(5);
  }
  return plan;
}

std::span<const sock_filter> filter_of(const launch::LaunchPlan& plan) noexcept {
  if (plan.filter() == nullptr) {
    return {};
  }
  // Vectors of bytes lie at multiples of 4, which is what sock_filter wants.
  static_assert(alignof(sock_filter) == 4);
  return {reinterpret_cast<const sock_filter*>(plan.filter()->data()),
          plan.filter()->size() / sizeof(sock_filter)};
}

}  // namespace rtsup::worker
