// Subscriptions: what this process subscribed its function to, to be asked for again when a base
// comes that knows nothing of the one before.
// Owns:    copies of the names. As many as the bases accepted: at most 64 a component.
// Threads: any.
#pragma once

#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <utility>

namespace rtsup::sdk {

class Subscriptions {
 public:
  using Visit = std::function<void(const std::string& component, const std::string& topic)>;
  void add(std::string_view component, std::string_view topic);
  void remove(std::string_view component, std::string_view topic);
  void each(const Visit& visit) const;

 private:
  mutable std::mutex mutex_;
  std::set<std::pair<std::string, std::string>> topics_;
};

// Of this process, which has one session.
Subscriptions& subscriptions() noexcept;

}  // namespace rtsup::sdk
