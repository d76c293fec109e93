#include "broker/link/shard_set.h"

#include <latch>
#include <utility>

namespace rtsup::broker {

void ObserverRelay::joined(SessionId session) {
  home_.post([this, session] { observer_.joined(session); });
}
void ObserverRelay::ready(SessionId session) {
  home_.post([this, session] { observer_.ready(session); });
}
void ObserverRelay::failed(SessionId session, uint8_t failure) {
  home_.post([this, session, failure] { observer_.failed(session, failure); });
}
void ObserverRelay::drained(SessionId session) {
  home_.post([this, session] { observer_.drained(session); });
}
void ObserverRelay::violated(SessionId session, abi::ViolationReason reason, uint64_t number) {
  home_.post([this, session, reason, number] { observer_.violated(session, reason, number); });
}
void ObserverRelay::gone(SessionId session, const Principal& principal,
                         const channel::SessionMeters& meters) {
  home_.post([this, session, principal, meters] { observer_.gone(session, principal, meters); });
}

// The thread has to be made before the process is confined, and must not serve before all is
// assembled.
struct ShardSet::Other {
  explicit Other(std::unique_ptr<channel::Shard> made)
      : shard(std::move(made)), thread([this] {
          go.wait();
          shard->run();
        }) {}
  std::unique_ptr<channel::Shard> shard;
  std::latch go{1};
  std::thread thread;
};

ShardSet::ShardSet(const Placement& placement) : placement_(placement) {}

ShardSet::~ShardSet() { stop(); }

void ShardSet::add_home(channel::Shard& home) { shards_.push_back(&home); }

void ShardSet::add(std::unique_ptr<channel::Shard> shard) {
  shards_.push_back(shard.get());
  others_.push_back(std::make_unique<Other>(std::move(shard)));
}

void ShardSet::start() {
  is_serving_ = true;
  for (const auto& other : others_) {
    other->go.count_down();
  }
}

void ShardSet::stop() noexcept {
  for (const auto& other : others_) {
    other->shard->stop();
    if (!is_serving_ && other->thread.joinable()) {
      other->go.count_down();
    }
  }
  for (const auto& other : others_) {
    if (other->thread.joinable()) {
      other->thread.join();
    }
  }
  is_serving_ = false;
}

void ShardSet::clear() noexcept {
  stop();
  others_.clear();
  shards_.clear();
}

void ShardSet::run_on(uint32_t shard, const std::function<void()>& work) const {
  if (shard == kHomeShard || !is_serving_ || is_alone_) {
    work();
    return;
  }
  std::latch done(1);
  shards_[shard]->post([&work, &done] {
    work();
    done.count_down();
  });
  done.wait();
}

void ShardSet::run_on_each(const std::function<void(uint32_t shard)>& work) const {
  for (uint32_t i = 0; i < size(); ++i) {
    run_on(i, [&work, i] { work(i); });
  }
}

void ShardSet::run_alone(const std::function<void()>& work) const {
  if (!is_serving_) {
    return work();
  }
  std::latch standing(static_cast<ptrdiff_t>(others_.size()));
  std::latch done(1);
  std::latch left(static_cast<ptrdiff_t>(others_.size()));
  for (const auto& other : others_) {
    other->shard->post([&standing, &done, &left] {
      standing.count_down();
      done.wait();
      left.count_down();
    });
  }
  standing.wait();
  is_alone_ = true;
  work();
  is_alone_ = false;
  done.count_down();
  left.wait();  // before the latches go
}

uint32_t ShardSet::owner_of(SessionId session) const noexcept {
  const auto found = owners_.find(session);
  return found == owners_.end() ? kHomeShard : found->second;
}

Result<sys::UniqueFd> ShardSet::attach(channel::Attachment attachment) {
  const Principal& principal = attachment.principal;
  const uint32_t owner = principal.kind == abi::PrincipalKind::kFunction
                             ? placement_.of(principal.function)
                             : kHomeShard;
  const SessionId session = attachment.session;
  if (owner != kHomeShard) {
    owners_[session] = owner;
  }
  Result<sys::UniqueFd> down = sys::UniqueFd();
  run_on(owner, [&] { down = at(owner).attach(std::move(attachment)); });
  if (!down) {
    owners_.erase(session);
  }
  return down;
}

Result<void> ShardSet::introduce(SessionId session) {
  const uint32_t owner = owner_of(session);
  Result<void> introduced;
  run_on(owner, [&] { introduced = at(owner).introduce(session); });
  return introduced;
}

void ShardSet::detach(SessionId session) {
  const uint32_t owner = owner_of(session);
  owners_.erase(session);
  run_on(owner, [&] { at(owner).detach(session); });
}

void ShardSet::drain(SessionId session) {
  const uint32_t owner = owner_of(session);
  run_on(owner, [&] { at(owner).drain(session); });
}

void ShardSet::expect_sessions(bool more) {
  run_on_each([&](uint32_t shard) { at(shard).expect_sessions(more); });
}

void ShardSet::hold(bool held) {
  run_on_each([&](uint32_t shard) { at(shard).hold(held); });
}

channel::Unrest ShardSet::unrest() {
  channel::Unrest unrest;
  run_on_each([&](uint32_t shard) {
    const channel::Unrest one = at(shard).unrest();
    unrest.busy = one.busy == SessionId{} ? unrest.busy : one.busy;
    unrest.has_unread = unrest.has_unread || one.has_unread;
  });
  return unrest;
}

void ShardSet::hand_over() noexcept {
  run_on_each([&](uint32_t shard) { at(shard).hand_over(); });
}

void ShardSet::each_session(
    const std::function<void(const channel::SessionReading&)>& visit) const {
  run_on_each([&](uint32_t shard) { at(shard).each_session(visit); });
}

}  // namespace rtsup::broker
