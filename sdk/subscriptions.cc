#include "sdk/subscriptions.h"

namespace rtsup::sdk {

void Subscriptions::add(std::string_view component, std::string_view topic) {
  const std::lock_guard lock(mutex_);
  topics_.emplace(component, topic);
}

void Subscriptions::remove(std::string_view component, std::string_view topic) {
  const std::lock_guard lock(mutex_);
  topics_.erase({std::string(component), std::string(topic)});
}

void Subscriptions::each(const Visit& visit) const {
  std::set<std::pair<std::string, std::string>> topics;
  {
    const std::lock_guard lock(mutex_);
    topics = topics_;
  }
  for (const auto& [component, topic] : topics) {
    visit(component, topic);
  }
}

Subscriptions& subscriptions() noexcept {
  static Subscriptions the_subscriptions;
  return the_subscriptions;
}

}  // namespace rtsup::sdk
