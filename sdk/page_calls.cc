// The calls of the C ABI that the runtime page saves: answered from it where it can, by a call
// otherwise.
#include "abi/operation.h"
#include "schemas/config_generated.h"
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
  sdk::write_struct(filled, answer);
  return true;
}

}  // namespace

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
