// Calls begun now and awaited later: many of one thread under way at a time, for one wake-up of the
// base. C++20.
//
//   std::vector<rtsup::Pending<rtsup::Entry>> gets;
//   for (const auto& key : keys) gets.push_back(rtsup::begin_get(store, key));
//   for (auto& get : gets) {
//     auto entry = get.wait();
//     ...
//   }
//
// Owns:    a Pending holds a call under way; destroyed before wait(), it gives the call up.
// Units:   64 calls of a process at a time; an answer that is still held counts too.
// Errors:  a call that could not begin says why from wait(): RESOURCE_EXHAUSTED, TOO_MANY_CALLS
//          means that others must be awaited first.
// Threads: any; one Pending by one thread at a time.
#pragma once

#include <rtsup/rtsup.hpp>

namespace rtsup {
inline namespace v1 {

template <typename Value>
class [[nodiscard]] Pending {
 public:
  explicit Pending(const rtsup_call& begun) noexcept : call_(begun) {}
  Pending(Pending&& other) noexcept : call_(std::exchange(other.call_, RTSUP_INIT(rtsup_call))) {}
  Pending& operator=(Pending&& other) noexcept {
    std::swap(call_, other.call_);
    return *this;
  }
  ~Pending() { rtsup_call_give_up(&call_); }

  // Whether it began. False also once it was awaited.
  explicit operator bool() const noexcept { return call_.handle != 0; }
  // Once.
  Result<Value> wait() {
    Value value;
    const int code = rtsup_wait(&call_, value.raw());
    if (code != RTSUP_OK) {
      return value.to_status(code);
    }
    return value;
  }

 private:
  rtsup_call call_;
};

// Each begins the call of its name; wait() says what became of it, also when it could not begin.
inline Pending<Entry> begin_get(const State& state, std::string_view key,
                                const Options& options = {}) {
  auto call = RTSUP_INIT(rtsup_call);
  (void)rtsup_state_get_begin(state.name(), detail::raw(key), detail::RawOptions(options).get(),
                              &call);
  return Pending<Entry>(call);
}

// The answer's etag() is the key's new one.
inline Pending<Entry> begin_set(const State& state, std::string_view key, Data value,
                                const Write& write = {}, const Options& options = {}) {
  auto call = RTSUP_INIT(rtsup_call);
  const rtsup_state_write how = write.raw();
  (void)rtsup_state_set_begin(state.name(), detail::raw(key), value.raw(), &how,
                              detail::RawOptions(options).get(), &call);
  return Pending<Entry>(call);
}

inline Pending<Answer> begin_erase(const State& state, std::string_view key,
                                   const Write& write = {}, const Options& options = {}) {
  auto call = RTSUP_INIT(rtsup_call);
  const rtsup_state_write how = write.raw();
  (void)rtsup_state_delete_begin(state.name(), detail::raw(key), &how,
                                 detail::RawOptions(options).get(), &call);
  return Pending<Answer>(call);
}

inline Pending<Answer> begin_invoke(std::string_view function, std::string_view method,
                                    Data data = {}, std::string_view content_type = {},
                                    const Options& options = {}) {
  auto call = RTSUP_INIT(rtsup_call);
  (void)rtsup_invoke_begin(detail::raw(function), detail::raw(method), data.raw(),
                           detail::raw(content_type), detail::RawOptions(options).get(), &call);
  return Pending<Answer>(call);
}

// The answer's raw()->message_id is the message's id.
inline Pending<Answer> begin_publish(const Pubsub& pubsub, std::string_view topic, Data data,
                                     std::string_view content_type = {},
                                     const Options& options = {}) {
  auto call = RTSUP_INIT(rtsup_call);
  auto message = RTSUP_INIT(rtsup_message);
  message.content_type = detail::raw(content_type);
  (void)rtsup_publish_begin(pubsub.name(), detail::raw(topic), data.raw(), &message,
                            detail::RawOptions(options).get(), &call);
  return Pending<Answer>(call);
}

// Wakes the base for what was begun, if it sleeps; wait() does so too.
inline void flush() noexcept { rtsup_flush(); }

}  // namespace v1
}  // namespace rtsup
