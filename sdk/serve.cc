// Events: the loop of sdk/host.h, rtsup_run(), and the answer under construction behind
// rtsup_reply.
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "abi/operation.h"
#include "abi/session_message.h"
#include "schemas/invoke_generated.h"
#include "schemas/pubsub_generated.h"
#include "schemas/session_generated.h"
#include "sdk/channel_transport.h"
#include "sdk/client.h"
#include "sdk/host.h"
#include "sdk/subscriptions.h"

using rtsup::Status;

// Text is kept in fixed room: a reply is made on every event, and nothing on that path allocates.
struct rtsup_reply {
  static constexpr size_t kTextMax = 512;
  struct Text {
    char data[kTextMax];
    size_t length = 0;
    void set(const char* from, size_t bytes) noexcept {
      length = bytes < kTextMax ? bytes : kTextMax;
      if (length != 0) {
        std::memcpy(data, from, length);
      }
    }
    rtsup_string view() const noexcept { return {data, length}; }
  };

  explicit rtsup_reply(rtsup::sdk::Transport& transport) noexcept : base(transport) {}

  void* reserve(size_t bytes) noexcept {
    drop();
    room = base.reply_room(bytes);
    length = room.handle == 0 ? 0 : bytes;
    return room.handle == 0 ? nullptr : room.bytes.data();
  }
  void drop() noexcept {
    if (room.handle != 0) {
      base.drop_room(room);
    }
    room = {};
    length = 0;
  }

  rtsup::sdk::Transport& base;
  rtsup::sdk::ReplyRoom room;
  size_t length = 0;
  Text content_type;
  Text reason;
  Text message;
};

void* rtsup_reply_reserve(rtsup_reply* reply, size_t length) { return reply->reserve(length); }

int rtsup_reply_set(rtsup_reply* reply, const void* data, size_t length) {
  if (length == 0) {
    reply->drop();
    return RTSUP_OK;
  }
  void* room = reply->reserve(length);
  if (room == nullptr) {
    return RTSUP_RESOURCE_EXHAUSTED;
  }
  std::memcpy(room, data, length);
  return RTSUP_OK;
}

int rtsup_reply_set_content_type(rtsup_reply* reply, const char* content_type, size_t length) {
  if (length > rtsup_reply::kTextMax) {
    return RTSUP_INVALID_ARGUMENT;
  }
  reply->content_type.set(content_type, length);
  return RTSUP_OK;
}

int rtsup_reply_fail(rtsup_reply* reply, const char* reason, size_t reason_length,
                     const char* message, size_t message_length) {
  reply->reason.set(reason, reason_length);
  reply->message.set(message, message_length);
  return RTSUP_OK;
}

