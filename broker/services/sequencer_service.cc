#include "broker/services/sequencer_service.h"

#include "abi/runtime_page.h"
#include "broker/core/limits.h"
#include "broker/services/key.h"
#include "schemas/sequencer_generated.h"

namespace rtsup::broker {
namespace {

using abi::Reason;

const abi::SequencerNextRequest& table_of(const Call& call) noexcept {
  return *flatbuffers::GetRoot<abi::SequencerNextRequest>(call.metadata().data());
}

std::string_view view(const flatbuffers::String& text) noexcept {
  return {text.c_str(), text.size()};
}

}  // namespace

SequencerService::SequencerService(std::string_view tenant, std::string_view application,
                                   std::vector<Component> components, AnswerBuilder& builder)
    : prefix_(std::string(tenant) + "/" + std::string(application) + "/"),
      components_(std::move(components)),
      builder_(builder),
      pending_(kSequencerPendingMax, [this] { return Pending(*this); }) {}

void SequencerService::handle(Call& call, ComponentIndex index) {
  const auto& table = table_of(call);
  const std::string_view name = view(*table.name());
  const Component& component = components_[index.value];
  if (component.sequencer == nullptr) {
    return answer_failure(call, builder_, Reason::kNotGranted);
  }
  if (!is_valid_key(name) || name.size() > abi::kPageNameBytesMax || table.count() == 0 ||
      table.count() > kSequenceCountMax) {
    return answer_failure(call, builder_, Reason::kSequenceInvalid);
  }
  Pending* pending = pending_.take();
  if (pending == nullptr) {
    return answer_failure(call, builder_, Reason::kTooManyCalls);
  }
  SessionPage* page = table.lease() && component.lease > 0 ? call.page() : nullptr;
  const bool leases = page != nullptr && page->has_room({component.name, name});
  pending->call = &call;
  pending->component = &component;
  pending->count = table.count();
  pending->lease = leases ? component.lease : 0;
  stored_name_.assign(prefix_).append(name);
  component.sequencer->reserve(stored_name_, pending->count + pending->lease, *pending);
}

Call& SequencerService::Pending::finish() noexcept {
  Call& answered = *call;
  call = nullptr;
  service_->pending_.give(this);
  return answered;
}

void SequencerService::Pending::reserved(uint64_t first) {
  // The session may have ended meanwhile; then nobody gets the values.
  if (SessionPage* page = lease > 0 ? call->page() : nullptr; page != nullptr) {
    const uint64_t begin = first + count;
    page->lease({component->name, view(*table_of(*call).name())},
                {.first = begin, .end = begin + lease});
  }
  SequencerService& service = *service_;
  Call& answered = finish();
  auto& builder = service.builder_.start();
  answered.answer(Status::kOk,
                  service.builder_.finish(abi::CreateSequencerNextResponse(builder, first)), {});
}

void SequencerService::Pending::failed(Reason reason) {
  SequencerService& service = *service_;
  answer_failure(finish(), service.builder_, reason);
}

}  // namespace rtsup::broker
