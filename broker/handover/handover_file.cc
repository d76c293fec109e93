#include "broker/handover/handover_file.h"

#include <algorithm>
#include <cstring>

#include "sys/digest.h"
#include "sys/memory.h"

namespace rtsup::broker {
namespace {

constexpr uint64_t kMagic = 0x3152564f444e4148;  // "HANDOVR1", little-endian
constexpr size_t kFlushBytes = 1 << 20;

struct FileHeader {
  uint64_t magic = kMagic;
  uint32_t version = kHandoverVersion;
  uint32_t reserved = 0;
};
struct RecordHeader {
  uint32_t kind = 0;
  uint32_t length = 0;  // of the fields, without the zeros up to a multiple of 8
  uint64_t check = 0;
};
static_assert(sizeof(FileHeader) == 16 && sizeof(RecordHeader) == 16);

constexpr uint64_t padded(uint64_t bytes) noexcept { return (bytes + 7) & ~uint64_t{7}; }

// Against accidents only: who hands over is trusted. Kind, length and place are part of the key, so
// that no record passes for another one.
uint64_t check_of(const RecordHeader& header, uint64_t number,
                  std::span<const std::byte> fields) noexcept {
  sys::KeyedHash::Key key{};
  const uint64_t words[2] = {uint64_t{header.kind} << 32 | header.length, number};
  static_assert(sizeof words == sizeof key);
  std::memcpy(key.data(), words, sizeof words);
  return sys::KeyedHash(key)(fields);
}

// `fields` with the zeros behind them.
bool is_sound(const RecordHeader& header, uint64_t number,
              std::span<const std::byte> fields) noexcept {
  const auto zeros = fields.subspan(header.length);
  return std::all_of(zeros.begin(), zeros.end(),
                     [](std::byte one) { return one == std::byte{}; }) &&
         check_of(header, number, fields.first(header.length)) == header.check;
}

Error damaged(uint64_t offset) noexcept {
  return {
      .status = Status::kDataLoss, .step = Step::kHandover, .number = static_cast<int64_t>(offset)};
}

template <typename Header>
Header header_at(std::span<const std::byte> file, uint64_t offset) noexcept {
  Header header;
  std::memcpy(&header, file.data() + offset, sizeof header);
  return header;
}

}  // namespace

// ---- writing ----

Result<HandoverWriter> HandoverWriter::create() {
  RTSUP_ASSIGN(sys::UniqueFd file, sys::create_memfd("rtsup-handover", 0));
  HandoverWriter writer(std::move(file));
  writer.buffer_.reserve(kFlushBytes + kFlushBytes / 4);
  const FileHeader header;
  writer.put(std::as_bytes(std::span(&header, 1)));
  return writer;
}

void HandoverWriter::put(std::span<const std::byte> bytes) {
  buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
}

void HandoverWriter::begin(HandoverKind kind) {
  start_ = buffer_.size();
  const RecordHeader header{.kind = static_cast<uint32_t>(kind)};
  put(std::as_bytes(std::span(&header, 1)));
}

void HandoverWriter::u32(uint32_t value) { put(std::as_bytes(std::span(&value, 1))); }

void HandoverWriter::u64(uint64_t value) { put(std::as_bytes(std::span(&value, 1))); }

void HandoverWriter::bytes(std::span<const std::byte> value) {
  if (value.size() > kHandoverBytesMax) {
    failed_ = Error{.status = Status::kResourceExhausted,
                    .step = Step::kHandover,
                    .number = static_cast<int64_t>(value.size())};
    return;
  }
  u32(static_cast<uint32_t>(value.size()));
  put(value);
}

void HandoverWriter::end() {
  auto header = header_at<RecordHeader>(buffer_, start_);
  const size_t fields = start_ + sizeof header;
  header.length = static_cast<uint32_t>(buffer_.size() - fields);
  header.check = check_of(header, records_++, std::span(buffer_).subspan(fields));
  std::memcpy(buffer_.data() + start_, &header, sizeof header);
  buffer_.resize(fields + padded(header.length));
  if (buffer_.size() >= kFlushBytes) {
    flush();
  }
}

void HandoverWriter::flush() {
  flushed_ += buffer_.size();
  if (flushed_ > kHandoverBytesMax && !failed_) {
    failed_ = Error{.status = Status::kResourceExhausted,
                    .step = Step::kHandover,
                    .number = static_cast<int64_t>(flushed_)};
  }
  if (!failed_) {
    if (const auto written = sys::write_all(file_.get(), buffer_); !written) {
      failed_ = written.error();
    }
  }
  buffer_.clear();
}

Result<sys::UniqueFd> HandoverWriter::finish() {
  const uint64_t records = records_;
  begin(HandoverKind::kEnd);
  u64(records);
  end();
  flush();
  if (failed_) {
    return *failed_;
  }
  RTSUP_TRY(sys::add_seals(file_.get(), sys::kSealsSealedMemfd));
  return std::move(file_);
}

// ---- reading ----

void HandoverRecord::read(void* to, size_t size) noexcept {
  if (rest_.size() < size) {
    is_whole_ = false;
    rest_ = {};
    return;
  }
  std::memcpy(to, rest_.data(), size);
  rest_ = rest_.subspan(size);
}

uint32_t HandoverRecord::u32() noexcept {
  uint32_t value = 0;
  read(&value, sizeof value);
  return value;
}

uint64_t HandoverRecord::u64() noexcept {
  uint64_t value = 0;
  read(&value, sizeof value);
  return value;
}

std::span<const std::byte> HandoverRecord::bytes() noexcept {
  const uint32_t size = u32();
  if (size > rest_.size()) {
    is_whole_ = false;
    rest_ = {};
    return {};
  }
  const auto value = rest_.first(size);
  rest_ = rest_.subspan(size);
  return value;
}

std::string_view HandoverRecord::text() noexcept {
  const auto value = bytes();
  return {reinterpret_cast<const char*>(value.data()), value.size()};
}

Error HandoverRecord::refused() const noexcept { return damaged(offset_); }

Result<HandoverReader> HandoverReader::open(std::span<const std::byte> file) {
  if (file.size() < sizeof(FileHeader) || header_at<FileHeader>(file, 0).magic != kMagic) {
    return damaged(0);
  }
  const auto start = header_at<FileHeader>(file, 0);
  if (start.reserved != 0) {
    return damaged(0);
  }
  if (start.version != kHandoverVersion) {
    return Error{
        .status = Status::kFailedPrecondition, .step = Step::kHandover, .number = start.version};
  }
  uint64_t at = sizeof(FileHeader);
  for (uint64_t number = 0; file.size() - at >= sizeof(RecordHeader); ++number) {
    const auto header = header_at<RecordHeader>(file, at);
    const uint64_t left = file.size() - at - sizeof header;
    if (padded(header.length) > left ||
        !is_sound(header, number, file.subspan(at + sizeof header, padded(header.length)))) {
      return damaged(at);
    }
    if (header.kind == 0 || header.kind > static_cast<uint32_t>(kHandoverKindMax)) {
      return Error{
          .status = Status::kUnimplemented, .step = Step::kHandover, .number = header.kind};
    }
    if (header.kind == static_cast<uint32_t>(HandoverKind::kEnd)) {
      HandoverRecord last(HandoverKind::kEnd, file.subspan(at + sizeof header, header.length), at);
      const bool is_last = padded(header.length) == left && last.u64() == number;
      return is_last && last.is_whole() ? Result<HandoverReader>(HandoverReader(file))
                                        : Result<HandoverReader>(damaged(at));
    }
    at += sizeof header + padded(header.length);
  }
  return damaged(at);
}

std::optional<HandoverRecord> HandoverReader::next() noexcept {
  at_ = at_ == 0 ? sizeof(FileHeader) : at_;
  const auto header = header_at<RecordHeader>(file_, at_);
  if (header.kind == static_cast<uint32_t>(HandoverKind::kEnd)) {
    return std::nullopt;
  }
  const uint64_t offset = at_;
  at_ += sizeof header + padded(header.length);
  return HandoverRecord(HandoverKind{header.kind},
                        file_.subspan(offset + sizeof header, header.length), offset);
}

}  // namespace rtsup::broker
