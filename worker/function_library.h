// FunctionLibrary: a function's shared object, loaded and looked through under the filter.
// Owns:    nothing that is given back: the object stays loaded until the process ends.
// Errors:  load() and start() say no; then failure() is the kind for the base and message() one
//          line for people: what, where, and what to do. Hostile: everything the object does, its
//          constructors included, runs from load() on; nothing it leaves behind is trusted.
// Threads: one at a time.
#pragma once

#include <array>

#include "schemas/session_generated.h"
#include "sdk/include/rtsup/rtsup.h"

namespace rtsup::worker {

class FunctionLibrary {
 public:
  using Handle = int (*)(const rtsup_event*, rtsup_reply*);

  // Both must outlive it: the file in the new root, the function's name in messages.
  FunctionLibrary(const char* path, const char* name) noexcept : path_(path), name_(name) {}

  [[nodiscard]] bool load() noexcept;
  // rtsup_start(), when there is one.
  [[nodiscard]] bool start() noexcept;
  void destroy() noexcept;  // rtsup_destroy(), when there is one

  [[nodiscard]] Handle handle() const noexcept { return handle_; }
  [[nodiscard]] abi::LoadFailure failure() const noexcept { return failure_; }
  [[nodiscard]] const char* message() const noexcept { return message_.data(); }

 private:
  void explain(abi::LoadFailure failure, const char* format, const char* detail) noexcept;

  const char* path_;
  const char* name_;
  int (*start_)() = nullptr;
  Handle handle_ = nullptr;
  void (*destroy_)() = nullptr;
  abi::LoadFailure failure_ = abi::LoadFailure::None;
  std::array<char, 1024> message_{};
};

}  // namespace rtsup::worker
