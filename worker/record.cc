#include "worker/record.h"

#include <unistd.h>

#include <cerrno>

namespace rtsup::worker {
namespace {

void write_record(int status_fd, abi::LaunchRecord record) noexcept {
  record.magic = abi::kLaunchMagic;
  // A sequenced-packet socket takes a record whole or not at all.
  while (::write(status_fd, &record, sizeof record) < 0 && errno == EINTR) {
  }
}

}  // namespace

void report(int status_fd, abi::LaunchVerb verb, int64_t number) noexcept {
  abi::LaunchRecord record{};
  record.verb = verb;
  record.number = number;
  write_record(status_fd, record);
}

void report_spawned(int status_fd, int pid) noexcept {
  abi::LaunchRecord record{};
  record.verb = abi::LaunchVerb::kSpawned;
  record.pid = pid;
  write_record(status_fd, record);
}

void report_failed(int status_fd, const Error& error) noexcept {
  abi::LaunchRecord record{};
  record.verb = abi::LaunchVerb::kFailed;
  record.error = error;
  write_record(status_fd, record);
}

}  // namespace rtsup::worker
