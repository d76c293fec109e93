// BaseEnd: the broker's end of a session at a time: the real Session on a clock of its own here,
//          with a service, event sinks and an observer that demand of it what its header promises.
// Owns:    the session and everything that a shard would give it. The script is borrowed.
// Errors:  a broken promise breaks a requirement (require.h).
// Threads: one.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "broker/channel/session.h"
#include "tests/fuzz/frames/model.h"
#include "tests/fuzz/script.h"

namespace rtsup::fuzz {

class BaseEnd final : public broker::CallHandler,
                      public broker::channel::SessionObserver,
                      public broker::Directory::Observer {
 public:
  BaseEnd();
  ~BaseEnd() override;

  // A new session, on the same shard.
  void begin(Script& script, bool is_operator);

  // What the next look at the worker's region must come to.
  void expect(const Verdict& verdict);
  void take_up_one();
  // The rest of a shard's turn: what became due, and what is to be said and sent.
  void settle();
  void pass_time(uint64_t elapsed_ns);
  void ring();
  void send_event();
  void answer_a_call();
  void drain() { session_->drain(); }
  // Ends the session as the death of its worker does; nothing of it may be left.
  void finish();

  [[nodiscard]] bool is_over() const noexcept { return reason_.has_value() || is_gone_; }
  // Why the session was ended; nothing when it was not, or went by itself.
  [[nodiscard]] std::optional<abi::ViolationReason> reason() const noexcept { return reason_; }
  [[nodiscard]] bool holds_calls() const noexcept { return !calls_.empty(); }
  [[nodiscard]] bool was_handled() const noexcept { return was_handled_; }
  [[nodiscard]] uint32_t payload_bytes_max() const noexcept { return options_.payload_bytes_max; }
  bool detaches_in_callbacks = false;

  // The service and the observer.
  void handle(broker::Call& call) override;
  void ready(SessionId session) override;
  void failed(SessionId session, uint8_t failure) override;
  void drained(SessionId session) override;
  void violated(SessionId session, abi::ViolationReason reason, uint64_t number) override;
  void gone(SessionId session, const broker::Principal& principal,
            const broker::channel::SessionMeters& meters) override;
  void room(FunctionIndex function) override;
  void down(FunctionIndex /*function*/) override {}

 private:
  struct Sink final : broker::EventSink {
    void answered(Status status, std::span<const std::byte> metadata,
                  const broker::Payload& payload) override;
    BaseEnd* base = nullptr;
    bool is_sent = false;
    bool was_refused = false;
    bool was_answered = false;
  };
  struct Held {
    broker::Call* call = nullptr;
    std::vector<std::byte> metadata;  // as it was when the call came
  };
  void answer(const Held& held);
  void called_back();

  Script* script_ = nullptr;
  broker::channel::ShardOptions options_;
  broker::channel::ShardCore core_;
  std::unique_ptr<broker::channel::Session> session_;
  Verdict expected_;
  bool was_handled_ = false;
  bool is_gone_ = false;
  std::optional<abi::ViolationReason> reason_;
  std::vector<Held> calls_;
  std::vector<std::unique_ptr<Sink>> sinks_;
};

}  // namespace rtsup::fuzz
