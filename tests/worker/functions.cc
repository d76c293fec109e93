// Functions for the host's tests; each shared object is this file with one FUNCTION_* defined.
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>

#include "sdk/include/rtsup/rtsup.h"

namespace {

[[maybe_unused]] void say(const char* text) {
  std::puts(text);
  std::fflush(stdout);
}

}  // namespace

#if defined(FUNCTION_HOSTILE)
// Runs while the object is being loaded: must meet the filter already.
__attribute__((constructor)) static void attack() {
  say("constructor");
  ::syscall(SYS_unshare, 0x10000000);
  say("escaped");
}
#endif

#if defined(FUNCTION_UNRESOLVED)
extern "C" int nobody_defines_this();
#endif

#if !defined(FUNCTION_WITHOUT_ENTRY)
extern "C" RTSUP_API int rtsup_handle(const rtsup_event*, rtsup_reply*) {
#if defined(FUNCTION_UNRESOLVED)
  return nobody_defines_this();
#else
  return RTSUP_OK;
#endif
}
#endif

extern "C" RTSUP_API int rtsup_start() {
  say("start");
#if defined(FUNCTION_REFUSES)
  return RTSUP_FAILED_PRECONDITION;
#else
  return RTSUP_OK;
#endif
}

extern "C" RTSUP_API void rtsup_destroy() { say("destroy"); }
