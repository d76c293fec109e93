// A shared object that needs a symbol which is nowhere defined.
#include <rtsup/rtsup.h>

extern "C" int symbol_that_nobody_defines(int number);

extern "C" RTSUP_API int rtsup_handle(const rtsup_event* event, rtsup_reply* /*reply*/) {
  return symbol_that_nobody_defines(static_cast<int>(event->kind));
}
