// probe: a function that does what its input says, so that a test can put a base into any situation
// by `rtsup invoke probe --data "verb arguments..."`. Built twice, as a shared object and as an
// executable (probe_main.cc), and in a second version (RTSUP_PROBE_VERSION).
#include <fcntl.h>
#include <rtsup/rtsup.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/functions/probe_words.h"

#ifndef RTSUP_PROBE_VERSION
#define RTSUP_PROBE_VERSION "one"
#endif

namespace rtsup::probe {
namespace {

int get(std::string_view rest, rtsup_reply* reply) {
  const std::string_view component = next_word(rest);
  Answer answer;
  const int status = rtsup_state_get(as_string(component), as_string(rest), nullptr, &answer.raw);
  if (status != RTSUP_OK || answer.raw.found == 0) {
    return answer_text(reply, status == RTSUP_OK ? "absent" : outcome(status, answer));
  }
  return answer_text(reply, view(answer.raw.data));
}

int set(std::string_view rest, rtsup_reply* reply) {
  const std::string_view component = next_word(rest);
  const std::string_view key = next_word(rest);
  Answer answer;
  const int status = put(component, key, rest, answer);
  return answer_text(reply, outcome(status, answer));
}

// fill COMPONENT PREFIX FIRST COUNT: writes PREFIX<FIRST> and on, each holding its own key, and
// fails at the first write that was not acknowledged.
int fill(std::string_view rest, rtsup_reply* reply) {
  const std::string_view component = next_word(rest);
  const std::string_view prefix = next_word(rest);
  const long first = next_number(rest);
  const long count = next_number(rest);
  for (long i = first; i < first + count; ++i) {
    const std::string key = std::string(prefix) + std::to_string(i);
    Answer answer;
    const int status = put(component, key, key, answer);
    if (status != RTSUP_OK) {
      return answer_failure(reply, status, "NOT_ACKNOWLEDGED", key);
    }
  }
  return answer_text(reply, std::to_string(count));
}

// count COMPONENT PREFIX COUNT: how many of them are there and hold their own key.
int count(std::string_view rest, rtsup_reply* reply) {
  const std::string_view component = next_word(rest);
  const std::string_view prefix = next_word(rest);
  const long wanted = next_number(rest);
  long right = 0;
  for (long i = 0; i < wanted; ++i) {
    const std::string key = std::string(prefix) + std::to_string(i);
    Answer answer;
    const int status = rtsup_state_get(as_string(component), as_string(key), nullptr, &answer.raw);
    if (status != RTSUP_OK) {
      return status;
    }
    right += answer.raw.found != 0 && view(answer.raw.data) == key ? 1 : 0;
  }
  return answer_text(reply, std::to_string(right));
}

// call FUNCTION DATA: passes the data on, and answers with what came back.
int call(std::string_view rest, rtsup_reply* reply) {
  const std::string_view function = next_word(rest);
  Answer answer;
  const int status = rtsup_invoke(as_string(function), as_string(""), as_bytes(rest), as_string(""),
                                  nullptr, &answer.raw);
  if (status != RTSUP_OK) {
    return answer_text(reply, outcome(status, answer));
  }
  return answer_text(reply, view(answer.raw.data));
}

// config NAME: its value, read into a buffer of the function's own.
int config(std::string_view rest, rtsup_reply* reply) {
  char room[RTSUP_CONFIG_VALUE_MAX];
  Answer answer;
  const int status = rtsup_config_get(as_string(rest), room, sizeof room, nullptr, &answer.raw);
  if (status != RTSUP_OK || answer.raw.found == 0) {
    return answer_text(reply, status == RTSUP_OK ? "absent" : outcome(status, answer));
  }
  const bool from_page = answer.raw.data.data == room;
  return answer_text(reply, (from_page ? "page:" : "call:") + std::string(view(answer.raw.data)));
}

// watch NAME VALUE MS: reads until it has that value; how it ended. Makes no call.
int watch(std::string_view rest, rtsup_reply* reply) {
  const std::string_view name = next_word(rest);
  const std::string_view wanted = next_word(rest);
  timespec now{};
  (void)clock_gettime(CLOCK_MONOTONIC, &now);
  const int64_t end_ms = now.tv_sec * 1000 + now.tv_nsec / 1'000'000 + next_number(rest);
  for (;;) {
    char room[RTSUP_CONFIG_VALUE_MAX];
    Answer answer;
    const int status = rtsup_config_get(as_string(name), room, sizeof room, nullptr, &answer.raw);
    if (status != RTSUP_OK) {
      return answer_text(reply, outcome(status, answer));
    }
    if (view(answer.raw.data) == wanted) {
      return answer_text(reply, "seen");
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    if (now.tv_sec * 1000 + now.tv_nsec / 1'000'000 > end_ms) {
      return answer_text(reply, "not seen");
    }
  }
}

// number COMPONENT NAME COUNT: so many values, one by one: the first and the last; the outcome when
// one failed, or when they did not go up.
int number(std::string_view rest, rtsup_reply* reply) {
  const std::string_view component = next_word(rest);
  const std::string_view name = next_word(rest);
  const long wanted = next_number(rest);
  uint64_t first = 0;
  uint64_t last = 0;
  for (long i = 0; i < wanted; ++i) {
    uint64_t value = 0;
    Answer answer;
    const int status = rtsup_sequencer_next(as_string(component), as_string(name), 1, nullptr,
                                            &value, &answer.raw);
    if (status != RTSUP_OK || value <= last) {
      return answer_text(reply, status == RTSUP_OK ? "not greater" : outcome(status, answer));
    }
    first = i == 0 ? value : first;
    last = value;
  }
  return answer_text(reply, std::to_string(first) + " " + std::to_string(last));
}

int fail(std::string_view rest, rtsup_reply* reply) {
  const int status = static_cast<int>(next_number(rest));
  return answer_failure(reply, status, "ASKED_FOR", rest);
}

int print(std::string_view rest, rtsup_reply* reply) {
  const std::string line = std::string(rest) + "\n";
  const ssize_t put_out = write(1, line.data(), line.size());
  return answer_text(reply, put_out == static_cast<ssize_t>(line.size()) ? "printed" : "cut");
}

// Terminal escapes, a bell, a carriage return, a broken sequence and a right-to-left override.
int graffiti(std::string_view /*rest*/, rtsup_reply* reply) {
  static const char text[] = "start\033[2J\033]0;owned\a\rover\x9b\xff\xe2\x80\xae end\n";
  const ssize_t put_out = write(2, text, sizeof text - 1);
  return answer_text(reply, put_out > 0 ? "written" : "failed");
}

int sleep_ms(std::string_view rest, rtsup_reply* reply) {
  const long ms = next_number(rest);
  const timespec time{ms / 1000, ms % 1000 * 1'000'000};
  (void)nanosleep(&time, nullptr);
  return answer_text(reply, "slept");
}

// allocate MIB: touches so much memory.
int allocate(std::string_view rest, rtsup_reply* reply) {
  const auto bytes = static_cast<size_t>(next_number(rest)) << 20;
  void* const memory =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    return answer_text(reply, "refused");
  }
  memset(memory, 1, bytes);
  (void)munmap(memory, bytes);
  return answer_text(reply, "allocated");
}

int forbidden(std::string_view /*rest*/, rtsup_reply* reply) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  return answer_text(reply, fd >= 0 ? "got a socket" : "no socket");
}

// timed COUNT: the median of how long so many calls beyond the runtime's own take, in nanoseconds.
int timed(std::string_view rest, rtsup_reply* reply) {
  std::vector<int64_t> spans(static_cast<size_t>(next_number(rest)));
  for (int64_t& span : spans) {
    timespec before;
    timespec after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    (void)getppid();
    clock_gettime(CLOCK_MONOTONIC, &after);
    span = (after.tv_sec - before.tv_sec) * 1'000'000'000 + after.tv_nsec - before.tv_nsec;
  }
  std::sort(spans.begin(), spans.end());
  return answer_text(reply, std::to_string(spans.empty() ? 0 : spans[spans.size() / 2]));
}

// What no policy can allow.
int never(std::string_view /*rest*/, rtsup_reply* reply) {
  return answer_text(reply, unshare(CLONE_NEWUSER) == 0 ? "got a namespace" : "no namespace");
}

// big BYTES: an answer of that size, each byte telling its position.
int big(std::string_view rest, rtsup_reply* reply) {
  const auto bytes = static_cast<size_t>(next_number(rest));
  auto* const room = static_cast<char*>(rtsup_reply_reserve(reply, bytes));
  if (room == nullptr) {
    return RTSUP_RESOURCE_EXHAUSTED;
  }
  for (size_t i = 0; i < bytes; ++i) {
    room[i] = static_cast<char>('a' + i % 26);
  }
  return RTSUP_OK;
}

int environment(std::string_view rest, rtsup_reply* reply) {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): nobody sets a variable
  const char* const value = getenv(std::string(rest).c_str());
  return answer_text(reply, value == nullptr ? "unset" : value);
}

