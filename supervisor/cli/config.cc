// `rtsup config get`, `set` and `unset`: calls of config.list and config.set as the operator.
#include <variant>

#include "abi/operation.h"
#include "schemas/config_generated.h"
#include "sdk/client.h"
#include "sdk/host.h"
#include "supervisor/cli/client.h"
#include "supervisor/cli/commands.h"
#include "supervisor/cli/terminal.h"
#include "supervisor/logs/escape.h"

namespace rtsup::cli {
namespace {

constexpr size_t kShownMax = 4096;

std::string text_of(const flatbuffers::String* text) {
  return text == nullptr ? std::string() : text->str();
}

// Asks the running base one question. `use` sees the answer when it is OK.
template <typename Use>
ExitCode ask(const Options& options, uint16_t opcode, const sdk::Builder& table,
             const std::string& payload, const Use& use) {
  const auto connected = Client::connect_attached(options.name);
  if (const auto* const failure = std::get_if<ClientFailure>(&connected)) {
    return complain(failure->code, failure->text);
  }
  sdk::Transport& base = *sdk::transport();
  const sdk::Answer answer =
      base.call({.opcode = opcode,
                 .metadata = std::as_bytes(std::span(table.GetBufferPointer(), table.GetSize())),
                 .payload = std::as_bytes(std::span(payload))});
  ExitCode code = supervisor::exit_code_of(answer.status);
  if (answer.status == Status::kOk) {
    code = use(answer);
  } else if (answer.reason != nullptr || answer.metadata.empty()) {
    code = complain(code, answer.reason == nullptr ? status_name(answer.status) : answer.reason);
  } else {
    const auto& failure = *flatbuffers::GetRoot<abi::Failure>(answer.metadata.data());
    code = complain(code, text_of(failure.reason()) + ": " + text_of(failure.message()));
  }
  base.release(answer.lease);
  host::detach();
  return code;
}

// The value of an item; empty when the base gave a part that its payload does not have.
std::string_view value_of(const sdk::Answer& answer, const abi::ConfigItem& item) {
  const size_t offset = item.value() == nullptr ? 0 : item.value()->offset();
  const size_t length = item.value() == nullptr ? 0 : item.value()->length();
  if (offset > answer.payload.size() || length > answer.payload.size() - offset) {
    return {};
  }
  return {reinterpret_cast<const char*>(answer.payload.data()) + offset, length};
}

ExitCode print_one(const Options& options, const sdk::Answer& answer,
                   const abi::ConfigListResponse& table) {
  for (const abi::ConfigItem* const item : *table.items()) {
    if (item->name()->str() == options.setting) {
      print(std::string(value_of(answer, *item)) + "\n");
      return ExitCode::kOk;
    }
  }
  return complain(ExitCode::kFunctionFailed,
                  options.function + " has no value " + supervisor::escape(options.setting));
}

ExitCode print_all(const sdk::Answer& answer, const abi::ConfigListResponse& table) {
  std::vector<std::vector<std::string>> rows = {{"NAME", "FROM", "VALUE"}};
  for (const abi::ConfigItem* const item : *table.items()) {
    rows.push_back({item->name()->str(),
                    item->origin() == abi::ConfigOrigin::Operator ? "operator" : "manifest",
                    supervisor::escape(value_of(answer, *item), kShownMax)});
  }
  print(format_table(rows));
  return ExitCode::kOk;
}

// No error: a function may look for names that its manifest does not have. A slip of the pen looks
// the same.
void note_new(const Options& options, bool unset) {
  const std::string name =
      options.function + " has no value " + supervisor::escape(options.setting);
  complain(ExitCode::kOk, unset ? name + " that `rtsup config set` gave: nothing was changed"
                                : "until now " + name + ": this is a new name");
}

ExitCode change(const Options& options, bool unset) {
  sdk::Builder builder;
  builder.Finish(abi::CreateConfigSetRequestDirect(builder, options.function.c_str(),
                                                   options.setting.c_str(), unset));
  return ask(options, abi::op::kConfigSet, builder, options.value, [&](const sdk::Answer& answer) {
    const auto* table = sdk::table_of<abi::ConfigSetResponse>(answer);
    if (table == nullptr || !table->existed()) {
      note_new(options, unset);
    }
    return ExitCode::kOk;
  });
}

}  // namespace

ExitCode config_get(const Options& options) {
  sdk::Builder builder;
  builder.Finish(abi::CreateConfigListRequestDirect(builder, options.function.c_str()));
  return ask(options, abi::op::kConfigList, builder, {}, [&](const sdk::Answer& answer) {
    const auto* table = sdk::table_of<abi::ConfigListResponse>(answer);
    if (table == nullptr) {
      return complain(ExitCode::kFunctionFailed, "the base gave an empty answer");
    }
    return options.setting.empty() ? print_all(answer, *table) : print_one(options, answer, *table);
  });
}

ExitCode config_set(const Options& options) { return change(options, false); }

ExitCode config_unset(const Options& options) { return change(options, true); }

}  // namespace rtsup::cli
