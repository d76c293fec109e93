// What the verbs of probe share: words of a request, answers, and calls that are told as text.
#pragma once

#include <rtsup/rtsup.h>
#include <stdlib.h>

#include <string>
#include <string_view>

namespace rtsup::probe {

inline rtsup_string as_string(std::string_view text) { return {text.data(), text.size()}; }
inline rtsup_bytes as_bytes(std::string_view text) { return {text.data(), text.size()}; }
inline std::string_view view(rtsup_bytes bytes) {
  return {static_cast<const char*>(bytes.data), bytes.length};
}
inline std::string_view view(rtsup_string text) { return {text.data, text.length}; }

// Cuts the first word off.
inline std::string_view next_word(std::string_view& rest) {
  const size_t space = rest.find(' ');
  const std::string_view word = rest.substr(0, space);
  rest.remove_prefix(space == std::string_view::npos ? rest.size() : space + 1);
  return word;
}

inline long next_number(std::string_view& rest) {
  return strtol(std::string(next_word(rest)).c_str(), nullptr, 10);
}

inline int answer_text(rtsup_reply* reply, std::string_view text) {
  return rtsup_reply_set(reply, text.data(), text.size());
}

inline int answer_failure(rtsup_reply* reply, int status, std::string_view reason,
                          std::string_view text) {
  (void)rtsup_reply_fail(reply, reason.data(), reason.size(), text.data(), text.size());
  return status;
}

// Releases the answer of a call, whatever its status.
struct Answer {
  rtsup_answer raw = {};
  Answer() { raw.size = sizeof raw; }
  Answer(const Answer&) = delete;
  Answer& operator=(const Answer&) = delete;
  ~Answer() { rtsup_answer_release(&raw); }
};

// "OK", or "PERMISSION_DENIED NOT_GRANTED": what the call ended with, as the function sees it.
inline std::string outcome(int status, const Answer& answer) {
  std::string text = rtsup_status_name(status);
  if (status != RTSUP_OK) {
    text += " ";
    text += view(answer.raw.reason);
  }
  return text;
}

inline int put(std::string_view component, std::string_view key, std::string_view value,
               Answer& answer) {
  return rtsup_state_set(as_string(component), as_string(key), as_bytes(value), nullptr, nullptr,
                         &answer.raw);
}

// Verbs that have a file of their own.
int hammer(std::string_view rest, rtsup_reply* reply);
int hammered(std::string_view rest, rtsup_reply* reply);

}  // namespace rtsup::probe