int echo(std::string_view rest, rtsup_reply* reply) { return answer_text(reply, rest); }

int version(std::string_view /*rest*/, rtsup_reply* reply) {
  return answer_text(reply, RTSUP_PROBE_VERSION);
}

int leave(std::string_view rest, rtsup_reply* /*reply*/) {
  _exit(static_cast<int>(next_number(rest)));
}

// What the compiler puts between a frame's buffers and its return address.
int canary(std::string_view /*rest*/, rtsup_reply* reply) {
  uint64_t value = 0;
#ifdef __x86_64__
  asm volatile("movq %%fs:0x28, %0" : "=r"(value));
#endif
  return answer_text(reply, std::to_string(value));
}

// append PATH TEXT: answers with the whole file after that.
int append(std::string_view rest, rtsup_reply* reply) {
  const std::string path(next_word(rest));
  const int fd = open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
  if (fd < 0) {
    return answer_text(reply, "can not be opened");
  }
  char text[256];
  ssize_t length = read(fd, text, sizeof text / 2);
  if (length < 0 || rest.size() > sizeof text / 2 ||
      write(fd, rest.data(), rest.size()) != static_cast<ssize_t>(rest.size())) {
    length = 0;
  }
  memcpy(text + length, rest.data(), rest.size());
  (void)close(fd);
  return answer_text(reply, {text, static_cast<size_t>(length) + rest.size()});
}

