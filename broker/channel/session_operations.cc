// Session: the operations that the channel answers itself: base.echo and session.*.
#include <utility>

#include "broker/channel/session.h"
#include "schemas/base_generated.h"
#include "schemas/session_generated.h"

namespace rtsup::broker::channel {
namespace {

constexpr uint32_t kWindowBytesMargin =
    1024 * 1024;  // room for the table beside the largest payload

template <typename Table>
const Table& table_of(const SessionCall& call) noexcept {
  return *flatbuffers::GetRoot<Table>(call.metadata().data());
}

}  // namespace

// False when the call belongs to a service.
bool Session::serve(SessionCall& call) {
  if (call.operation().grant == abi::Grant::kFunction) {
    return false;
  }
  switch (call.operation().opcode) {
    case abi::op::kBaseEcho:
      if (call.payload_.size() > kPassedAtOnceMax && call.payload_.value() == nullptr) {
        if (call.fetch_payload() == Fetch::kNoMemory) {
          answer_reason(call, abi::Reason::kNoMemory);
        }
        return true;
      }
      call.answer_from(Status::kOk,
                       core_.builder.finish(abi::CreateEchoResponse(core_.builder.start())),
                       call.payload());
      return true;
    case abi::op::kSessionReady:
      if (state_ == State::kAttached && principal_.kind == abi::PrincipalKind::kFunction) {
        state_ = State::kReady;
        core_.deadlines.disarm(attach_deadline_);
        has_room_news_ = true;
        make_dirty();
        core_.observer.ready(id_);
      }
      call.answer(Status::kOk,
                  core_.builder.finish(abi::CreateSessionReadyResponse(core_.builder.start())), {});
      return true;
    case abi::op::kSessionFailed:
      if (!std::exchange(has_failed_, true)) {  // each is a record to the supervisor
        core_.observer.failed(
            id_, static_cast<uint8_t>(table_of<abi::SessionFailedRequest>(call).failure()));
      }
      call.answer(Status::kOk,
                  core_.builder.finish(abi::CreateSessionFailedResponse(core_.builder.start())),
                  {});
      return true;
    case abi::op::kSessionWindow:
      serve_window(call);
      return true;
    case abi::op::kSessionWindowReady:
      serve_window_ready(call);
      return true;
    case abi::op::kSessionWindowRelease:
      serve_window_release(call);
      return true;
    default:
      return false;
  }
}

void Session::serve_window(SessionCall& call) {
  const auto& request = table_of<abi::WindowRequest>(call);
  const uint32_t bytes = request.bytes();
  if (request.direction() != abi::Direction::Up) {  // the other direction is offered by the base
    call.answer(Status::kInvalidArgument, failure(abi::Reason::kUnknownOperation), {});
    return;
  }
  if (bytes < abi::kInlineBytesMax || bytes > payload_bytes_max_ + kWindowBytesMargin) {
    answer_reason(call, abi::Reason::kPayloadTooLarge);
    return;
  }
  const auto made = windows_.make(bytes, memory_share_);
  if (!made) {
    answer_reason(call, abi::Reason::kNoMemory);
    return;
  }
  const abi::SessionItem item{abi::ItemKind::kWindowUp, made->number, bytes};
  if (!send_message(abi::SessionVerb::kWindow, std::span(&item, 1), std::span(&made->fd, 1))) {
    windows_.undo(made->number);
    answer_reason(call, abi::Reason::kNoMemory);
    return;
  }
  auto& builder = core_.builder.start();
  call.answer(Status::kOk,
              core_.builder.finish(abi::CreateWindowResponse(builder, made->number, bytes)), {});
}

void Session::serve_window_ready(SessionCall& call) {
  const uint32_t number = table_of<abi::WindowReadyRequest>(call).window();
  if (!windows_.is_given(number)) {
    end(abi::ViolationReason::kWindow, number);
  } else if (const auto whole = windows_.accept(number); !whole) {
    end(abi::ViolationReason::kRegionHole, static_cast<uint64_t>(whole.error().number));
  }
  call.answer(Status::kOk,
              core_.builder.finish(abi::CreateWindowReadyResponse(core_.builder.start())), {});
}

void Session::serve_window_release(SessionCall& call) {
  const uint32_t number = table_of<abi::WindowReleaseRequest>(call).window();
  if (!windows_.release(number)) {
    end(abi::ViolationReason::kWindow, number);
  }
  call.answer(Status::kOk,
              core_.builder.finish(abi::CreateWindowReleaseResponse(core_.builder.start())), {});
}

// ---- windows that the base offers ----

// Sees to it that an answer of the size will fit: what could not be published is tried again when
// the worker has the window.
void Session::ask_for_window(uint32_t bytes) {
  if (memory_.has_window(bytes)) {
    return;  // offered, or in use for another answer
  }
  if (!memory_.has_window_place()) {
    if (const uint32_t retired = memory_.retire_window(); retired != 0) {
      withdraw_window(retired);
    }
    return;
  }
  const auto made = memory_.make_window(bytes);
  if (!made) {
    return;
  }
  const abi::SessionItem item{abi::ItemKind::kWindowDown, made->number, made->bytes};
  if (!send_message(abi::SessionVerb::kWindow, std::span(&item, 1), std::span(&made->fd, 1)) ||
      !offer(made->number, made->bytes)) {
    memory_.drop_window(made->number);
  }
}

void Session::withdraw_window(uint32_t number) {
  if (!offer(number, 0)) {
    memory_.drop_window(number);
  }
}

// bytes 0: the worker shall unmap it.
bool Session::offer(uint32_t number, uint32_t bytes) {
  EventSlot* slot = find_event_slot();
  if (slot == nullptr) {
    return false;
  }
  abi::Frame frame;
  frame.opcode = abi::op::kEventWindowOffer;
  frame.correlation = next_correlation(*slot);
  auto& builder = core_.offers.start();
  if (!publish(frame, core_.offers.finish(abi::CreateWindowOfferEvent(builder, number, bytes)),
               {})) {
    return false;
  }
  take_event_slot(*slot, frame);
  slot->window = number;
  slot->is_overdue = bytes == 0;  // here: it is taken back
  return true;
}

void Session::offer_answered(EventSlot& slot, Status status) {
  const uint32_t number = slot.window;
  const bool was_withdrawn = slot.is_overdue;
  give_event_slot(slot);
  if (TopicWindows::is_one(number)) {
    topic_answered(number, status);
    return;
  }
  if (was_withdrawn || status != Status::kOk) {
    memory_.drop_window(number);
  } else if (const auto whole = memory_.accept_window(number); !whole) {
    end(abi::ViolationReason::kRegionHole, static_cast<uint64_t>(whole.error().number));
  }
  if (status != Status::kOk) {
    for (uint32_t i = 0; i < parked_count_; ++i) {
      SessionCall& call = calls_[parked_[i]];
      if (DownMemory::needs_window(call.parked_metadata_.size() + call.parked_value_.size())) {
        drop_parked(call);
        call.parked_reason_ = abi::Reason::kNoMemory;
      }
    }
  }
  has_room_news_ = true;
  make_dirty();
}

// ---- memory that subscribers share ----

// Where the worker has the value already; an empty range: it has to be copied.
abi::Range Session::share(const ValueRef* value) {
  if (value == nullptr || value->memory() == nullptr || !takes_topics_) {
    return {};
  }
  TopicWindows::Window* window = topics_.find(value->memory());
  if (window == nullptr) {
    return {};
  }
  if (window->state != TopicWindows::State::kReady) {
    if (window->state == TopicWindows::State::kNone && value->memory()->is_current()) {
      window->memory = value->memory();
    }
    if (window->memory != nullptr) {
      offer_topic(*window);
    }
    return {};
  }
  const auto bytes = value->bytes();
  const auto offset = static_cast<uint32_t>(bytes.data() - window->memory->bytes().data());
  return {topics_.number_of(*window), offset, static_cast<uint32_t>(bytes.size()), 0};
}

// In two steps, each tried again with the next message: the descriptor goes once, and stays on the
// socket until the worker is told of it.
void Session::offer_topic(TopicWindows::Window& window) {
  const auto bytes = static_cast<uint32_t>(window.memory->bytes().size());
  const uint32_t number = topics_.number_of(window);
  if (window.state == TopicWindows::State::kNone) {
    const abi::SessionItem item{abi::ItemKind::kTopic, number, bytes};
    const int fd = window.memory->fd();
    const bool sent =
        send_message(abi::SessionVerb::kWindow, std::span(&item, 1), std::span(&fd, 1)).has_value();
    window.state = sent ? TopicWindows::State::kSent : TopicWindows::State::kRefused;
  }
  if (window.state == TopicWindows::State::kSent && offer(number, bytes)) {
    window.state = TopicWindows::State::kOffered;
  }
}

void Session::topic_answered(uint32_t number, Status status) {
  topics_.at(number).state =
      status == Status::kOk ? TopicWindows::State::kReady : TopicWindows::State::kRefused;
}

}  // namespace rtsup::broker::channel
