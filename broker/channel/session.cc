#include "broker/channel/session.h"

#include <algorithm>

#include "sys/socket.h"

namespace rtsup::broker::channel {
namespace {

// Doorbells beyond one a frame that a session may ring within a second. An honest worker rings at
// most once a frame.
constexpr uint64_t kIdleBellsMax = 1024;
constexpr uint64_t kSecondNs = 1'000'000'000;
// What a session may cost the base by itself: its up region, should the worker punch holes into it,
// the runtime page, memory for tables, calls and events, and small values on their way.
constexpr size_t kOwnBytes = size_t{512} * 1024;

template <typename Header>
Header& header_of(std::span<std::byte> bytes) noexcept {
  return *reinterpret_cast<Header*>(bytes.data());
}

}  // namespace

Result<std::unique_ptr<Session>> Session::create(ShardCore& core, Attachment attachment,
                                                 sys::UniqueFd& down) {
  RTSUP_ASSIGN(sys::ReadableRegion up, sys::create_readable_region("rtsup-up", abi::kRegionBytes));
  RTSUP_ASSIGN(sys::WritableRegion own,
               sys::create_writable_region("rtsup-down", abi::kRegionBytes, sys::Prefault::kNo));
  auto session = std::unique_ptr<Session>(
      new Session(core, std::move(attachment), std::move(up), std::move(own)));
  if (!session->own_memory_.take(session->memory_share_, kOwnBytes)) {
    return Error{
        .status = Status::kResourceExhausted, .step = Step::kSession, .number = session->id_.value};
  }
  RTSUP_ASSIGN(session->doorbell_, sys::EventFd::create());
  if (session->wants_page()) {
    RTSUP_ASSIGN(session->page_, PageWriter::create(session->epoch_));
  }
  RTSUP_ASSIGN(down, sys::duplicate(session->down_region_.fd.get()));
  return session;
}

Session::Session(ShardCore& core, Attachment attachment, sys::ReadableRegion up,
                 sys::WritableRegion down)
    : core_(core),
      id_(attachment.session),
      epoch_(attachment.epoch),
      principal_(std::move(attachment.principal)),
      concurrency_(std::clamp(attachment.concurrency, 1U, abi::kRingFrames / 2)),
      attach_timeout_ns_(core.options.attach_timeout_ns + attachment.busy_ns),
      is_again_(attachment.is_again),
      payload_bytes_max_(std::min(attachment.payload_bytes_max, core.options.payload_bytes_max)),
      memory_share_{core.options.memory, core.options.memory == nullptr
                                             ? 0
                                             : core.options.memory->account_of(principal_)},
      socket_(std::move(attachment.socket)),
      down_region_(std::move(down)),
      up_(std::move(up)),
      down_(header_of<abi::DownHeader>(down_region_.mapping.bytes())),
      memory_(down_region_.mapping.bytes(), up_),
      metadata_memory_(
          std::make_unique_for_overwrite<std::byte[]>(abi::kMetadataBytesMax + 32 * 1024)),
      calls_(std::make_unique<SessionCall[]>(kCalls)) {
  for (uint32_t i = 0; i < kCalls; ++i) {
    calls_[i].session_ = this;
    calls_[i].principal_ = &principal_;
    free_calls_[i] = static_cast<uint16_t>(kCalls - 1 - i);
  }
  for (EventSlot& slot : events_) {
    slot.session = this;
  }
  long_send_.session = this;
  long_reply_.session = this;
  attach_deadline_.session = this;
  retry_deadline_.session = this;
  down_.magic = abi::kDownMagic;
  down_.bytes = abi::kRegionBytes;
  down_.abi_major = abi::kAbiMajor;
  down_.abi_minor = abi::kAbiMinor;
  down_.epoch = epoch_;
  // Relaxed: the worker sees the region only after the attach message.
  down_.spin_budget_ns.store(core.worker_spin_ns, std::memory_order_relaxed);
  core_.deadlines.reserve_more(kDeadlines);
  note_hold();
}

Session::~Session() {
  core_.copies.remove(long_send_);
  core_.copies.remove(long_reply_);
  core_.deadlines.disarm(attach_deadline_);
  core_.deadlines.disarm(retry_deadline_);
  for (EventSlot& slot : events_) {
    core_.deadlines.disarm(slot);
  }
  for (uint32_t i = 0; i < kCalls; ++i) {
    core_.deadlines.disarm(calls_[i]);
    core_.copies.remove(calls_[i]);
  }
  core_.deadlines.reserve_less(kDeadlines);
}

Result<void> Session::introduce(int shard_page_fd) {
  const abi::SessionItem items[] = {
      {abi::ItemKind::kUp, 0, abi::kRegionBytes},
      {abi::ItemKind::kDown, 0, abi::kRegionBytes},
      {abi::ItemKind::kShard, 0, abi::kHeaderBytes},
      {abi::ItemKind::kDoorbell, 0, 0},
      {abi::ItemKind::kRuntimePage, 0, abi::kPageBytes},
  };
  const int fds[] = {up_.fd(), down_region_.fd.get(), shard_page_fd, doorbell_.fd(),
                     page_ != nullptr ? page_->fd() : -1};
  const size_t count = std::size(items) - (page_ != nullptr ? 0 : 1);
  RTSUP_TRY(send_message(abi::SessionVerb::kAttach, std::span(items).first(count),
                         std::span(fds).first(count)));
  core_.deadlines.arm(attach_deadline_, core_.now_ns + attach_timeout_ns_);
  return {};
}

Result<void> Session::send_message(abi::SessionVerb verb, std::span<const abi::SessionItem> items,
                                   std::span<const int> fds) {
  abi::SessionMessage message{};
  message.magic = abi::kSessionMagic;
  message.abi_major = abi::kAbiMajor;
  message.abi_minor = abi::kAbiMinor;
  message.verb = verb;
  message.epoch = epoch_;
  message.session = id_.value;
  message.item_count = static_cast<uint32_t>(items.size());
  std::copy(items.begin(), items.end(), message.items);
  return sys::send_record(socket_.get(), message, fds);
}

bool Session::has_work() const noexcept {
  return (state_ == State::kAttached || state_ == State::kReady) && waits_ == 0 &&
         up_.request_tail() != up_head_;
}

void Session::set_hot(bool hot) noexcept {
  is_hot_ = hot;
  down_.hot.store(hot ? 1 : 0);  // seq_cst: before the next look at request_tail
}

void Session::doorbell_rang() {
  ++meters_.doorbells_received;
  if (state_ == State::kAttaching) {
    check_attached();
  }
  if (core_.now_ns - flood_second_ns_ >= kSecondNs) {
    flood_second_ns_ = core_.now_ns;
    flood_bells_ = 0;
    flood_frames_ = up_head_;
  }
  ++flood_bells_;
  if (flood_bells_ > up_head_ - flood_frames_ + kIdleBellsMax && state_ < State::kEnded) {
    end(abi::ViolationReason::kFlood, flood_bells_);
  }
}

void Session::check_attached() {
  // Rule 9: before the base touches the regions, the worker must have, or the base would pay for
  // them.
  for (const int fd : {up_.fd(), down_region_.fd.get()}) {
    if (const auto whole = sys::check_no_hole(fd, abi::kRegionBytes); !whole) {
      end(abi::ViolationReason::kRegionHole, static_cast<uint64_t>(whole.error().number));
      return;
    }
  }
  if (up_.attached_epoch() != epoch_) {
    return;  // a doorbell too early: the deadline decides
  }
  const UpRegion::Version version = up_.version();
  if (version.major != abi::kAbiMajor) {
    end(abi::ViolationReason::kAbiVersion, (uint64_t{version.major} << 16) | version.minor);
    return;
  }
  if (!is_again_) {  // one that was ready before has to say so in the same time
    core_.deadlines.disarm(attach_deadline_);
  }
  up_.close_fd();
  down_region_.fd.reset();
  state_ = State::kAttached;
  takes_topics_ = version.minor >= abi::kTopicMinor;
  takes_groups_ = version.minor >= abi::kGroupMinor;
  open_page(version.minor);
  core_.observer.joined(id_);
}

bool Session::wants_page() const {
  return core_.pages != nullptr && principal_.kind == abi::PrincipalKind::kFunction &&
         core_.pages->wants_page(principal_.function);
}

void Session::open_page(uint16_t abi_minor) {
  if (page_ == nullptr || abi_minor < abi::kPageMinor) {
    page_.reset();  // an older library has closed it: nobody else would use its memory
    return;
  }
  core_.pages->fill(principal_.function, *page_);
  page_->open();
}

void Session::close_page() noexcept {
  if (page_ != nullptr) {
    page_->close();
  }
}

SessionPage* SessionCall::page() noexcept { return session_->page(); }

// Before the session stops being ready.
void Session::leave() {
  if (is_ready() || is_coming()) {
    has_left = true;
    make_dirty();
  }
}

void Session::drain() {
  leave();
  is_draining_ = true;
  check_drained();
}

void Session::end(abi::ViolationReason reason, uint64_t number) {
  if (state_ == State::kEnded || state_ == State::kGone) {
    return;
  }
  leave();
  close_page();
  state_ = State::kEnded;
  core_.deadlines.disarm(attach_deadline_);
  core_.deadlines.disarm(retry_deadline_);
  for (EventSlot& slot : events_) {
    free_event(slot);
  }
  core_.observer.violated(id_, reason, number);
}

void Session::detach() {
  if (state_ == State::kGone) {
    return;
  }
  leave();
  close_page();
  state_ = State::kGone;
  core_.deadlines.disarm(attach_deadline_);
  core_.deadlines.disarm(retry_deadline_);
  for (EventSlot& slot : events_) {
    free_event(slot);
  }
  for (uint32_t i = 0; i < kCalls; ++i) {
    SessionCall& call = calls_[i];
    core_.deadlines.disarm(call);
    call.is_unanswered_ = false;
    call.is_parked_ = false;
    drop_parked(call);
  }
  cancel_send();
  parked_count_ = 0;
  topics_.clear();
  core_.observer.gone(id_, principal_, meters_);
}

}  // namespace rtsup::broker::channel
