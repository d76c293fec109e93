// Rig: a shard on a thread of its own, with a service of the test's making, and both ends of
//      sessions in this process.
// The worker's end of a session is a second mapping of the same memory (or of the test's own hand).
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

#include "abi/operation.h"
#include "broker/channel/shard.h"
#include "sys/clock.h"
#include "sys/socket.h"

namespace rtsup::testing {

// Runs a function for each call that is no channel operation.
class Service : public broker::CallHandler {
 public:
  void handle(broker::Call& call) override { on_call(call); }
  std::function<void(broker::Call&)> on_call = [](broker::Call& call) {
    call.answer_from(Status::kOk, {}, call.payload());
  };
};

// What was reported, for the test's thread.
class Records : public broker::channel::SessionObserver {
 public:
  struct Violation {
    SessionId session;
    abi::ViolationReason reason = abi::ViolationReason::kNone;
    uint64_t number = 0;
  };
  void ready(SessionId session) override {
    note([&] { ready_.push_back(session.value); });
  }
  void failed(SessionId session, uint8_t failure) override {
    note([&] { failed_.emplace_back(session.value, failure); });
  }
  void drained(SessionId session) override {
    note([&] { drained_.push_back(session.value); });
  }
  void violated(SessionId session, abi::ViolationReason reason, uint64_t number) override {
    if (on_violated) {
      on_violated(session);
    }
    note([&] { violations_.push_back({session, reason, number}); });
  }
  void gone(SessionId session, const broker::Principal&,
            const broker::channel::SessionMeters& meters) override {
    note([&] { gone_.emplace_back(session.value, meters); });
  }

  // Blocks until `done` holds.
  template <typename Done>
  void wait(const Done& done) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return done(*this); });
  }
  Violation wait_violation() {
    wait([](const Records& records) { return !records.violations_.empty(); });
    const std::lock_guard lock(mutex_);
    return violations_.front();
  }
  size_t violation_count() {
    const std::lock_guard lock(mutex_);
    return violations_.size();
  }

  std::function<void(SessionId)> on_violated;  // called first, on the shard's thread

  std::vector<uint32_t> ready_;
  std::vector<std::pair<uint32_t, uint8_t>> failed_;
  std::vector<uint32_t> drained_;
  std::vector<Violation> violations_;
  std::vector<std::pair<uint32_t, broker::channel::SessionMeters>> gone_;

 private:
  template <typename Change>
  void note(const Change& change) {
    const std::lock_guard lock(mutex_);
    change();
    changed_.notify_all();
  }
  std::mutex mutex_;
  std::condition_variable changed_;
};

class Rig {
 public:
  explicit Rig(const broker::channel::ShardOptions& options = {},
               broker::PageSource* pages = nullptr) {
    shard_ = std::move(*broker::channel::Shard::create(options, service, records));
    shard_->supply(pages);
    thread_ = std::thread([this] { shard_->run(); });
  }
  ~Rig() {
    shard_->stop();
    thread_.join();
  }

  // Runs `work` on the shard's thread and waits for it.
  template <typename Work>
  void on_shard(const Work& work) {
    std::mutex mutex;
    std::condition_variable over;
    bool is_over = false;
    shard_->post([&] {
      work(*shard_);
      const std::lock_guard lock(mutex);
      is_over = true;
      over.notify_one();
    });
    std::unique_lock lock(mutex);
    over.wait(lock, [&] { return is_over; });
  }

  // Runs `work` in the loop's next turn, and does not wait.
  template <typename Work>
  void on_loop(const Work& work) {
    shard_->post([this, work] { work(*shard_); });
  }

  // A new session; the worker's end of its socket.
  sys::UniqueFd attach(uint32_t session, uint32_t function = 0, uint32_t concurrency = 1,
                       abi::PrincipalKind kind = abi::PrincipalKind::kFunction,
                       bool is_again = false) {
    auto pair = sys::create_seqpacket_pair();
    on_shard([&](broker::channel::Shard& shard) {
      auto down = shard.attach(
          {.session = {session},
           .epoch = 1,
           .principal = {.kind = kind, .function = {function}, .instance = 0, .name = "f"},
           .concurrency = concurrency,
           .socket = std::move(pair->first),
           .is_again = is_again,
           .payload_bytes_max = payload_bytes_max});
      ok_ = down.has_value() && shard.introduce({session}).has_value();
    });
    return std::move(pair->second);
  }
  bool attached() const { return ok_; }

  broker::channel::SessionMeters meters(uint32_t session) {
    broker::channel::SessionMeters found;
    on_shard([&](broker::channel::Shard& shard) {
      shard.each_session([&](const broker::channel::SessionReading& reading) {
        if (reading.session.value == session) {
          found = reading.meters;
        }
      });
    });
    return found;
  }

  Service service;
  Records records;
  uint32_t payload_bytes_max = abi::kPayloadBytesMax;  // of sessions that attach from now on

 private:
  std::unique_ptr<broker::channel::Shard> shard_;
  std::thread thread_;
  bool ok_ = false;
};

}  // namespace rtsup::testing
