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
// Owns:    Answer and Entry hold memory that the base wrote; their views end with them.
// Errors:  every call gives a Result: a value, or a Status with the base's reason. Nothing throws,
//          except std::bad_alloc for text that is kept.
// Threads: calls from any thread; one object by one thread at a time.
#pragma once

#include <rtsup/rtsup.h>

#include <cstring>
#include <initializer_list>
#include <rtsup/call.hpp>
#include <rtsup/config.hpp>
#include <rtsup/function.hpp>
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

}  // namespace v1
}  // namespace rtsup

#include <rtsup/pending.hpp>  // calls begun now and awaited later: made of what stands above
