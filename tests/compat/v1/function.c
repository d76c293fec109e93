/* A function as somebody wrote it against the first public header, and never rebuilt: rtsup.h beside this file is frozen.
 * Answers "caller/method:payload", counted in state, and returns what it was told when the method is "fail". */
#include "rtsup.h"

#include <string.h>

static int started;

int rtsup_start(void) {
  started = 1;
  return RTSUP_OK;
}

static size_t append(char* to, size_t at, size_t room, const void* from, size_t length) {
  const size_t count = length < room - at ? length : room - at;
  if (count != 0) {
    memcpy(to + at, from, count);
  }
  return at + count;
}

int rtsup_handle(const rtsup_event* event, rtsup_reply* reply) {
  if (!started || event->size < sizeof(size_t) || event->kind != RTSUP_EVENT_INVOKE) {
    return RTSUP_UNIMPLEMENTED;
  }
  if (event->method.length == 4 && memcmp(event->method.data, "fail", 4) == 0) {
    rtsup_reply_fail(reply, "ASKED_TO", 8, "the caller wanted it", 20);
    return RTSUP_FAILED_PRECONDITION;
  }
  rtsup_answer answer = RTSUP_INIT(rtsup_answer);
  rtsup_state_write write = RTSUP_INIT(rtsup_state_write);
  write.concurrency = RTSUP_LAST_WRITE;
  const rtsup_bytes value = {event->data.data, event->data.length};
  const int status = rtsup_state_set(RTSUP_LITERAL("store"), RTSUP_LITERAL("last"), value, &write, NULL, &answer);
  rtsup_answer_release(&answer);
  if (status != RTSUP_OK) {
    return status;
  }
  char text[512];
  size_t length = append(text, 0, sizeof text, event->caller.data, event->caller.length);
  length = append(text, length, sizeof text, "/", 1);
  length = append(text, length, sizeof text, event->method.data, event->method.length);
  length = append(text, length, sizeof text, ":", 1);
  length = append(text, length, sizeof text, event->data.data, event->data.length);
  return rtsup_reply_set(reply, text, length);
}

void rtsup_destroy(void) { started = 0; }
