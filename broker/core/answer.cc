#include "broker/core/answer.h"

#include "schemas/common_generated.h"

namespace rtsup::broker {
namespace {

void send(Call& call, AnswerBuilder& answer, Status status, abi::Reason reason,
          uint32_t retry_after_ms) {
  auto& builder = answer.start();
  const std::string_view name = abi::reason_name(reason);
  const std::string_view text = abi::reason_text(reason);
  const auto name_at = builder.CreateString(name.data(), name.size());
  const auto text_at = builder.CreateString(text.data(), text.size());
  call.answer(status, answer.finish(abi::CreateFailure(builder, name_at, text_at, retry_after_ms)),
              {});
}

}  // namespace

void answer_failure(Call& call, AnswerBuilder& builder, abi::Reason reason,
                    uint32_t retry_after_ms) {
  builder.refuse(call, reason);
  send(call, builder, abi::reason_status(reason), reason, retry_after_ms);
}

void answer_failure_as(Call& call, AnswerBuilder& builder, Status status, abi::Reason reason) {
  send(call, builder, status, reason, 0);
}

}  // namespace rtsup::broker
