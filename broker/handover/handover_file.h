// HandoverWriter, HandoverReader: the file in which a broker gives what it holds in memory to the
// one that takes its place: records of known kinds, each under a checksum
// (docs/formats/handover.md).
// Owns:    the writer its memory file; the reader nothing: the bytes must outlive it and its
//          records.
// Units:   bytes; at most kHandoverBytesMax in all.
// Errors:  step kHandover: kDataLoss (cut or garbled; number = offset), kFailedPrecondition
//          (another version; number = it), kUnimplemented (a record of a later version; number =
//          its kind), kResourceExhausted (larger than a handover may be; number = bytes).
// Threads: one at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "abi/base/result.h"
#include "sys/fd.h"

namespace rtsup::broker {

inline constexpr uint32_t kHandoverVersion = 1;
// A quarter of what a broker may use: it holds its state and this file at a time.
inline constexpr uint64_t kHandoverBytesMax = 256 << 20;

enum class HandoverKind : uint32_t {
  kOwner = 1,
  kFunction = 2,
  kOperator = 3,
  kComponent = 4,
  kStore = 5,
  kEntry = 6,
  kBus = 7,
  kSubscription = 8,
  kMessage = 9,
  kQueued = 10,
  kEnd = 11,
  kLongEntry = 12,
  kPart = 13,
};
inline constexpr HandoverKind kHandoverKindMax = HandoverKind::kPart;

class HandoverWriter {
 public:
  static Result<HandoverWriter> create();

  // One record: begin(), its fields in their order, end(). What fails on the way, finish() says.
  void begin(HandoverKind kind);
  void u32(uint32_t value);
  void u64(uint64_t value);
  void i64(int64_t value) { u64(static_cast<uint64_t>(value)); }
  void bytes(std::span<const std::byte> value);
  void text(std::string_view value) { bytes(std::as_bytes(std::span(value))); }
  void end();

  // The sealed file; the writer is spent.
  Result<sys::UniqueFd> finish();

 private:
  explicit HandoverWriter(sys::UniqueFd file) : file_(std::move(file)) {}
  void put(std::span<const std::byte> bytes);
  void flush();

  sys::UniqueFd file_;
  std::vector<std::byte> buffer_;
  size_t start_ = 0;      // of the record under construction, in the buffer
  uint64_t flushed_ = 0;  // bytes in the file
  uint64_t records_ = 0;
  std::optional<Error> failed_;
};

// One record. Fields are read in the order in which they were written; what a later version has
// added behind them is left alone.
class HandoverRecord {
 public:
  HandoverRecord(HandoverKind kind, std::span<const std::byte> fields, uint64_t offset) noexcept
      : kind_(kind), rest_(fields), offset_(offset) {}

  [[nodiscard]] HandoverKind kind() const noexcept { return kind_; }
  // Zero or empty once a field was missing; is_whole() tells.
  uint32_t u32() noexcept;
  uint64_t u64() noexcept;
  int64_t i64() noexcept { return static_cast<int64_t>(u64()); }
  std::span<const std::byte> bytes() noexcept;
  std::string_view text() noexcept;
  [[nodiscard]] bool is_whole() const noexcept { return is_whole_; }
  // That what it says can not be.
  [[nodiscard]] Error refused() const noexcept;

 private:
  void read(void* to, size_t size) noexcept;
  HandoverKind kind_;
  std::span<const std::byte> rest_;
  uint64_t offset_;
  bool is_whole_ = true;
};

class HandoverReader {
 public:
  // Looks at the whole file: what it accepts is complete, and of kinds that this version knows.
  static Result<HandoverReader> open(std::span<const std::byte> file);
  // The next one; nothing at the end.
  std::optional<HandoverRecord> next() noexcept;

 private:
  explicit HandoverReader(std::span<const std::byte> file) noexcept : file_(file) {}
  std::span<const std::byte> file_;
  uint64_t at_ = 0;
};

}  // namespace rtsup::broker
