#include "supervisor/base/sessions.h"

#include <algorithm>
#include <climits>
#include <cstddef>
#include <utility>

#include "abi/layout.h"
#include "sys/futex.h"

namespace rtsup::supervisor {
namespace {

// The link holds some hundred commands; a broker that starts reads them at once.
constexpr Time kGivePause = std::chrono::milliseconds(1);
// A worker may be on its way to sleep when it is woken, and would not notice: it is woken again.
constexpr Time kWakePauseMin = std::chrono::milliseconds(1);
constexpr Time kWakePauseMax = std::chrono::milliseconds(250);

void wake(const sys::ReadOnlyMapping& down) noexcept {
  if (down) {
    const auto* const header = reinterpret_cast<const abi::DownHeader*>(down.bytes().data());
    (void)sys::futex_wake(header->wake_word, INT_MAX);
  }
}

sys::ReadOnlyMapping map_down(const sys::UniqueFd& down) {
  auto mapping = sys::ReadOnlyMapping::create(down.get(), abi::kRegionBytes);
  return mapping ? std::move(*mapping) : sys::ReadOnlyMapping();
}

}  // namespace

// Who is left finds its socket closed.
Sessions::~Sessions() {
  for (auto& [number, session] : sessions_) {
    session.socket.reset();
    wake(map_down(session.down));
    std::for_each(session.olds.begin(), session.olds.end(), wake);
  }
}

void Sessions::add(const abi::LinkCommand& command, sys::UniqueFd socket) {
  Session& session = sessions_[command.session];
  session.command = command;
  session.socket = std::move(socket);
  waiting_.push_back(command.session);
  give_waiting();
}

bool Sessions::drain(uint32_t number) {
  const auto found = sessions_.find(number);
  if (found == sessions_.end() || broker_ == nullptr) {
    return false;
  }
  found->second.draining = true;
  if (std::find(waiting_.begin(), waiting_.end(), number) == waiting_.end()) {
    waiting_.push_back(number);
    give_waiting();
  }
  return true;
}

void Sessions::remove(uint32_t number) {
  std::erase(waiting_, number);
  if (sessions_.erase(number) != 0 && broker_ != nullptr) {
    removed_.push_back(number);
    give_waiting();
  }
}

void Sessions::serve(const BrokerLink& broker) {
  broker_ = &broker;
  ++epoch_;
  waiting_.clear();
  removed_.clear();
  told_ = false;
  pause_ = kWakePauseMin;
  for (auto& [number, session] : sessions_) {
    session.attached = false;
    if (session.down) {
      session.olds.push_back(map_down(session.down));
      session.down.reset();
      session.command.number = abi::kAttachAgain;
    }
    if (session.olds.size() > kOldsMax) {
      session.olds.erase(session.olds.begin());
    }
    waiting_.push_back(number);
  }
  give_waiting();
}

// A link that is full is tried again: a broker that missed one of these would wait for it, or keep
// what it should not.
void Sessions::give_waiting() {
  if (broker_ == nullptr || giving_ || give_all()) {
    return;
  }
  giving_ = true;
  loop_.call_at(now() + kGivePause, [this] {
    giving_ = false;
    give_waiting();
  });
}

// What the broker has no session of yet is attached. False when the link has no room for all.
bool Sessions::give_all() {
  for (; !removed_.empty(); removed_.pop_front()) {
    if (!broker_->send(abi::LinkCommandVerb::kDetach, removed_.front())) {
      return false;
    }
  }
  for (; !waiting_.empty(); waiting_.pop_front()) {
    Session& session = sessions_[waiting_.front()];
    if (session.command.epoch != epoch_) {
      session.command.epoch = epoch_;
      if (!broker_->attach(session.command, session.socket)) {
        session.command.epoch = 0;
        return false;
      }
    }
    if (session.draining && !broker_->send(abi::LinkCommandVerb::kDrain, waiting_.front())) {
      return false;
    }
  }
  told_ = told_ || broker_->send(abi::LinkCommandVerb::kGiven, 0).has_value();
  return told_;
}

void Sessions::on_attached(const abi::LinkReport& report, sys::UniqueFd down) {
  const auto found = sessions_.find(report.session);
  if (found == sessions_.end() || report.epoch != epoch_ || !down ||
      !sys::check_seals(down.get(), sys::kSealsWritableRegion)) {
    return;
  }
  found->second.down = std::move(down);
  found->second.attached = true;
  if (!found->second.olds.empty() && !waking_) {
    wake_sleepers();
  }
}

void Sessions::on_joined(const abi::LinkReport& report) {
  const auto found = sessions_.find(report.session);
  if (found != sessions_.end() && report.epoch == epoch_) {
    found->second.olds.clear();
  }
}

size_t Sessions::count_unjoined() const noexcept {
  return static_cast<size_t>(std::count_if(sessions_.begin(), sessions_.end(), [](const auto& row) {
    return !row.second.olds.empty();
  }));
}

void Sessions::wake_sleepers() {
  waking_ = false;
  for (const auto& [number, session] : sessions_) {
    if (session.attached && !session.olds.empty()) {
      std::for_each(session.olds.begin(), session.olds.end(), wake);
      waking_ = true;
    }
  }
  if (waking_) {
    loop_.call_at(now() + pause_, [this] { wake_sleepers(); });
    pause_ = std::min(2 * pause_, kWakePauseMax);
  }
}

}  // namespace rtsup::supervisor
