#include "broker/services/config_service.h"

#include <algorithm>
#include <utility>

#include "abi/runtime_page.h"
#include "broker/services/key.h"
#include "schemas/config_generated.h"

namespace rtsup::broker {
namespace {

using abi::Reason;

// Operators' sessions ask one after the other; more is a program gone wild.
constexpr size_t kWaitingMax = 1024;

template <typename Table>
const Table& table_of(const Call& call) noexcept {
  return *flatbuffers::GetRoot<Table>(call.metadata().data());
}

std::string_view view(const flatbuffers::String& text) noexcept {
  return {text.c_str(), text.size()};
}

ValueRef value_of(std::string_view text) noexcept {
  return ValueRef::copy_of(std::as_bytes(std::span(text.data(), text.size())));
}

std::string_view text_of(const ValueRef& value) noexcept {
  return {reinterpret_cast<const char*>(value.bytes().data()), value.size()};
}

}  // namespace

ConfigService::ConfigService(std::vector<Function> functions, ConfigFile& file, Pages& pages,
                             AnswerBuilder& builder)
    : file_(file), pages_(pages), builder_(builder), changes_(file.changes()) {
  page_values_.reserve(abi::kConfigValuesMax);
  for (Function& function : functions) {
    rows_.push_back({.manifest = std::move(function), .values = {}});
    refresh(rows_.back());
  }
}

// What counts: the manifest's values and, in their place, the operator's.
void ConfigService::refresh(Row& row) {
  row.values.clear();
  for (const auto& [name, value] : row.manifest.values) {
    row.values[name] = {.bytes = value_of(value), .by_operator = false};
  }
  const auto found = changes_.find(row.manifest.name);
  if (found == changes_.end()) {
    return;
  }
  for (const auto& [name, value] : found->second) {
    row.values[name] = {.bytes = value_of(value), .by_operator = true};
  }
}

void ConfigService::replace(ConfigChanges changes) {
  changes_ = std::move(changes);
  std::for_each(rows_.begin(), rows_.end(), [this](Row& row) { refresh(row); });
}

void ConfigService::fill(FunctionIndex function, SessionPage& page) {
  page_values_.clear();
  for (const auto& [name, value] : rows_[function.value].values) {
    page_values_.push_back({.name = name, .value = text_of(value.bytes)});
  }
  page.set_config(page_values_);
}

void ConfigService::handle(Call& call) {
  switch (call.operation().opcode) {
    case abi::op::kConfigGet:
      return get(call);
    case abi::op::kConfigSet:
      return set(call);
    case abi::op::kConfigList:
      return list(call);
    default:
      return answer_failure(call, builder_, Reason::kUnknownOperation);
  }
}

void ConfigService::get(Call& call) {
  const auto& values = rows_[call.principal().function.value].values;
  const auto found = values.find(view(*table_of<abi::ConfigGetRequest>(call).name()));
  const bool is_there = found != values.end();
  auto& builder = builder_.start();
  call.answer(Status::kOk, builder_.finish(abi::CreateConfigGetResponse(builder, is_there)),
              is_there ? found->second.bytes : ValueRef());
}

const ConfigService::Row* ConfigService::find(std::string_view function) const noexcept {
  const auto found = std::find_if(rows_.begin(), rows_.end(), [function](const Row& row) {
    return row.manifest.name == function;
  });
  return found == rows_.end() ? nullptr : &*found;
}

void ConfigService::set(Call& call) {
  Change change{.call = &call, .function = {}, .name = {}, .value = {}};
  Reason reason = read_change(call, change);
  if (reason == Reason::kNone) {
    waiting_.push_back(std::move(change));
    reason = saving_.empty() ? start_saving() : Reason::kNone;
  }
  if (reason != Reason::kNone) {
    answer_failure(call, builder_, reason);
  }
}

Reason ConfigService::read_change(Call& call, Change& change) const {
  const auto& table = table_of<abi::ConfigSetRequest>(call);
  const Row* row = find(view(*table.function()));
  if (row == nullptr) {
    return Reason::kFunctionUnknown;
  }
  change.function = FunctionIndex{static_cast<uint32_t>(row - rows_.data())};
  change.name = table.name()->str();
  change.unset = table.unset();
  if (!abi::is_valid_config_name(change.name)) {
    return Reason::kConfigNameInvalid;
  }
  if (call.payload().size() > abi::kConfigValueBytesMax) {
    return Reason::kConfigValueInvalid;
  }
  change.value.resize(call.payload().size());
  call.payload().copy(0, std::as_writable_bytes(std::span(change.value)));
  if (!is_utf8_without_nul(change.value)) {
    return Reason::kConfigValueInvalid;
  }
  return check_room(change);
}

Reason ConfigService::check_room(const Change& change) const {
  if (waiting_.size() >= kWaitingMax) {
    return Reason::kTooManyCalls;
  }
  // Changes under way count as new names, so that the bound holds whatever becomes of them.
  const Row& row = rows_[change.function.value];
  const bool is_new = !change.unset && row.values.find(change.name) == row.values.end();
  return is_new && row.values.size() + pending() >= abi::kConfigValuesMax ? Reason::kStoreFull
                                                                          : Reason::kNone;
}

Reason ConfigService::start_saving() {
  candidate_ = changes_;
  for (const Change& change : waiting_) {
    auto& values = candidate_[rows_[change.function.value].manifest.name];
    if (change.unset) {
      values.erase(change.name);
    } else {
      values[change.name] = change.value;
    }
  }
  std::string text = format_changes(candidate_);
  if (text.size() > ConfigFile::kBytesMax) {
    waiting_.pop_back();
    return Reason::kStoreFull;
  }
  saving_.swap(waiting_);
  file_.save(std::move(text), [this](const Result<void>& outcome) { saved(outcome); });
  return Reason::kNone;
}

void ConfigService::saved(const Result<void>& outcome) {
  if (outcome) {
    apply_changes();
    answer_all(Reason::kNone);
  } else {
    const bool is_full = outcome.error().status == Status::kResourceExhausted;
    answer_all(is_full ? Reason::kStoreFull : Reason::kOutcomeUnknown);
  }
  // What came meanwhile; each of them alone, should they not fit together.
  while (!waiting_.empty() && saving_.empty()) {
    Call* const last = waiting_.back().call;
    if (const Reason reason = start_saving(); reason != Reason::kNone) {
      answer_failure(*last, builder_, reason);
    }
  }
}

void ConfigService::apply_changes() {
  for (Change& change : saving_) {
    const Row& row = rows_[change.function.value];
    const auto found = row.values.find(change.name);
    change.existed = found != row.values.end() && (!change.unset || found->second.by_operator);
  }
  changes_ = std::move(candidate_);
  for (const Change& change : saving_) {
    refresh(rows_[change.function.value]);
    pages_.each_page(change.function, [&](SessionPage& page) { fill(change.function, page); });
  }
}

void ConfigService::answer_all(Reason reason) {
  std::vector<Change> answered;
  answered.swap(saving_);
  for (const Change& change : answered) {
    if (reason != Reason::kNone) {
      answer_failure(*change.call, builder_, reason);
      continue;
    }
    auto& builder = builder_.start();
    change.call->answer(Status::kOk,
                        builder_.finish(abi::CreateConfigSetResponse(builder, change.existed)), {});
  }
}

void ConfigService::list(Call& call) {
  const Row* row = find(view(*table_of<abi::ConfigListRequest>(call).function()));
  if (row == nullptr) {
    return answer_failure(call, builder_, Reason::kFunctionUnknown);
  }
  auto& builder = builder_.start();
  std::string payload;
  std::vector<flatbuffers::Offset<abi::ConfigItem>> items;
  items.reserve(row->values.size());
  for (const auto& [name, value] : row->values) {
    const abi::Part part(static_cast<uint32_t>(payload.size()),
                         static_cast<uint32_t>(value.bytes.size()));
    payload += text_of(value.bytes);
    items.push_back(abi::CreateConfigItem(
        builder, builder.CreateString(name), &part,
        value.by_operator ? abi::ConfigOrigin::Operator : abi::ConfigOrigin::Manifest));
  }
  call.answer(Status::kOk,
              builder_.finish(abi::CreateConfigListResponse(builder, builder.CreateVector(items))),
              value_of(payload));
}

}  // namespace rtsup::broker