int crash(std::string_view /*rest*/, rtsup_reply* /*reply*/) { abort(); }

// publish COMPONENT TOPIC TEXT: answers with the message's id.
int publish(std::string_view rest, rtsup_reply* reply) {
  const std::string_view component = next_word(rest);
  const std::string_view topic = next_word(rest);
  Answer answer;
  const int status = rtsup_publish(as_string(component), as_string(topic), as_bytes(rest), nullptr,
                                   nullptr, &answer.raw);
  return status == RTSUP_OK ? answer_text(reply, view(answer.raw.message_id))
                            : answer_text(reply, outcome(status, answer));
}

// publish_lines COMPONENT TOPIC LINES: each a message, one right behind the other.
int publish_lines(std::string_view rest, rtsup_reply* reply) {
  const std::string_view component = next_word(rest);
  const std::string_view topic = next_word(rest);
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    Answer answer;
    const int status = rtsup_publish(as_string(component), as_string(topic), as_bytes(line),
                                     nullptr, nullptr, &answer.raw);
    if (status != RTSUP_OK) {
      return answer_text(reply, outcome(status, answer));
    }
  }
  return answer_text(reply, "OK");
}

int subscribe(std::string_view rest, rtsup_reply* reply) {
  const std::string_view component = next_word(rest);
  Answer answer;
  const int status = rtsup_subscribe(as_string(component), as_string(rest), nullptr, &answer.raw);
  return answer_text(reply, outcome(status, answer));
}

