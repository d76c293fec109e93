#include "tests/fuzz/frames/worker.h"

#include <algorithm>
#include <cstring>

#include "tests/fuzz/frames/tables.h"
#include "tests/fuzz/require.h"

namespace rtsup::fuzz {
namespace {

constexpr uint32_t kEdges[] = {0,
                               1,
                               63,
                               64,
                               abi::kHeaderBytes,
                               abi::kArenaOffset - 1,
                               abi::kArenaOffset,
                               abi::kRegionBytes - 1,
                               abi::kRegionBytes,
                               abi::kRegionBytes + 1,
                               0x7FFFFFFF,
                               0x80000000,
                               0xFFFFFF00,
                               0xFFFFFFFF};

uint32_t edge(Script& script) {
  const uint32_t choice = script.below(std::size(kEdges) + 2);
  return choice < std::size(kEdges) ? kEdges[choice] : script.u32();
}

uint64_t index_near(Script& script, uint64_t index) {
  switch (script.below(8)) {
    case 0:
      return script.u64();
    case 1:
      return index - 1;
    case 2:
      return index + 64;
    case 3:
      return index + 65;
    case 4:
      return 0;
    case 5:
      return index + script.byte();
    default:
      return index + 1;
  }
}

void spoil_range(Script& script, abi::Range& range) {
  switch (script.below(6)) {
    case 0:
      range.window = script.below(20);
      break;
    case 1:
      range.offset = edge(script);
      break;
    case 2:
      range.length = edge(script);
      break;
    case 3:
      range.length += script.byte();
      break;
    case 4:
      range.reserved = script.byte();
      break;
    default:
      range = {edge(script), edge(script), edge(script), 0};
      break;
  }
}

// Changes one field.
void spoil(Script& script, abi::Frame& frame) {
  switch (script.below(16)) {
    case 0:
      frame.sequence = index_near(script, frame.sequence);
      break;
    case 1:
      frame.correlation = script.u64();
      break;
    case 2:
      frame.opcode = script.u16();
      break;
    case 3:
      frame.kind = abi::FrameKind{script.byte()};
      break;
    case 4:
      frame.status = script.byte();
      break;
    case 5:
      frame.lease = edge(script);
      break;
    case 6:
      frame.timeout_ns = script.u64();
      break;
    case 7:
      frame.lease_generation = script.byte();
      break;
    case 8:
      frame.parent = script.u64();
      break;
    case 9:
      frame.reserved0[script.below(3)] = script.byte();
      break;
    case 10:
      frame.reserved1[script.below(24)] = script.byte();
      break;
    case 11:
    case 12:
    case 13:
      spoil_range(script, frame.metadata);
      break;
    case 14:
      spoil_range(script, frame.payload);
      break;
    default:
      script.fill(std::as_writable_bytes(std::span(&frame, 1)).subspan(script.below(128), 1));
      break;
  }
}

}  // namespace

Worker::~Worker() {
  for (const Window& window : windows_) {
    if (window.address != nullptr) {
      kernel().unmap(window.address);
    }
  }
  if (!up_.empty()) {
    kernel().unmap(up_.data());
    kernel().unmap(down_.data());
  }
}

void Worker::attach() {
  const auto sent = kernel().receive();
  RTSUP_REQUIRE(sent && sent->message.verb == abi::SessionVerb::kAttach, "no attach message");
  epoch_ = sent->message.epoch;
  for (uint32_t i = 0; i < sent->message.item_count; ++i) {
    const auto kind = sent->message.items[i].kind;
    const auto memory = kernel().memory_of(sent->fds[i]);
    if (kind == abi::ItemKind::kUp || kind == abi::ItemKind::kDown) {
      RTSUP_REQUIRE(memory.size() == abi::kRegionBytes, "a region of another size");
      (kind == abi::ItemKind::kUp ? up_ : down_) = {kernel().map(sent->fds[i]), memory.size()};
    }
    kernel().close(sent->fds[i]);
  }
  RTSUP_REQUIRE(!up_.empty() && !down_.empty(), "an attach message without its regions");
}

void Worker::take_messages(Model& model) {
  while (const auto sent = kernel().receive()) {
    RTSUP_REQUIRE(sent->message.verb == abi::SessionVerb::kWindow && sent->message.item_count == 1,
                  "a message that is no window");
    const abi::SessionItem& item = sent->message.items[0];
    const auto memory = kernel().memory_of(sent->fds[0]);
    RTSUP_REQUIRE(memory.size() == item.bytes, "a window of another size than it says");
    if (item.kind == abi::ItemKind::kWindowUp) {
      Window& window = windows_.at(item.window);
      if (window.address != nullptr) {
        kernel().unmap(window.address);
      }
      window = {kernel().map(sent->fds[0]), memory.size()};
      model.window_given(item.window, memory);
    } else {
      RTSUP_REQUIRE(item.kind == abi::ItemKind::kWindowDown, "a window of neither direction");
      model.window_offered(item.window, static_cast<uint32_t>(item.bytes));
    }
    kernel().close(sent->fds[0]);
  }
}

Worker::Acknowledgement Worker::acknowledge(Script& script, bool is_honest) {
  up().magic = abi::kUpMagic;
  up().bytes = abi::kRegionBytes;
  up().abi_major = is_honest ? abi::kAbiMajor : script.u16();
  up().abi_minor = is_honest ? abi::kAbiMinor : script.u16();
  const uint64_t epoch = is_honest || script.below(2) != 0 ? epoch_ : script.u64();
  up().attached_epoch.store(epoch);
  return {.is_epoch_right = epoch == epoch_, .major = up().abi_major};
}

void Worker::write(uint32_t offset, std::span<const std::byte> bytes) {
  std::memcpy(up_.data() + offset, bytes.data(), bytes.size());
  kernel().note_written(up_.data(), offset + bytes.size());
}

void Worker::put_table(Script& script, std::span<const std::byte> table, abi::Frame& frame) {
  const auto size = static_cast<uint32_t>(table.size());
  // Also where it ends with the region, or lies askew.
  const uint32_t choice = script.below(16);
  const uint32_t offset = choice == 0   ? abi::kRegionBytes - size
                          : choice == 1 ? abi::kArenaOffset + script.byte()
                                        : abi::kArenaOffset + choice * 1024;
  write(offset, table);
  for (uint32_t spoiled = script.below(32); spoiled > 29; --spoiled) {
    up_[offset + script.below(size)] = std::byte{script.byte()};
  }
  frame.metadata = {0, offset, size, 0};
}

void Worker::put_payload(Script& script, abi::Frame& frame) {
  switch (script.below(16)) {
    case 0:
      frame.payload = {0, abi::kArenaOffset + script.u16() % 0xC000, script.u16() % 0x8000U + 1, 0};
      break;
    case 1:
      frame.payload = {script.below(4), script.u16(), script.u32() % 0x40000 + 1, 0};
      break;
    case 2:
      frame.payload = {0, abi::kRegionBytes - 300, 300, 0};
      break;
    default:
      break;  // none
  }
}

void Worker::publish(abi::Frame& frame, Script& script) {
  frame.sequence = tail_;
  for (uint32_t spoiled = script.below(16); spoiled > 12; --spoiled) {
    spoil(script, frame);
  }
  std::memcpy(up_.data() + abi::kRingOffset + (tail_ % abi::kRingFrames) * sizeof frame, &frame,
              sizeof frame);
  up().request_tail.store(++tail_);
}

void Worker::publish_request(Script& script) {
  const auto tables = request_tables();
  // Windows, which come last, mostly end the session; the first ones hardly ever.
  constexpr uint32_t kFirst = 9;
  const uint32_t choice = script.below(64);
  const ValidTable& table = tables[choice < tables.size() ? choice : choice % kFirst];
  abi::Frame frame;
  frame.opcode = table.opcode;
  frame.correlation = script.byte();
  frame.timeout_ns = script.below(4) == 0 ? script.u32() : 0;
  put_table(script, table.bytes, frame);
  put_payload(script, frame);
  publish(frame, script);
}

void Worker::publish_answer(Script& script, const Model& model) {
  const auto tables = answer_tables();
  const ValidTable& table = tables[script.below(static_cast<uint32_t>(tables.size()))];
  const auto& events = model.open_events();
  abi::Frame frame;
  frame.kind = abi::FrameKind::kResponse;
  frame.status = table.opcode == 0 ? static_cast<uint8_t>(script.below(18)) : uint8_t{0};
  frame.correlation = events.empty() ? script.u64() : events[script.byte() % events.size()];
  if (script.below(16) == 0) {
    frame.correlation += abi::kRingFrames * (1U + script.byte());  // the same slot, another event
  }
  if (script.below(4) != 0) {
    put_table(script, table.bytes, frame);
  }
  put_payload(script, frame);
  publish(frame, script);
}

void Worker::publish_noise(Script& script) {
  abi::Frame frame;
  script.fill(std::as_writable_bytes(std::span(&frame, 1)));
  publish(frame, script);
}

void Worker::turn_index(Script& script) {
  if (script.below(2) == 0) {
    tail_ = index_near(script, tail_);
    up().request_tail.store(tail_);
  } else {
    consumed_ = index_near(script, consumed_);
    up().down_head.store(consumed_);
    has_lied_of_head_ = true;
  }
}

void Worker::turn_lease(Script& script) {
  const uint32_t lease = script.below(abi::kLeases);
  up().released[lease].store(script.below(2) == 0 ? script.u32() : up().released[lease].load() + 1);
  has_lied_of_lease_ = true;
}

void Worker::write_bytes(Script& script) {
  const uint32_t offset = script.u32() % abi::kRegionBytes;
  const uint32_t count = std::min<uint32_t>(script.byte(), abi::kRegionBytes - offset);
  std::array<std::byte, 256> bytes{};
  script.fill(std::span(bytes).first(count));
  write(offset, std::span(bytes).first(count));
  if (offset < abi::kHeaderBytes) {
    tail_ = up().request_tail.load();
    has_lied_of_head_ = has_lied_of_lease_ = true;
  }
}

void Worker::consume() {
  const uint64_t published = down().response_tail.load();
  // What an honest library reads: the frames between what it took up last and what is there.
  for (uint64_t i = published - std::min<uint64_t>(published, abi::kRingFrames); i < published;
       ++i) {
    abi::Frame frame;
    std::memcpy(&frame, down_.data() + abi::kRingOffset + (i % abi::kRingFrames) * sizeof frame,
                sizeof frame);
    if (i >= consumed_ && frame.lease != abi::kNoLease) {
      up().released[frame.lease].store(frame.lease_generation);
    }
  }
  consumed_ = published;
  up().down_head.store(consumed_);
}

}  // namespace rtsup::fuzz
