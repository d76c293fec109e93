// Topics. Included by <rtsup/rtsup.hpp>, which is the header to include.
// Owns:    the component's name.
// Errors:  every call gives a value or a Status with the base's reason.
// Threads: calls from any; one object by one thread at a time.
#pragma once

#include <rtsup/call.hpp>

namespace rtsup {
inline namespace v1 {

// A pubsub component of the manifest.
class Pubsub {
 public:
  explicit Pubsub(std::string component) : component_(std::move(component)) {}

  // Puts a message into the queue of every subscriber of the topic. Gives the message's id.
  Result<std::string> publish(std::string_view topic, Data data, std::string_view content_type = {},
                              const Options& options = {}) const {
    Answer answer;
    auto message = RTSUP_INIT(rtsup_message);
    message.content_type = detail::raw(content_type);
    const int code = rtsup_publish(detail::raw(component_), detail::raw(topic), data.raw(),
                                   &message, detail::RawOptions(options).get(), answer.raw());
    if (code != RTSUP_OK) {
      return answer.to_status(code);
    }
    return std::string(detail::view(answer.raw()->message_id));
  }
  rtsup_string name() const noexcept { return detail::raw(component_); }
  // For the function, whichever instance asks: each message goes to one of them. Best in start().
  Status subscribe(std::string_view topic, const Options& options = {}) const {
    return ask(&rtsup_subscribe, topic, options);
  }
  Status unsubscribe(std::string_view topic, const Options& options = {}) const {
    return ask(&rtsup_unsubscribe, topic, options);
  }

 private:
  template <typename Call>
  Status ask(Call call, std::string_view topic, const Options& options) const {
    Answer answer;
    const int code = call(detail::raw(component_), detail::raw(topic),
                          detail::RawOptions(options).get(), answer.raw());
    return code == RTSUP_OK ? Status() : answer.to_status(code);
  }
  std::string component_;
};

}  // namespace v1
}  // namespace rtsup
