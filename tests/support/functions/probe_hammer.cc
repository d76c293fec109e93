// The verbs by which a test finds out what a function sees when its base is replaced under load.
#include <stdint.h>
#include <time.h>

#include "tests/support/functions/probe_words.h"

namespace rtsup::probe {
namespace {

// What became of the writes of the last `hammer`, one letter each: o acknowledged, a UNAVAILABLE
// (not taken up), u UNKNOWN with OUTCOME_UNKNOWN, x anything else.
std::string written;
std::string hammer_prefix;
long reads_made = 0;
long reads_failed = 0;
std::string first_failure;

std::string hammer_key(size_t i) { return hammer_prefix + std::to_string(i); }

char letter_of(int status, const Answer& answer) {
  if (status == RTSUP_OK) {
    return 'o';
  }
  if (status == RTSUP_UNAVAILABLE && view(answer.raw.reason) == "BASE_GONE") {
    return 'a';
  }
  return status == RTSUP_UNKNOWN && view(answer.raw.reason) == "OUTCOME_UNKNOWN" ? 'u' : 'x';
}

void read_back(std::string_view component, std::string_view key) {
  Answer answer;
  const int status = rtsup_state_get(as_string(component), as_string(key), nullptr, &answer.raw);
  ++reads_made;
  if (status != RTSUP_OK || answer.raw.found == 0 || view(answer.raw.data) != key) {
    ++reads_failed;
    first_failure += first_failure.empty() ? "read " + outcome(status, answer) : "";
  }
}

// More than a region holds: it goes through a window each way.
void read_much() {
  static const std::string text(100'000, 'm');
  Answer answer;
  const int status = rtsup_echo(as_bytes(text), nullptr, &answer.raw);
  ++reads_made;
  if (status != RTSUP_OK || view(answer.raw.data) != text) {
    ++reads_failed;
    first_failure += first_failure.empty() ? "echo " + outcome(status, answer) : "";
  }
}

}  // namespace

// hammer COMPONENT PREFIX MS: writes a key, reads the last one that was acknowledged, and has
// something large echoed, again and again for so long.
int hammer(std::string_view rest, rtsup_reply* reply) {
  const std::string_view component = next_word(rest);
  hammer_prefix = next_word(rest);
  written.clear();
  first_failure.clear();
  reads_made = reads_failed = 0;
  timespec now{};
  (void)clock_gettime(CLOCK_MONOTONIC, &now);
  const int64_t end_ms = now.tv_sec * 1000 + now.tv_nsec / 1'000'000 + next_number(rest);
  std::string last;
  while (now.tv_sec * 1000 + now.tv_nsec / 1'000'000 < end_ms) {
    const std::string key = hammer_key(written.size());
    Answer answer;
    const int status = put(component, key, key, answer);
    written += letter_of(status, answer);
    if (written.back() == 'x' && first_failure.empty()) {
      first_failure = "write " + outcome(status, answer);
    }
    last = status == RTSUP_OK ? key : last;
    if (!last.empty()) {
      read_back(component, last);
    }
    read_much();
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
  }
  return answer_text(reply, "hammered");
}

// hammered COMPONENT: looks for what the last one wrote. "fine READS WRITES UNAVAILABLE UNKNOWN",
// or what is wrong.
int hammered(std::string_view rest, rtsup_reply* reply) {
  long counts[3] = {};
  for (size_t i = 0; i < written.size(); ++i) {
    Answer answer;
    const std::string key = hammer_key(i);
    const int status = rtsup_state_get(as_string(rest), as_string(key), nullptr, &answer.raw);
    const bool found = answer.raw.found != 0;
    if (status != RTSUP_OK || written[i] == 'x' || (written[i] == 'o' && !found) ||
        (written[i] == 'a' && found)) {
      std::string found_out = key + " ";
      found_out += written[i];
      found_out += found ? " is there: " : " is absent: ";
      found_out += outcome(status, answer) + " ";
      found_out += first_failure;
      return answer_text(reply, found_out);
    }
    counts[0] += written[i] == 'o' ? 1 : 0;
    counts[1] += written[i] == 'a' ? 1 : 0;
    counts[2] += written[i] == 'u' ? 1 : 0;
  }
  if (reads_failed != 0) {
    return answer_text(reply, std::to_string(reads_failed) + " reads failed: " + first_failure);
  }
  return answer_text(reply, "fine " + std::to_string(reads_made) + " " + std::to_string(counts[0]) +
                                " " + std::to_string(counts[1]) + " " + std::to_string(counts[2]));
}

}  // namespace rtsup::probe
