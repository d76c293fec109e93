// FakePages: the runtime pages of unit tests: what services have written, by function.
// Threads: one at a time.
#pragma once

#include <map>
#include <string>

#include "broker/core/session_page.h"

namespace rtsup::broker::testing {

class FakePage final : public SessionPage {
 public:
  void set_config(std::span<const PageValue> values) noexcept override {
    config.clear();
    for (const PageValue& value : values) {
      config.emplace(value.name, value.value);
    }
    ++writings;
  }
  bool lease(const Sequence& sequence, Range range) noexcept override {
    if (!has_room(sequence)) {
      return false;
    }
    leases[std::string(sequence.component) + "/" + std::string(sequence.name)] = range;
    return true;
  }
  bool has_room(const Sequence& /*sequence*/) noexcept override { return room; }

  std::map<std::string, std::string> config;
  std::map<std::string, Range> leases;
  int writings = 0;
  bool room = true;
};

class FakePages final : public Pages {
 public:
  void supply(PageSource* /*source*/) override {}
  void each_page(FunctionIndex function, const std::function<void(SessionPage&)>& visit) override {
    for (auto [first, last] = pages.equal_range(function.value); first != last; ++first) {
      visit(first->second);
    }
  }
  std::multimap<uint32_t, FakePage> pages;
};

}  // namespace rtsup::broker::testing
