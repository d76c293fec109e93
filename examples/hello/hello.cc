// hello: answers "Hello, NAME!" to NAME. The smallest whole function: rtsup start calls it in a
// process of its own, with no more rights than policy.json gives.
#include <rtsup/rtsup.hpp>
#include <string>

class Hello : public rtsup::Function {
 public:
  rtsup::Status handle(const rtsup::Event& event, rtsup::Reply& reply) override {
    const std::string_view name = event.text().empty() ? "world" : event.text();
    return reply.set("Hello, " + std::string(name) + "!");
  }
};

RTSUP_FUNCTION(Hello)
