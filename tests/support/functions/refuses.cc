// A function whose start() says no.
#include <rtsup/rtsup.h>

extern "C" RTSUP_API int rtsup_start(void) { return RTSUP_FAILED_PRECONDITION; }
extern "C" RTSUP_API int rtsup_handle(const rtsup_event* /*event*/, rtsup_reply* /*reply*/) {
  return RTSUP_OK;
}
