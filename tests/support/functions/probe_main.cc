// The probe as a program of its own: the other start shape.
#include <rtsup/rtsup.h>

int main() {
  rtsup_callbacks callbacks = {};
  callbacks.size = sizeof callbacks;
  callbacks.start = rtsup_start;
  callbacks.handle = rtsup_handle;
  callbacks.destroy = rtsup_destroy;
  return rtsup_run(&callbacks);
}
