#include "monitor/log_file.h"

#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>

#include "sys/clock.h"

namespace rtsup::monitor {
namespace {

// The notice where dropping begins, and the one of close().
constexpr uint64_t kReservedBytes = 2 * sizeof(abi::LogFrame);

}  // namespace

LogFile::LogFile(sys::UniqueFd file, uint32_t worker, uint64_t bytes_max) noexcept
    : file_(std::move(file)), worker_(worker), bytes_max_(bytes_max) {
  // Not fstat: the C library makes that newfstatat, a call with a path, which no filter of a daemon
  // that opens nothing should allow.
  const off_t end = ::lseek(file_.get(), 0, SEEK_END);
  if (end < 0) {
    broken_ = true;
    return;
  }
  bytes_ = static_cast<uint64_t>(end);
}

bool LogFile::fits(size_t bytes) const noexcept {
  const uint64_t wanted = sizeof(abi::LogFrame) + bytes + kReservedBytes;
  return bytes_ <= bytes_max_ && wanted <= bytes_max_ - bytes_;
}

void LogFile::write(Stream stream, std::span<const std::byte> bytes) noexcept {
  if (bytes.empty()) {
    return;
  }
  if (bytes.size() > abi::kLogFrameBytesMax || broken_ || full_) {
    drop(bytes.size());
    return;
  }
  if (!fits(bytes.size())) {
    // Full is final: a shorter message later would look as if nothing were missing before it.
    drop(bytes.size());
    full_ = true;
    append(Stream::kMonitor, {});
    return;
  }
  if (!append(stream, bytes)) {
    drop(bytes.size());
  }
}

void LogFile::close() noexcept {
  if (full_ && !broken_) {
    append(Stream::kMonitor, {});
  }
  file_.reset();
  broken_ = true;
}

bool LogFile::append(Stream stream, std::span<const std::byte> bytes) noexcept {
  abi::LogFrame frame{};
  frame.magic = abi::kLogMagic;
  frame.bytes = static_cast<uint32_t>(bytes.size());
  frame.time_ns = static_cast<uint64_t>(sys::realtime_ns());
  frame.worker = worker_;
  frame.stream = static_cast<uint8_t>(stream);
  frame.dropped = dropped_;
  const iovec parts[] = {
      {.iov_base = &frame, .iov_len = sizeof frame},
      {.iov_base = const_cast<std::byte*>(bytes.data()), .iov_len = bytes.size()}};
  const size_t wanted = sizeof frame + bytes.size();
  ssize_t written = -1;
  do {
    written = ::writev(file_.get(), parts, bytes.empty() ? 1 : 2);
  } while (written < 0 && errno == EINTR);
  if (written == static_cast<ssize_t>(wanted)) {
    bytes_ += wanted;
    return true;
  }
  // Disk full, most likely in the middle of the frame. Half a frame would hide all that follow, so
  // it is taken back and this file is left alone from now on.
  broken_ = true;
  if (written > 0 && ::ftruncate(file_.get(), static_cast<off_t>(bytes_)) < 0) {
    return false;  // the reader stops at the broken frame; there is nothing more to be done here
  }
  return false;
}

void LogFile::drop(size_t bytes) noexcept { dropped_ += bytes; }

}  // namespace rtsup::monitor
