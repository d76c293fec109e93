#include "worker/function_library.h"

#include <dlfcn.h>

#include <cstdio>
#include <cstring>

namespace rtsup::worker {
namespace {

// What glibc's dynamic linker says for a symbol that no library defines; there is no code for it.
constexpr const char* kUndefinedSymbol = "undefined symbol";

template <typename Function>
void find(void* library, const char* name, Function& function) noexcept {
  function = reinterpret_cast<Function>(::dlsym(library, name));
}

}  // namespace

bool FunctionLibrary::load() noexcept {
  void* const library = ::dlopen(path_, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): the host has one thread until the function is loaded
    const char* const reason = ::dlerror();
    const char* const detail = reason == nullptr ? "no reason given" : reason;
    if (std::strstr(detail, kUndefinedSymbol) != nullptr) {
      explain(abi::LoadFailure::UnresolvedSymbol,
              "function %s has an unresolved symbol: %s. Link the library that defines it into the "
              "function, or name it when linking (g++ -shared ... -lNAME).",
              detail);
    } else {
      explain(abi::LoadFailure::NotLoadable,
              "function %s can not be loaded: %s. It must be a shared object for this machine, and "
              "every library it needs must be inside it or in the system's library folder.",
              detail);
    }
    return false;
  }
  find(library, "rtsup_start", start_);
  find(library, "rtsup_handle", handle_);
  find(library, "rtsup_destroy", destroy_);
  if (handle_ == nullptr) {
    explain(
        abi::LoadFailure::EntryMissing,
        "function %s does not export rtsup_handle (%s). Include <rtsup/rtsup.h> and define it with "
        "C linkage: extern \"C\" RTSUP_API int rtsup_handle(const rtsup_event*, rtsup_reply*).",
        path_);
    return false;
  }
  return true;
}

bool FunctionLibrary::start() noexcept {
  if (start_ == nullptr) {
    return true;
  }
  const int status = start_();
  if (status == RTSUP_OK) {
    return true;
  }
  char detail[64];
  std::snprintf(detail, sizeof detail, "%d (%s)", status, rtsup_status_name(status));
  explain(abi::LoadFailure::StartFailed,
          "function %s did not start: rtsup_start returned %s. What it printed before says why.",
          detail);
  return false;
}

void FunctionLibrary::destroy() noexcept {
  if (destroy_ != nullptr) {
    destroy_();
  }
}

void FunctionLibrary::explain(abi::LoadFailure failure, const char* format,
                              const char* detail) noexcept {
  failure_ = failure;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
  std::snprintf(message_.data(), message_.size(), format, name_, detail);
#pragma GCC diagnostic pop
}

}  // namespace rtsup::worker
