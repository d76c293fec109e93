// SessionPage: one session's runtime page (abi/runtime_page.h), as services write it. PageSource:
// who says which functions get a page and what stands on it at first. Pages: all that there are.
// Threads: the shard's only.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

#include "abi/base/ids.h"

namespace rtsup::broker {

struct PageValue {
  std::string_view name;
  std::string_view value;
};

class SessionPage {
 public:
  virtual ~SessionPage() = default;
  // In place of all values that were there. What has no room is left out: the worker calls for it.
  virtual void set_config(std::span<const PageValue> values) noexcept = 0;
  // Values of a sequence that are this session's from now on, in place of what is left of those
  // before; `first` is not smaller than any before. False: there is no room for the name.
  struct Sequence {
    std::string_view component;
    std::string_view name;
  };
  struct Range {
    uint64_t first = 0;
    uint64_t end = 0;
  };
  virtual bool lease(const Sequence& sequence, Range range) noexcept = 0;
  // Whether lease() of this name would find room.
  virtual bool has_room(const Sequence& sequence) noexcept = 0;
};

class PageSource {
 public:
  virtual ~PageSource() = default;
  // Whether sessions of the function that attach now get a page.
  virtual bool wants_page(FunctionIndex function) const = 0;
  // The worker has taken its page up.
  virtual void fill(FunctionIndex function, SessionPage& page) = 0;
};

class Pages {
 public:
  virtual ~Pages() = default;
  // One source, which must outlive the sessions. Without one no session has a page.
  virtual void supply(PageSource* source) = 0;
  // Of the function's sessions, those that have taken one up.
  virtual void each_page(FunctionIndex function,
                         const std::function<void(SessionPage&)>& visit) = 0;
};

}  // namespace rtsup::broker
