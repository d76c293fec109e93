// The C++ API of rtsup: header only, built on the C ABI of <rtsup/rtsup.h>. C++20.
//
//   class Cart : public rtsup::Function {
//     rtsup::Status handle(const rtsup::Event& event, rtsup::Reply& reply) override {
//       auto entry = store_.get(event.text());
//       if (!entry) return entry.status();
//       return reply.set(entry->bytes());
//     }
//     rtsup::State store_{"store"};
//   };
//   RTSUP_FUNCTION(Cart)
//
// Owns:    Answer and Entry hold memory that the base wrote; their views end with them. Event's
//          views end with handle().
// Errors:  every call gives a Result: a value, or a Status with the base's reason. Nothing throws,
//          except std::bad_alloc for text that is kept; what a function throws itself becomes
//          status UNKNOWN and never crosses the ABI.
// Threads: calls from any thread; one object by one thread at a time.
#pragma once

#include <rtsup/rtsup.h>

#include <cstring>
#include <initializer_list>
#include <rtsup/call.hpp>
#include <rtsup/config.hpp>
#include <rtsup/pubsub.hpp>
#include <rtsup/sequencer.hpp>

namespace rtsup {
inline namespace v1 {

// What state.get found. An absent key is no error: found() is false and bytes() is empty.
class Entry : public Answer {
 public:
  bool found() const noexcept { return raw_.found != 0; }
  std::string_view etag() const noexcept { return detail::view(raw_.etag); }
  // Unix time in milliseconds; 0 = never.
  int64_t expires_unix_ms() const noexcept { return raw_.expires_unix_ms; }
};

// How to write. With an etag: only if it is still that of the key. first_write without one: only if
// the key is absent.
struct Write {
  std::string_view etag = {};
  bool first_write = false;
  std::chrono::milliseconds ttl{0};
  std::string_view content_type = {};

  rtsup_state_write raw() const noexcept {
    auto made = RTSUP_INIT(rtsup_state_write);
    made.etag = detail::raw(etag);
    made.concurrency = first_write ? RTSUP_FIRST_WRITE : RTSUP_LAST_WRITE;
    made.ttl_ms = ttl.count();
    made.content_type = detail::raw(content_type);
    return made;
  }
};

// One key of a bulk call; status says how it went for this key alone.
struct Item {
  std::string_view key;
  Data value = {};
  Write write = {};
};

// The outcome of a bulk call: one entry for each key, in the order asked.
class Items : public Answer {
 public:
  struct View {
    std::string_view key;
    rtsup_status status;
    std::string_view reason;
    bool found;
    std::span<const std::byte> bytes;
    std::string_view etag;
    std::string_view content_type;
    int64_t expires_unix_ms;
    std::string_view text() const noexcept { return detail::text(bytes); }
  };
  size_t size() const noexcept { return items_.size(); }
  View operator[](size_t index) const noexcept {
    const rtsup_state_item& item = items_[index];
    return {detail::view(item.key),          static_cast<rtsup_status>(item.status),
            detail::view(item.reason),       item.found != 0,
            detail::view(item.value),        detail::view(item.etag),
            detail::view(item.content_type), item.expires_unix_ms};
  }
  // True when no key failed.
  bool all_ok() const noexcept {
    for (const rtsup_state_item& item : items_) {
      if (item.status != RTSUP_OK) {
        return false;
      }
    }
    return true;
  }
  void add(const Item& item) {
    auto raw = RTSUP_INIT(rtsup_state_item);
    raw.key = detail::raw(item.key);
    raw.value = item.value.raw();
    items_.push_back(raw);
    writes_.push_back(item.write.raw());
  }
  rtsup_state_item* raw_items() noexcept {
    for (size_t i = 0; i < items_.size(); ++i) {
      items_[i].write = &writes_[i];
    }
    return items_.data();
  }

 private:
  std::vector<rtsup_state_item> items_;
  std::vector<rtsup_state_write> writes_;
};

// A state component of the manifest.
class State {
 public:
  explicit State(std::string component) : component_(std::move(component)) {}
  rtsup_string name() const noexcept { return detail::raw(component_); }

  Result<Entry> get(std::string_view key, const Options& options = {}) const {
    Entry entry;
    const int code =
        rtsup_state_get(name(), detail::raw(key), detail::RawOptions(options).get(), entry.raw());
    if (code != RTSUP_OK) {
      return entry.to_status(code);
    }
    return entry;
  }
  // Gives the key's new etag.
  Result<std::string> set(std::string_view key, Data value, const Write& write = {},
                          const Options& options = {}) const {
    Entry answer;
    const rtsup_state_write how = write.raw();
    const int code = rtsup_state_set(name(), detail::raw(key), value.raw(), &how,
                                     detail::RawOptions(options).get(), answer.raw());
    if (code != RTSUP_OK) {
      return answer.to_status(code);
    }
    return std::string(answer.etag());
  }
  Status erase(std::string_view key, const Write& write = {}, const Options& options = {}) const {
    Answer answer;
    const rtsup_state_write how = write.raw();
    const int code = rtsup_state_delete(name(), detail::raw(key), &how,
                                        detail::RawOptions(options).get(), answer.raw());
    return code == RTSUP_OK ? Status() : answer.to_status(code);
  }
  Result<Items> get_many(std::span<const std::string_view> keys,
                         const Options& options = {}) const {
    Items items;
    for (const std::string_view key : keys) {
      items.add({.key = key});
    }
    return run(std::move(items), &rtsup_state_bulk_get, options);
  }
  Result<Items> set_many(std::span<const Item> writes, const Options& options = {}) const {
    return run(collect(writes), &rtsup_state_bulk_set, options);
  }
  Result<Items> erase_many(std::span<const Item> keys, const Options& options = {}) const {
    return run(collect(keys), &rtsup_state_bulk_delete, options);
  }

 private:
  static Items collect(std::span<const Item> source) {
    Items items;
    for (const Item& item : source) {
      items.add(item);
    }
    return items;
  }
  template <typename Call>
  Result<Items> run(Items items, Call call, const Options& options) const {
    const int code = call(name(), items.raw_items(), items.size(),
                          detail::RawOptions(options).get(), items.raw());
    if (code != RTSUP_OK) {
      return items.to_status(code);
    }
    return items;
  }
  std::string component_;
};

// Calls another function of the application.
inline Result<Answer> invoke(std::string_view function, std::string_view method, Data data = {},
                             std::string_view content_type = {}, const Options& options = {}) {
  Answer answer;
  const int code =
      rtsup_invoke(detail::raw(function), detail::raw(method), data.raw(),
                   detail::raw(content_type), detail::RawOptions(options).get(), answer.raw());
  if (code != RTSUP_OK) {
    return answer.to_status(code);
  }
  return answer;
}

// What a function is asked to do: to answer a call, or to take a message of a topic.
class Event {
 public:
  explicit Event(const rtsup_event& raw) noexcept : raw_(&raw) {}
  bool is_message() const noexcept { return raw_->kind == RTSUP_EVENT_MESSAGE; }
  // Of a message; empty and 0 otherwise.
  std::string_view component() const noexcept { return newer(&rtsup_event::component); }
  std::string_view topic() const noexcept { return newer(&rtsup_event::topic); }
  std::string_view message_id() const noexcept { return newer(&rtsup_event::message_id); }
  uint32_t attempt() const noexcept { return is_message() ? raw_->attempt : 0; }
  std::string_view caller() const noexcept { return detail::view(raw_->caller); }
  std::string_view method() const noexcept { return detail::view(raw_->method); }
  std::string_view content_type() const noexcept { return detail::view(raw_->content_type); }
  std::span<const std::byte> bytes() const noexcept { return detail::view(raw_->data); }
  std::string_view text() const noexcept { return detail::text(bytes()); }
  std::chrono::nanoseconds timeout() const noexcept {
    return std::chrono::nanoseconds(raw_->timeout_ns);
  }
  // Empty when there is no such entry.
  std::string_view metadata(std::string_view name) const noexcept {
    for (size_t i = 0; i < raw_->metadata_count; ++i) {
      if (detail::view(raw_->metadata[i].name) == name) {
        return detail::view(raw_->metadata[i].value);
      }
    }
    return {};
  }
  const rtsup_event& raw() const noexcept { return *raw_; }

 private:
  // An older base's struct ends before these.
  std::string_view newer(rtsup_string rtsup_event::*field) const noexcept {
    return is_message() ? detail::view(raw_->*field) : std::string_view();
  }
  const rtsup_event* raw_;
};

// The answer to an event.
class Reply {
 public:
  explicit Reply(rtsup_reply* raw) noexcept : raw_(raw) {}
  Status set(Data data) {
    const int code = rtsup_reply_set(raw_, data.bytes().data(), data.bytes().size());
    return code == RTSUP_OK ? Status() : Status(static_cast<rtsup_status>(code), "REPLY_NO_ROOM");
  }
  Status content_type(std::string_view type) {
    const int code = rtsup_reply_set_content_type(raw_, type.data(), type.size());
    return code == RTSUP_OK ? Status() : Status(static_cast<rtsup_status>(code), "CONTENT_TYPE");
  }
  // Room in the answer itself, to be filled in place; empty when there is none.
  std::span<std::byte> reserve(size_t length) noexcept {
    void* room = rtsup_reply_reserve(raw_, length);
    return {static_cast<std::byte*>(room), room == nullptr ? 0 : length};
  }
  rtsup_reply* raw() noexcept { return raw_; }

 private:
  rtsup_reply* raw_;
};

// A function: what to do once after loading, for each event, and once before the end.
class Function {
 public:
  virtual ~Function() = default;
  virtual Status start() { return {}; }
  virtual Status handle(const Event& event, Reply& reply) = 0;
};

namespace detail {
// The one object of the function that this shared object or program is.
template <typename Made>
struct Holder {
  static std::optional<Made>& object() noexcept {
    static std::optional<Made> held;
    return held;
  }
  static int start() noexcept {
    try {
      object().emplace();
      return static_cast<Function&>(*object()).start().code();
    } catch (...) {
      return RTSUP_UNKNOWN;
    }
  }
  static int handle(const rtsup_event* event, rtsup_reply* raw_reply) noexcept {
    try {
      Reply reply(raw_reply);
      const Status status = static_cast<Function&>(*object()).handle(Event(*event), reply);
      if (!status.ok()) {
        rtsup_reply_fail(raw_reply, status.reason().data(), status.reason().size(),
                         status.message().data(), status.message().size());
      }
      return status.code();
    } catch (...) {
      static constexpr std::string_view kReason = "FUNCTION_THREW";
      rtsup_reply_fail(raw_reply, kReason.data(), kReason.size(), nullptr, 0);
      return RTSUP_UNKNOWN;
    }
  }
  static void destroy() noexcept { object().reset(); }
};
}  // namespace detail

// For executables: int main() { return rtsup::run<Cart>(); }
template <typename Made>
int run() noexcept {
  auto callbacks = RTSUP_INIT(rtsup_callbacks);
  callbacks.start = &detail::Holder<Made>::start;
  callbacks.handle = &detail::Holder<Made>::handle;
  callbacks.destroy = &detail::Holder<Made>::destroy;
  return rtsup_run(&callbacks);
}

}  // namespace v1
}  // namespace rtsup

// Makes `Class` the function of this shared object. Once, at the top level of one source file.
#define RTSUP_FUNCTION(Class)                                                          \
  extern "C" int rtsup_start(void) { return ::rtsup::detail::Holder<Class>::start(); } \
  extern "C" int rtsup_handle(const rtsup_event* event, rtsup_reply* reply) {          \
    return ::rtsup::detail::Holder<Class>::handle(event, reply);                       \
  }                                                                                    \
  extern "C" void rtsup_destroy(void) { ::rtsup::detail::Holder<Class>::destroy(); }

#include <rtsup/pending.hpp>  // calls begun now and awaited later: made of what stands above
