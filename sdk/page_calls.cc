// The calls of the C ABI that the runtime page saves: answered from it where it can, by a call
// otherwise.
#include <algorithm>
#include <chrono>

#include "abi/operation.h"
#include "schemas/config_generated.h"
#include "schemas/sequencer_generated.h"
#include "sdk/client.h"
#include "sdk/runtime_page.h"

namespace {

using namespace rtsup;  // NOLINT(google-build-using-namespace): this file is the edge between C
                        // names and the library's
using sdk::Builder;
using sdk::RuntimePage;

std::string_view view(rtsup_string text) noexcept { return {text.data, text.length}; }

RuntimePage* the_page() noexcept {
  sdk::Transport* base = sdk::transport();
  return base == nullptr ? nullptr : base->page();
}

// True when the page had the answer.
bool read_page(rtsup_string name, std::span<char> buffer, rtsup_answer* answer) noexcept {
  const RuntimePage* page = the_page();
  if (page == nullptr) {
    return false;
  }
  const RuntimePage::Value value = page->config(view(name), buffer);
  if (value.found == RuntimePage::Found::kAsk) {
    return false;
  }
  auto filled = RTSUP_INIT(rtsup_answer);
  filled.found = value.found == RuntimePage::Found::kFound ? 1 : 0;
  filled.data = {buffer.data(), value.bytes};
  if (answer->size == sizeof filled) {
    *answer = filled;  // what nearly everybody has, without a copy of unknown length
  } else {
    sdk::write_struct(filled, answer);
  }
  return true;
}

constexpr std::chrono::nanoseconds kRefillWait = std::chrono::seconds(5);

struct Wanted {
  rtsup_string component;
  rtsup_string name;
  uint64_t count;
};

int ask_for_values(const Wanted& wanted, const rtsup_options* options, uint64_t* first,
                   rtsup_answer* answer) noexcept {
  return sdk::guarded(answer, [&](rtsup_answer& filled) {
    const rtsup_options how = sdk::read_struct(options);
    Builder& builder = sdk::fresh_builder();
    const auto component = sdk::required(builder, wanted.component);
    const auto name = sdk::required(builder, wanted.name);
    builder.Finish(abi::CreateSequencerNextRequest(builder, component, name, wanted.count,
                                                   the_page() != nullptr));
    const sdk::Answer got = sdk::send(abi::op::kSequencerNext, builder, {}, how, filled);
    if (const auto* table = sdk::table_of<abi::SequencerNextResponse>(got); table != nullptr) {
      *first = table->first();
    }
    return got.status;
  });
}

// The event's deadline, or the caller's, whichever the call would have.
std::chrono::nanoseconds patience_of(const rtsup_options* options) noexcept {
  const uint64_t given = sdk::read_struct(options).timeout_ns;
  return given == 0 ? kRefillWait
                    : std::min(kRefillWait, std::chrono::nanoseconds(static_cast<int64_t>(
                                                std::min<uint64_t>(given, kRefillWait.count()))));
}

}  // namespace

int rtsup_sequencer_next(rtsup_string component, rtsup_string name, uint64_t count,
                         const rtsup_options* options, uint64_t* first, rtsup_answer* answer) {
  const Wanted wanted{component, name, count};
  const RuntimePage::Sequence sequence{view(component), view(name)};
  RuntimePage* page = the_page();
  if (first == nullptr || count == 0) {
    return RTSUP_INVALID_ARGUMENT;
  }
  if (page == nullptr) {
    return ask_for_values(wanted, options, first, answer);
  }
  const auto take = [&] {
    const auto taken = page->take(sequence, count);
    if (taken && answer != nullptr) {
      sdk::write_struct(RTSUP_INIT(rtsup_answer), answer);
    }
    *first = taken.value_or(*first);
    return taken.has_value();
  };
  if (take()) {
    return RTSUP_OK;
  }
  std::unique_lock<std::timed_mutex> lock;
  if (std::timed_mutex* refill = page->refill(sequence); refill != nullptr) {
    // Who does not get it in time asks for itself: that is only wasteful.
    lock = std::unique_lock(*refill, patience_of(options));
    if (take()) {
      return RTSUP_OK;
    }
  }
  const int status = ask_for_values(wanted, options, first, answer);
  if (status == RTSUP_OK) {
    page->pass(sequence, *first + count);
  }
  return status;
}

int rtsup_config_get(rtsup_string name, void* buffer, size_t capacity, const rtsup_options* options,
                     rtsup_answer* answer) {
  const std::span<char> room(static_cast<char*>(buffer), buffer == nullptr ? 0 : capacity);
  if (answer == nullptr) {
    return RTSUP_INVALID_ARGUMENT;
  }
  if (read_page(name, room, answer)) {
    return RTSUP_OK;
  }
  return sdk::guarded(answer, [&](rtsup_answer& filled) {
    const rtsup_options how = sdk::read_struct(options);
    Builder& builder = sdk::fresh_builder();
    builder.Finish(abi::CreateConfigGetRequest(builder, sdk::required(builder, name)));
    const sdk::Answer got = sdk::send(abi::op::kConfigGet, builder, {}, how, filled);
    if (const auto* table = sdk::table_of<abi::ConfigGetResponse>(got); table != nullptr) {
      filled.found = table->found() ? 1 : 0;
    }
    return got.status;
  });
}