int unsubscribe(std::string_view rest, rtsup_reply* reply) {
  const std::string_view component = next_word(rest);
  Answer answer;
  const int status = rtsup_unsubscribe(as_string(component), as_string(rest), nullptr, &answer.raw);
  return answer_text(reply, outcome(status, answer));
}

// Messages that came, one line each, since the last time it was asked. A message "refuse N TEXT" is
// acknowledged with its attempt number N+1, one that says "abort" ends the process, and "pass TEXT"
// is published again, to the topic "passed".
char messages[4096];
size_t messages_length = 0;

int received(std::string_view /*rest*/, rtsup_reply* reply) {
  const std::string_view text(messages, messages_length);
  const int status = answer_text(reply, text);
  messages_length = 0;
  return status;
}

int take_message(const rtsup_event* event) {
  std::string_view rest = view(event->data);
  std::string_view words = rest;
  const std::string_view word = next_word(words);
  if (word == "abort") {
    abort();
  }
  if (word == "refuse" && static_cast<long>(event->attempt) <= next_number(words)) {
    return RTSUP_ABORTED;
  }
  if (word == "pass") {
    Answer answer;
    return rtsup_publish(as_string("bus"), as_string("passed"), as_bytes(words), nullptr, nullptr,
                         &answer.raw);
  }
  const int length =
      snprintf(messages + messages_length, sizeof messages - messages_length, "%.*s %.*s %u %.*s\n",
               static_cast<int>(event->topic.length), event->topic.data,
               static_cast<int>(event->caller.length), event->caller.data, event->attempt,
               static_cast<int>(rest.size()), rest.data());
  if (length < 0 || static_cast<size_t>(length) >= sizeof messages - messages_length) {
    return RTSUP_RESOURCE_EXHAUSTED;
  }
  messages_length += static_cast<size_t>(length);
  return RTSUP_OK;
}

struct Verb {
  std::string_view name;
  int (*run)(std::string_view rest, rtsup_reply* reply);
};

constexpr Verb kVerbs[] = {
    {"abort", crash},
    {"allocate", allocate},
    {"append", append},
    {"big", big},
    {"call", call},
    {"canary", canary},
    {"config", config},
    {"count", count},
    {"echo", echo},
    {"environment", environment},
    {"exit", leave},
    {"fail", fail},
    {"fill", fill},
    {"forbidden", forbidden},
    {"get", get},
    {"graffiti", graffiti},
    {"hammer", hammer},
    {"hammered", hammered},
    {"never", never},
    {"number", number},
    {"print", print},
    {"publish", publish},
    {"publish_lines", publish_lines},
    {"received", received},
    {"set", set},
    {"sleep", sleep_ms},
    {"subscribe", subscribe},
    {"timed", timed},
    {"unsubscribe", unsubscribe},
    {"version", version},
    {"watch", watch},
};

int handle(const rtsup_event* event, rtsup_reply* reply) {
  if (event->kind == RTSUP_EVENT_MESSAGE) {
    return take_message(event);
  }
  std::string_view rest = view(event->data);
  const std::string_view name = next_word(rest);
  for (const Verb& verb : kVerbs) {
    if (verb.name == name) {
      return verb.run(rest, reply);
    }
  }
  // What the event itself says.
  if (name == "caller") {
    return answer_text(reply, view(event->caller));
  }
  if (name == "size") {
    return answer_text(reply, std::to_string(event->data.length));
  }
  return answer_failure(reply, RTSUP_INVALID_ARGUMENT, "UNKNOWN_VERB", name);
}

}  // namespace
}  // namespace rtsup::probe

extern "C" {

RTSUP_API int rtsup_start(void) {
  static const char text[] = "probe started\n";
  return write(1, text, sizeof text - 1) > 0 ? RTSUP_OK : RTSUP_INTERNAL;
}

RTSUP_API int rtsup_handle(const rtsup_event* event, rtsup_reply* reply) {
  return rtsup::probe::handle(event, reply);
}

RTSUP_API void rtsup_destroy(void) {
  static const char text[] = "probe destroyed\n";
  const ssize_t ignored = write(1, text, sizeof text - 1);
  (void)ignored;
}
}
