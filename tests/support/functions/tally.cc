// tally: a function whose every call can be counted afterwards, so that one that was lost or made
// twice does not balance. By its data:
//   "add NAME-ID"    adds one to both counters NAME (state.memory "fast", state.sqlite "safe") with
//                    the etag read before, writes a new key, takes a number of a sequence,
//                    publishes "quick NAME-ID"  adds one to the counter in state.memory "loop"
//                         a thread of its own adds one to both counters "loop", again and again
//                    "end"            stops it: "MADE FAILED REASON" "count KEY"      what the two
//                    counters hold: "FAST SAFE" "subscribe"      to what all of them publish
//                    "received"       messages: "ALL DISTINCT" The status says whether a call
//                    failed, the reason which.
#include <pthread.h>
#include <rtsup/rtsup.h>
#include <stdlib.h>

#include <atomic>
#include <set>
#include <string>
#include <string_view>

namespace {

rtsup_string as_string(std::string_view text) { return {text.data(), text.size()}; }
rtsup_bytes as_bytes(std::string_view text) { return {text.data(), text.size()}; }
std::string_view view(rtsup_bytes bytes) {
  return {static_cast<const char*>(bytes.data), bytes.length};
}
std::string_view view(rtsup_string text) { return {text.data, text.length}; }

struct Answer {
  rtsup_answer raw = {};
  Answer() { raw.size = sizeof raw; }
  Answer(const Answer&) = delete;
  Answer& operator=(const Answer&) = delete;
  ~Answer() { rtsup_answer_release(&raw); }
};

// Why a call failed; empty when it did not.
std::string failure(int status, const Answer& answer, const char* what) {
  if (status == RTSUP_OK) {
    return {};
  }
  return std::string(what) + " " + rtsup_status_name(status) + " " +
         std::string(view(answer.raw.reason));
}

std::string write(std::string_view component, std::string_view key, std::string_view value,
                  std::string_view etag) {
  auto how = RTSUP_INIT(rtsup_state_write);
  how.etag = as_string(etag);
  how.concurrency = RTSUP_FIRST_WRITE;  // without an etag: it must not be there yet
  Answer answer;
  const int status = rtsup_state_set(as_string(component), as_string(key), as_bytes(value), &how,
                                     nullptr, &answer.raw);
  return failure(status, answer, "set");
}

// Nobody else writes the key: an etag that does not match means that a call was made twice.
std::string add_one(std::string_view component, std::string_view key) {
  long count = 0;
  std::string etag;
  {
    Answer answer;
    const int status = rtsup_state_get(as_string(component), as_string(key), nullptr, &answer.raw);
    if (status != RTSUP_OK) {
      return failure(status, answer, "get");
    }
    count = strtol(std::string(view(answer.raw.data)).c_str(), nullptr, 10);
    etag = view(answer.raw.etag);
  }
  return write(component, key, std::to_string(count + 1), etag);
}

std::string take_number() {
  static uint64_t last = 0;
  uint64_t value = 0;
  Answer answer;
  const int status =
      rtsup_sequencer_next(as_string("ids"), as_string("n"), 1, nullptr, &value, &answer.raw);
  if (status != RTSUP_OK || value <= last) {
    return status == RTSUP_OK ? "a number came again" : failure(status, answer, "next");
  }
  last = value;
  return {};
}

std::string publish(std::string_view text) {
  Answer answer;
  const int status = rtsup_publish(as_string("bus"), as_string("ticks"), as_bytes(text), nullptr,
                                   nullptr, &answer.raw);
  return failure(status, answer, "publish");
}

std::string add(std::string_view id) {
  const std::string_view name = id.substr(0, id.find('-'));
  for (const char* const component : {"fast", "safe"}) {
    if (std::string why = add_one(component, name); !why.empty()) {
      return why;
    }
  }
  std::string why = write("fast", "id/" + std::string(id), id, "");
  if (why.empty()) {
    why = take_number();
  }
  return why.empty() ? publish(id) : why;
}

std::atomic<bool> looping{false};
pthread_t looper;
long made = 0;
long failed = 0;
std::string first_failure;

void* loop(void* /*unused*/) {
  while (looping.load()) {
    for (const char* const component : {"fast", "safe"}) {
      const std::string why = add_one(component, "loop");
      ++made;
      failed += why.empty() ? 0 : 1;
      first_failure = first_failure.empty() ? why : first_failure;
    }
  }
  return nullptr;
}

std::string counter(std::string_view component, std::string_view key) {
  Answer answer;
  const int status = rtsup_state_get(as_string(component), as_string(key), nullptr, &answer.raw);
  return status == RTSUP_OK ? std::string(view(answer.raw.data)) : rtsup_status_name(status);
}

std::set<std::string> distinct;
size_t messages = 0;

int answer_text(rtsup_reply* reply, std::string_view text) {
  return rtsup_reply_set(reply, text.data(), text.size());
}

int answer_failure(rtsup_reply* reply, std::string_view why) {
  (void)rtsup_reply_fail(reply, "TALLY", 5, why.data(), why.size());
  return RTSUP_ABORTED;
}

}  // namespace

extern "C" {

RTSUP_API int rtsup_handle(const rtsup_event* event, rtsup_reply* reply) {
  const std::string_view data = view(event->data);
  if (event->kind == RTSUP_EVENT_MESSAGE) {
    ++messages;
    distinct.emplace(data);
    return RTSUP_OK;
  }
  if (data.substr(0, 4) == "add ") {
    const std::string why = add(data.substr(4));
    return why.empty() ? RTSUP_OK : answer_failure(reply, why);
  }
  if (data.substr(0, 6) == "quick ") {
    const std::string_view id = data.substr(6);
    const std::string why = add_one("fast", id.substr(0, id.find('-')));
    return why.empty() ? RTSUP_OK : answer_failure(reply, why);
  }
  if (data == "loop") {
    looping.store(true);
    return pthread_create(&looper, nullptr, loop, nullptr) == 0 ? RTSUP_OK : RTSUP_INTERNAL;
  }
  if (data == "end") {
    looping.store(false);
    (void)pthread_join(looper, nullptr);
    return answer_text(reply,
                       std::to_string(made) + " " + std::to_string(failed) + " " + first_failure);
  }
  if (data.substr(0, 6) == "count ") {
    return answer_text(reply,
                       counter("fast", data.substr(6)) + " " + counter("safe", data.substr(6)));
  }
  if (data == "received") {
    return answer_text(reply, std::to_string(messages) + " " + std::to_string(distinct.size()));
  }
  if (data == "subscribe") {
    Answer answer;
    const int status = rtsup_subscribe(as_string("bus"), as_string("ticks"), nullptr, &answer.raw);
    return status;
  }
  return answer_failure(reply, "unknown");
}
}
