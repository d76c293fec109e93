// PageSupply: which functions' sessions get a runtime page, and what stands on it at first: the
// configuration. Sequences are leased when they are first asked for.
// Owns:    nothing; the service must outlive it.
// Threads: the shard's only.
#pragma once

#include <vector>

#include "broker/services/config_service.h"

namespace rtsup::broker {

class PageSupply final : public PageSource {
 public:
  // `leases`: by function, whether a sequencer is granted to it.
  PageSupply(ConfigService& config, std::vector<bool> leases)
      : config_(config), leases_(std::move(leases)) {}

  bool wants_page(FunctionIndex function) const override {
    return config_.has_values(function) || leases_[function.value];
  }
  void fill(FunctionIndex function, SessionPage& page) override { config_.fill(function, page); }

 private:
  ConfigService& config_;
  const std::vector<bool> leases_;
};

}  // namespace rtsup::broker
