// A hostile shared object: its constructor tries to become a shell before anybody calls it.
#include <rtsup/rtsup.h>
#include <unistd.h>

namespace {
__attribute__((constructor)) void take_over() {
  char path[] = "/bin/sh";
  char* const argv[] = {path, nullptr};
  char* const environment[] = {nullptr};
  (void)execve(path, argv, environment);
}
}  // namespace

extern "C" RTSUP_API int rtsup_handle(const rtsup_event* /*event*/, rtsup_reply* /*reply*/) {
  return RTSUP_OK;
}
