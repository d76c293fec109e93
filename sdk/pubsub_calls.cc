// The typed calls of the C ABI on subscriptions: encode, send. Publishing: calls.cc.
#include "abi/operation.h"
#include "schemas/pubsub_generated.h"
#include "sdk/client.h"
#include "sdk/subscriptions.h"

namespace {

using namespace rtsup;  // NOLINT(google-build-using-namespace): this file is the edge between C
                        // names and the library's
using sdk::Builder;

std::string_view view(rtsup_string text) noexcept { return {text.data, text.length}; }

}  // namespace

int rtsup_subscribe(rtsup_string component, rtsup_string topic, const rtsup_options* options,
                    rtsup_answer* answer) {
  return sdk::guarded(answer, [&](rtsup_answer& filled) {
    const rtsup_options how = sdk::read_struct(options);
    Builder& builder = sdk::fresh_builder();
    const auto name = sdk::required(builder, component);
    builder.Finish(abi::CreatePubsubSubscribeRequest(builder, name, sdk::required(builder, topic)));
    const Status status = sdk::send(abi::op::kPubsubSubscribe, builder, {}, how, filled).status;
    if (status == Status::kOk) {
      sdk::subscriptions().add(view(component), view(topic));
    }
    return status;
  });
}

int rtsup_unsubscribe(rtsup_string component, rtsup_string topic, const rtsup_options* options,
                      rtsup_answer* answer) {
  return sdk::guarded(answer, [&](rtsup_answer& filled) {
    const rtsup_options how = sdk::read_struct(options);
    Builder& builder = sdk::fresh_builder();
    const auto name = sdk::required(builder, component);
    builder.Finish(
        abi::CreatePubsubUnsubscribeRequest(builder, name, sdk::required(builder, topic)));
    // First: a base that comes now shall not hear of it again.
    sdk::subscriptions().remove(view(component), view(topic));
    return sdk::send(abi::op::kPubsubUnsubscribe, builder, {}, how, filled).status;
  });
}
