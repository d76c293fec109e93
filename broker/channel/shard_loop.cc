#include "broker/channel/shard_loop.h"

#include <sched.h>

#include <algorithm>

#include "abi/base/check.h"
#include "sys/clock.h"
#include "sys/owner_mark.h"

namespace rtsup::broker::channel {
namespace {

// Tokens of epoll: a session's doorbell, a watched descriptor, or the loop's own eventfd.
constexpr uint64_t kSessionToken = uint64_t{1} << 32;
constexpr uint64_t kWakeToken = uint64_t{2} << 32;
constexpr uint64_t kTimerToken = uint64_t{4} << 32;

// That the thread may use.
size_t count_cpus() noexcept {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  return ::sched_getaffinity(0, sizeof allowed, &allowed) != 0
             ? 1
             : static_cast<size_t>(CPU_COUNT(&allowed));
}

}  // namespace

Result<std::unique_ptr<Shard>> Shard::create(const ShardOptions& options, CallHandler& handler,
                                             SessionObserver& observer) {
  auto loop = std::make_unique<ShardLoop>(options, handler, observer);
  RTSUP_TRY(loop->open());
  return std::unique_ptr<Shard>(std::move(loop));
}

ShardLoop::ShardLoop(const ShardOptions& options, CallHandler& handler, SessionObserver& observer)
    : options_(options), core_{.options = options_, .handler = handler, .observer = observer} {
  hot_.reserve(kHotMax);
  core_.dirty.reserve(256);
  posted_.reserve(256);
  running_.reserve(256);
  core_.deadlines.reserve_more(64);
}

ShardLoop::~ShardLoop() {
  for (const auto& timer : timers_) {
    core_.deadlines.disarm(*timer);
  }
}

Result<void> ShardLoop::open() {
  RTSUP_ASSIGN(page_, sys::create_writable_region("rtsup-shard", abi::kHeaderBytes));
  abi::ShardPage& made = page();
  made.magic = abi::kShardMagic;
  made.epoch = options_.epoch_page;
  RTSUP_ASSIGN(epoll_, sys::Epoll::create());
  RTSUP_ASSIGN(wake_, sys::EventFd::create());
  RTSUP_TRY(epoll_.add(wake_.fd(), EPOLLIN, kWakeToken));
  RTSUP_ASSIGN(timer_, sys::TimerFd::create());
  RTSUP_TRY(epoll_.add(timer_.fd(), EPOLLIN | EPOLLET, kTimerToken));
  // Two that spin need two CPUs; with one, spinning only keeps the other side from running.
  const size_t cpus = count_cpus();
  const bool may_spin = options_.spin_on_one_cpu || cpus > options_.shards;
  spare_cpus_ =
      options_.spin_on_one_cpu ? SIZE_MAX : cpus - std::min<size_t>(cpus, options_.shards);
  spin_ns_ = may_spin ? options_.spin_ns : 0;
  core_.worker_spin_ns = may_spin ? options_.worker_spin_ns : 0;
  refresh_clock();
  return {};
}

void ShardLoop::refresh_clock() noexcept {
  core_.now_ns = static_cast<uint64_t>(sys::monotonic_ns());
}

// ---- sessions ----

Result<sys::UniqueFd> ShardLoop::attach(Attachment attachment) {
  const uint32_t number = attachment.session.value;
  if (sessions_.size() >= options_.sessions_max) {
    return Error{.status = Status::kResourceExhausted, .step = Step::kSession, .number = number};
  }
  if (sessions_.contains(number)) {
    return Error{.status = Status::kAlreadyExists, .step = Step::kSession, .number = number};
  }
  refresh_clock();
  sys::UniqueFd down;
  RTSUP_ASSIGN(auto session, Session::create(core_, std::move(attachment), down));
  // Edge-triggered and never read: the counter belongs to the worker, which could make a read
  // block.
  RTSUP_TRY(epoll_.add(session->doorbell_fd(), EPOLLIN | EPOLLET, kSessionToken | number));
  if (session->principal().kind == abi::PrincipalKind::kFunction) {
    const uint32_t function = session->principal().function.value;
    if (function >= functions_.size()) {
      functions_.resize(function + 1);
    }
    functions_[function].push_back(session.get());
  }
  sessions_.emplace(number, std::move(session));
  return down;
}

Result<void> ShardLoop::introduce(SessionId id) {
  refresh_clock();
  const auto found = sessions_.find(id.value);
  return found == sessions_.end() ? Result<void>() : found->second->introduce(page_.fd.get());
}

void ShardLoop::detach(SessionId id) {
  const auto found = sessions_.find(id.value);
  if (found == sessions_.end()) {
    return;
  }
  std::unique_ptr<Session> session = std::move(found->second);
  sessions_.erase(found);
  // The worker holds a duplicate, so that closing alone would leave it watched.
  static_cast<void>(epoll_.remove(session->doorbell_fd()));
  for (auto& list : functions_) {
    std::erase(list, session.get());
  }
  Session& gone = *session;
  leaving_.push_back(std::move(session));
  gone.detach();
  cool(gone);
}

void ShardLoop::drain(SessionId id) {
  if (Session* session = find(id.value); session != nullptr) {
    session->drain();
  }
}

void ShardLoop::end(SessionId id, abi::ViolationReason reason, uint64_t number) {
  if (Session* session = find(id.value); session != nullptr) {
    session->end(reason, number);
  }
}

void ShardLoop::expect_sessions(bool more) {
  const bool ended = expects_sessions_ && !more;
  expects_sessions_ = more;
  for (uint32_t i = 0; ended && core_.rooms != nullptr && i < core_.options.functions; ++i) {
    if (!has_ready(FunctionIndex{i})) {
      core_.rooms->down(FunctionIndex{i});
    }
  }
}

void ShardLoop::each_session(const std::function<void(const SessionReading&)>& visit) const {
  for (const auto& [number, session] : sessions_) {
    visit({session->id(), session->principal(), session->meters(), session->is_ready()});
  }
}

Session* ShardLoop::find(uint32_t number) const noexcept {
  const auto found = sessions_.find(number);
  return found == sessions_.end() ? nullptr : found->second.get();
}

Endpoint* ShardLoop::pick(FunctionIndex function) {
  if (function.value >= functions_.size()) {
    return nullptr;
  }
  Session* best = nullptr;
  for (Session* session : functions_[function.value]) {
    if (session->can_take_event() &&
        (best == nullptr || session->events_open() < best->events_open())) {
      best = session;
    }
  }
  return best;
}

void ShardLoop::room_later(FunctionIndex function) {
  if (function.value >= functions_.size()) {
    return;
  }
  for (Session* session : functions_[function.value]) {
    if (session->can_take_event()) {
      return session->tell_room();
    }
  }
}

bool ShardLoop::has_ready(FunctionIndex function) const {
  const bool known = function.value < functions_.size();
  return expects_sessions_ ||
         (known && std::any_of(functions_[function.value].begin(), functions_[function.value].end(),
                               [](const Session* session) {
                                 return session->is_ready() || session->is_coming();
                               }));
}

void ShardLoop::each_page(FunctionIndex function, const std::function<void(SessionPage&)>& visit) {
  if (function.value >= functions_.size()) {
    return;
  }
  for (Session* session : functions_[function.value]) {
    if (SessionPage* page = session->page(); page != nullptr) {
      visit(*page);
    }
  }
}

// ---- the loop ----

void ShardLoop::run() {
  // Without it no worker trusts its runtime page; nothing else depends on it.
  sys::OwnerMark mark;
  static_cast<void>(mark.set(page().owner));
  refresh_clock();
  while (!stopping_.load()) {
    if (turn()) {
      if (++turns_ % kTurnsPerPoll == 0) {
        poll(std::chrono::nanoseconds(0));
      }
      if (turns_ % kTurnsPerLook == 0) {
        share_cpus();
      }
      if (turns_ % kTurnsPerCooling == 0) {
        cool_idle();
      }
    } else {
      wait();
    }
  }
}

// Spinning is for CPUs that nobody else could use: where more workers are active than there are
// CPUs for them, those that wait sleep at once, and the base leaves its CPU to them between two
// looks. It does not sleep at once: waking it costs each of them more than its looks.
void ShardLoop::share_cpus() noexcept {
  const auto active =
      static_cast<size_t>(std::count_if(hot_.begin(), hot_.end(), [this](const Session* session) {
        return turns_ - session->last_active_turn <= kTurnsPerLook;
      }));
  if ((active > spare_cpus_) == is_crowded_ || spin_ns_ == 0) {
    return;
  }
  is_crowded_ = !is_crowded_;
  core_.worker_spin_ns = is_crowded_ ? 0 : options_.worker_spin_ns;
  for (const auto& [number, session] : sessions_) {
    session->set_spin(core_.worker_spin_ns);
  }
}

// True when there was something to do. The clock is that of the end of whatever came before: of a
// wait, of work that was posted, of a session's turn.
bool ShardLoop::turn() {
  bool busy = false;
  if (has_posted_.load()) {
    run_posted();
    refresh_clock();
    busy = true;
  }
  const size_t count = hot_.size();
  first_ = first_ + 1 < count ? first_ + 1 : 0;
  for (size_t i = 0, at = first_; i < count && !hot_.empty(); ++i, ++at) {
    at = at < hot_.size() ? at : 0;
    Session& session = *hot_[at];
    if (session.has_work()) {
      take_up(session);
      busy = true;
    }
  }
  busy = copy_part() || busy;
  busy = core_.deadlines.run_due(core_.now_ns) || busy;
  flush_dirty();
  reap();
  return busy;
}

// Between two parts everybody is looked at, those that have to ring included.
bool ShardLoop::copy_part() {
  MemoryBudget* const memory = options_.memory;
  if (memory != nullptr && memory->has_left()) {
    memory->clear_some();
  } else if (core_.copies.empty()) {
    return false;
  }
  if (!core_.copies.empty()) {
    const uint64_t start = core_.now_ns;
    LongCopy& copy = core_.copies.run_one();
    refresh_clock();
    copy.count_time(core_.now_ns - start);
  }
  poll(std::chrono::nanoseconds(0));
  return true;
}

void ShardLoop::take_up(Session& session) {
  [[maybe_unused]] const uint64_t start = core_.now_ns;
  session.last_active_turn = turns_;
  // Alone it need not give way to others, and its worker is woken once for all.
  session.take_up(hot_.size() == 1 ? abi::kRingFrames : kFramesPerTurn);
  refresh_clock();
  if constexpr (kChecks) {
    session.add_time(core_.now_ns - start);
  }
}

void ShardLoop::flush_dirty() {
  for (size_t i = 0; i < core_.dirty.size(); ++i) {  // it may grow meanwhile
    Session& session = *core_.dirty[i];
    session.is_dirty = false;
    if (session.needs_flush) {  // or it did so at the end of its turn
      session.flush();
    }
    if (std::exchange(session.has_left, false) && core_.rooms != nullptr &&
        !has_ready(session.principal().function)) {
      core_.rooms->down(session.principal().function);
    }
    if (session.has_work() && !session.is_hot()) {
      heat(session);  // it had been stalled, and its worker will not ring again
    }
  }
  core_.dirty.clear();
}

void ShardLoop::reap() {
  if (!leaving_.empty()) {
    std::erase_if(leaving_,
                  [](const auto& session) { return session->is_finished() && !session->is_dirty; });
  }
}

bool ShardLoop::has_hot_work() const noexcept {
  for (const Session* const session : hot_) {
    if (session->has_work()) {
      session->expect_request();  // it is on its way while the clock is read
      return true;
    }
  }
  return has_posted_.load() || stopping_.load();
}

void ShardLoop::wait() {
  const uint64_t budget = hot_.empty() ? 0 : governor_.next(spin_ns_);
  if (budget == 0 || !spin(budget)) {
    sleep();
  }
}

// True when there is something to do.
bool ShardLoop::spin(uint64_t budget_ns) {
  const uint64_t start = core_.now_ns;
  uint64_t polled = start;
  for (;;) {
    for (int i = 0; i < 32; ++i) {
      if (has_hot_work()) {
        refresh_clock();
        governor_.hit(core_.now_ns - start);
        return true;
      }
      abi::cpu_relax();
    }
    if (is_crowded_) {
      ::sched_yield();  // a worker may wait for this very CPU
    }
    refresh_clock();
    if (core_.deadlines.next_ns() <= core_.now_ns) {
      return true;
    }
    if (core_.now_ns - polled > kPollNs) {
      polled = core_.now_ns;
      poll(std::chrono::nanoseconds(0));
      if (!core_.dirty.empty()) {
        return true;  // something was published that no worker has heard of yet
      }
    }
    if (core_.now_ns - start >= budget_ns) {
      governor_.miss();
      return false;
    }
  }
}

bool ShardLoop::sleep() {
  page().asleep.store(1);
  if (has_hot_work()) {
    page().asleep.store(0);
    return true;
  }
  arm_timer();
  poll(sys::kWaitForever);
  return false;
}

// Only ever to an earlier time: nearly every deadline is met long before, and setting a timer for
// each sleep costs more than the one needless wake-up that is left.
void ShardLoop::arm_timer() {
  const uint64_t next = core_.deadlines.next_ns();
  if (next < timer_due_ns_) {
    RTSUP_CHECK(timer_.set_at(static_cast<int64_t>(next)).has_value());  // fails only for our bugs
    timer_due_ns_ = next;
  }
}

void ShardLoop::poll(std::chrono::nanoseconds timeout) {
  epoll_event ready[kEventsPerWait];
  const auto events = epoll_.wait(ready, timeout);
  if (timeout.count() != 0) {
    page().asleep.store(0);
  }
  refresh_clock();
  if (!events) {
    return;
  }
  for (const epoll_event& event : *events) {
    handle_ready(event.data.u64);
  }
}

void ShardLoop::handle_ready(uint64_t token) {
  if (token == kWakeToken) {
    static_cast<void>(wake_.drain());
    return;
  }
  if (token == kTimerToken) {
    timer_due_ns_ = DeadlineHeap::kNever;
    return;
  }
  if ((token & kSessionToken) != 0) {
    const auto number = static_cast<uint32_t>(token);
    if (Session* session = find(number); session != nullptr) {
      session->doorbell_rang();
      if (find(number) == session) {  // the observer may have detached it
        heat(*session);
      }
    }
    return;
  }
  const auto found = watched_.find(static_cast<int>(token));
  if (found != watched_.end()) {
    const auto readable = found->second;  // a copy: it may unwatch itself
    readable();
  }
}

void ShardLoop::heat(Session& session) {
  session.last_active_turn = turns_;
  if (session.is_hot()) {
    return;
  }
  if (hot_.size() == kHotMax) {
    cool(**std::min_element(hot_.begin(), hot_.end(), [](const Session* a, const Session* b) {
      return a->last_active_turn < b->last_active_turn;
    }));
  }
  hot_.push_back(&session);
  session.set_hot(true);
}

void ShardLoop::cool(Session& session) {
  if (!session.is_hot()) {
    return;
  }
  std::erase(hot_, &session);
  session.set_hot(false);
  // What was published before the worker could see the change comes without a doorbell.
  if (session.has_work()) {
    take_up(session);
  }
}

void ShardLoop::cool_idle() {
  // Backwards, since cooling takes a session out, and what it takes up may take out others.
  for (size_t i = hot_.size(); i-- > 0;) {
    if (i < hot_.size() && turns_ - hot_[i]->last_active_turn > kHotTurns) {
      cool(*hot_[i]);
    }
  }
}

}  // namespace rtsup::broker::channel
