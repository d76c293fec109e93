// A shared object without rtsup_handle.
#include <rtsup/rtsup.h>

extern "C" RTSUP_API int rtsup_handel(const rtsup_event* /*event*/, rtsup_reply* /*reply*/) {
  return RTSUP_OK;
}
