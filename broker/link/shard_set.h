// ShardSet: the shards of a broker, of which each session and each service has one. The home shard
// is served by the broker's own thread, every other one by a thread of its own.
// Owns:    the other shards and their threads. Home and placement must outlive it.
// Errors:  as of channel::Shard.
// Threads: home's only, except where it says otherwise. What is asked of another shard's sessions
//          is done on its thread; home waits for one turn of that loop. Other shards wait for home
//          in run_alone() only, when home waits for nobody: nothing can wait in a circle.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <thread>
#include <vector>

#include "broker/channel/shard.h"
#include "broker/core/placement.h"

namespace rtsup::broker {

// What another shard says of its sessions, brought home.
class ObserverRelay final : public channel::SessionObserver {
 public:
  ObserverRelay(Post& home, channel::SessionObserver& observer)
      : home_(home), observer_(observer) {}
  void joined(SessionId session) override;
  void ready(SessionId session) override;
  void failed(SessionId session, uint8_t failure) override;
  void drained(SessionId session) override;
  void violated(SessionId session, abi::ViolationReason reason, uint64_t number) override;
  void gone(SessionId session, const Principal& principal,
            const channel::SessionMeters& meters) override;

 private:
  Post& home_;
  channel::SessionObserver& observer_;
};

class ShardSet final : public channel::SessionHost {
 public:
  explicit ShardSet(const Placement& placement);
  ~ShardSet() override;
  ShardSet(const ShardSet&) = delete;
  ShardSet& operator=(const ShardSet&) = delete;

  // The next one in order, first home. Its thread is there from now on, and serves from start().
  void add_home(channel::Shard& home);
  void add(std::unique_ptr<channel::Shard> shard);
  void start();
  // Ends the other shards' threads, not the shards. What was posted to them is left undone.
  void stop() noexcept;

  // Their sessions end, and they go.
  void clear() noexcept;

  [[nodiscard]] uint32_t size() const noexcept { return static_cast<uint32_t>(shards_.size()); }
  [[nodiscard]] channel::Shard& at(uint32_t shard) const noexcept { return *shards_[shard]; }
  // Does the work on the shard's thread, and waits for its end.
  void run_on(uint32_t shard, const std::function<void()>& work) const;
  void run_on_each(const std::function<void(uint32_t shard)>& work) const;
  // Does the work here while every other shard stands still; what it asks of them is done here too.
  void run_alone(const std::function<void()>& work) const;

  Result<sys::UniqueFd> attach(channel::Attachment attachment) override;
  Result<void> introduce(SessionId session) override;
  void detach(SessionId session) override;
  void drain(SessionId session) override;
  void expect_sessions(bool more) override;
  void hold(bool held) override;
  [[nodiscard]] channel::Unrest unrest() override;
  void hand_over() noexcept override;
  void each_session(
      const std::function<void(const channel::SessionReading&)>& visit) const override;

 private:
  struct Other;

  [[nodiscard]] uint32_t owner_of(SessionId session) const noexcept;

  const Placement& placement_;
  std::vector<channel::Shard*> shards_;
  std::vector<std::unique_ptr<Other>> others_;
  std::map<SessionId, uint32_t> owners_;  // of sessions that are not at home
  bool is_serving_ = false;
  mutable bool is_alone_ = false;  // the others stand still: home may act for them
};

}  // namespace rtsup::broker