namespace rtsup::host {
namespace {

using sdk::Builder;
using Handle = int (*)(const rtsup_event*, rtsup_reply*);

// What both kinds of events say in the same words.
template <typename Table>
void fill_common(const Table& table, rtsup_event& view, std::vector<rtsup_pair>& pairs) {
  view.content_type = sdk::raw(table.content_type());
  pairs.clear();
  if (table.metadata() != nullptr) {
    for (const abi::Pair* pair : *table.metadata()) {
      pairs.push_back({sdk::raw(pair->name()), sdk::raw(pair->value())});
    }
  }
}

void fill_invocation(const sdk::Event& event, rtsup_event& view, std::vector<rtsup_pair>& pairs) {
  const auto& table = *flatbuffers::GetRoot<abi::InvokeEvent>(event.metadata.data());
  view.kind = RTSUP_EVENT_INVOKE;
  view.caller = sdk::raw(table.caller());
  view.method = sdk::raw(table.method());
  fill_common(table, view, pairs);
}

void fill_message(const sdk::Event& event, rtsup_event& view, std::vector<rtsup_pair>& pairs) {
  const auto& table = *flatbuffers::GetRoot<abi::PubsubMessageEvent>(event.metadata.data());
  view.kind = RTSUP_EVENT_MESSAGE;
  view.caller = sdk::raw(table.publisher());
  view.component = sdk::raw(table.component());
  view.topic = sdk::raw(table.topic());
  view.message_id = sdk::raw(table.id());
  view.published_unix_ms = table.published_unix_ms();
  view.attempt = table.attempt();
  fill_common(table, view, pairs);
}

rtsup_event view_of(const sdk::Event& event, std::vector<rtsup_pair>& pairs) {
  auto view = RTSUP_INIT(rtsup_event);
  (event.opcode == abi::op::kEventMessage ? fill_message : fill_invocation)(event, view, pairs);
  view.metadata = pairs.data();
  view.metadata_count = pairs.size();
  view.data = sdk::raw(event.payload);
  view.timeout_ns = event.timeout_ns;
  std::memcpy(view.trace_id, event.context.trace.trace_id, sizeof view.trace_id);
  std::memcpy(view.span_id, event.context.trace.span_id, sizeof view.span_id);
  view.trace_flags = event.context.trace.flags;
  return view;
}

Builder& encode_reply(Status status, const rtsup_reply& reply) {
  Builder& builder = sdk::fresh_builder();
  if (status == Status::kOk) {
    builder.Finish(
        abi::CreateInvokeReply(builder, sdk::encode(builder, reply.content_type.view())));
    return builder;
  }
  static constexpr rtsup_string kDefault = {"FUNCTION_FAILED", 15};
  const rtsup_string given = reply.reason.view();
  const rtsup_string reason = given.length == 0 ? kDefault : given;
  const auto text = builder.CreateString(reason.data, reason.length);
  builder.Finish(abi::CreateFailure(builder, text, sdk::encode(builder, reply.message.view())));
  return builder;
}

void answer(sdk::Transport& base, const sdk::Event& event, Status status, rtsup_reply& reply) {
  if (status != Status::kOk || event.opcode == abi::op::kEventMessage) {
    reply.drop();  // nobody reads it
  }
  if (status == Status::kOk && event.opcode == abi::op::kEventMessage) {
    base.reply(event, status, {}, {}, 0);  // says all: its table would be empty
    return;
  }
  const Builder& table = encode_reply(status, reply);
  base.reply(event, status, std::as_bytes(std::span(table.GetBufferPointer(), table.GetSize())),
             reply.room, reply.length);
}

void handle_event(sdk::Transport& base, const sdk::Event& event, Handle handle) {
  thread_local std::vector<rtsup_pair> pairs;
  rtsup_reply reply(base);
  const bool is_known =
      event.opcode == abi::op::kEventInvoke || event.opcode == abi::op::kEventMessage;
  if (!is_known || event.metadata.empty()) {
    reply.reason.set("EVENT_UNKNOWN", 13);
    answer(base, event, Status::kUnimplemented, reply);
    return;
  }
  const rtsup_event view = view_of(event, pairs);
  sdk::current_event() = event.context;
  const int code = handle(&view, &reply);
  sdk::current_event() = {};
  answer(base, event,
         code >= 0 && code <= kStatusMax ? Status{static_cast<uint8_t>(code)} : Status::kUnknown,
         reply);
}

Status plain_call(uint16_t opcode, const Builder& table) noexcept {
  auto filled = RTSUP_INIT(rtsup_answer);
  const Status status =
      sdk::send(opcode, table, {}, sdk::read_struct<rtsup_options>(nullptr), filled).status;
  rtsup_answer_release(&filled);
  return status;
}

// A base that knows nothing of the one before hears again what this function is subscribed to. What
// it refuses is gone, as after a restart of the function.
void subscribe_again() noexcept {
  try {
    sdk::subscriptions().each([](const std::string& component, const std::string& topic) {
      Builder& builder = sdk::fresh_builder();
      const auto name = builder.CreateString(component);
      builder.Finish(abi::CreatePubsubSubscribeRequest(builder, name, builder.CreateString(topic)));
      static_cast<void>(plain_call(abi::op::kPubsubSubscribe, builder));
    });
  } catch (...) {
    return;  // no memory: the function hears nothing of topics until it starts again
  }
}

// Another base sends no event before it hears this.
void tell_ready() noexcept {
  constexpr int kTries = 3;
  for (int i = 0; i < kTries && ready() != Status::kOk; ++i) {
  }
}

}  // namespace

Result<void> attach(int session_fd, uint64_t timeout_ns) noexcept {
  sys::UniqueFd socket(session_fd);
  if (attached()) {
    return Error{.status = Status::kAlreadyExists, .step = Step::kAttach};
  }
  RTSUP_ASSIGN(auto transport, sdk::ChannelTransport::attach(std::move(socket), timeout_ns));
  sdk::set_transport(std::move(transport));
  return {};
}

bool attached() noexcept { return sdk::transport() != nullptr; }

void detach() noexcept { sdk::set_transport(nullptr); }

Status ready() noexcept {
  Builder& builder = sdk::fresh_builder();
  builder.Finish(abi::CreateSessionReadyRequest(builder));
  return plain_call(abi::op::kSessionReady, builder);
}

Status failed(uint8_t failure) noexcept {
  Builder& builder = sdk::fresh_builder();
  builder.Finish(abi::CreateSessionFailedRequest(builder, abi::LoadFailure{failure}));
  return plain_call(abi::op::kSessionFailed, builder);
}

ServeEnd serve(Handle handle) noexcept {
  sdk::Transport* base = sdk::transport();
  if (base == nullptr) {
    return ServeEnd::kBaseGone;
  }
  for (;;) {
    sdk::Event event;
    switch (base->next_event(event)) {
      case sdk::Next::kEvent:
        handle_event(*base, event, handle);
        break;
      case sdk::Next::kNewBase:
        subscribe_again();
        tell_ready();
        break;
      case sdk::Next::kMoved:
        tell_ready();
        break;
      case sdk::Next::kAsked:
        return ServeEnd::kAsked;
      case sdk::Next::kStopped:
        return ServeEnd::kStopped;
      case sdk::Next::kBaseGone:
        return ServeEnd::kBaseGone;
    }
  }
}

void request_stop() noexcept {
  if (sdk::Transport* base = sdk::transport(); base != nullptr) {
    base->stop();
  }
}

Counters counters() noexcept {
  const auto* channel = dynamic_cast<const sdk::ChannelTransport*>(sdk::transport());
  return channel == nullptr ? Counters() : channel->counters();
}

}  // namespace rtsup::host

int rtsup_run(const rtsup_callbacks* callbacks) {
  namespace host = rtsup::host;
  const rtsup_callbacks given = rtsup::sdk::read_struct(callbacks);
  const char* variable =
      std::getenv(rtsup::abi::kSessionFdVariable);  // NOLINT(concurrency-mt-unsafe): nobody sets it
  const int fd = variable == nullptr ? rtsup::abi::kSessionFd : std::atoi(variable);
  if (given.handle == nullptr || fd < 0 || !host::attach(fd)) {
    return 1;
  }
  if (given.start != nullptr && given.start() != RTSUP_OK) {
    host::failed(static_cast<uint8_t>(rtsup::abi::LoadFailure::StartFailed));
    return 1;
  }
  if (host::ready() != Status::kOk) {
    return 1;
  }
  const host::ServeEnd end = host::serve(given.handle);
  if (given.destroy != nullptr) {
    given.destroy();
  }
  return end == host::ServeEnd::kBaseGone ? 1 : 0;
}
