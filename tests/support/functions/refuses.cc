// A function of the C++ API that says no: to its start, or, told so by its configuration, to an
// event.
#include <rtsup/rtsup.hpp>
#include <stdexcept>

class Refuses : public rtsup::Function {
  rtsup::Status start() override {
    const auto mode = rtsup::Config::get("mode");
    if (mode && mode->value_or("") == "throw") {
      return {};
    }
    return {RTSUP_FAILED_PRECONDITION, "NO_DATABASE", "nobody answers there"};
  }
  rtsup::Status handle(const rtsup::Event& /*event*/, rtsup::Reply& /*reply*/) override {
    throw std::runtime_error("boom");
  }
};

RTSUP_FUNCTION(Refuses)
