#include "supervisor/cli/usage.h"

#include <nlohmann/json.hpp>
#include <variant>

#include "abi/operation.h"
#include "schemas/base_generated.h"
#include "sdk/client.h"
#include "sdk/host.h"

namespace rtsup::cli {

using nlohmann::json;

std::map<std::string, json> read_usage(Client& client) {
  std::map<std::string, json> usage;
  if (std::holds_alternative<ClientFailure>(client.attach())) {
    return usage;
  }
  sdk::Transport& base = *sdk::transport();
  flatbuffers::FlatBufferBuilder& builder = sdk::fresh_builder();
  builder.Finish(abi::CreateUsageRequest(builder));
  sdk::Request request{.opcode = abi::op::kBaseUsage};
  request.metadata = {reinterpret_cast<const std::byte*>(builder.GetBufferPointer()),
                      builder.GetSize()};
  const sdk::Answer answer = base.call(request);
  if (const auto* const table = sdk::table_of<abi::UsageResponse>(answer); table != nullptr) {
    for (const abi::FunctionUsage* const row : *table->functions()) {
      usage[row->function()->str()] = {{"calls", row->calls()},
                                       {"denied", row->denied()},
                                       {"failed", row->failed()},
                                       {"events", row->events()},
                                       {"bytes_in", row->bytes_in()},
                                       {"bytes_out", row->bytes_out()},
                                       {"doorbells_sent", row->doorbells_sent()},
                                       {"doorbells_received", row->doorbells_received()},
                                       {"bytes_copied", row->bytes_copied()},
                                       {"payload_copies", row->payload_copies()}};
    }
  }
  base.release(answer.lease);
  host::detach();
  return usage;
}

}  // namespace rtsup::cli
