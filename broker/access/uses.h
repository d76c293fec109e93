// Uses: tells of what functions that are learned ask of the base: each operation with each name,
// whether it is granted, once.
// Owns:    the kinds of functions that are learned; nothing of others. The sink must outlive it.
// Units:   a kind is (operation, granted or not, component, target). A function has at most
//          kNamesMax kinds; beyond it only (operation, granted or not, component) counts, of which
//          there are at most kPairsMax, and the 1st, 16th, 256th that found no room.
// Errors:  none. Hostile: names are the function's. They are cut and hashed, never looked into.
// Threads: the shard's only.
// Source:  docs/adr/0026-learning.md.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_set>
#include <vector>

#include "broker/access/denials.h"
#include "broker/access/subject.h"

namespace rtsup::broker {

class Uses {
 public:
  static constexpr size_t kNamesMax = 512;
  static constexpr size_t kPairsMax = 64;

  Uses(size_t functions, DenialSink& sink) : kinds_(functions), sink_(sink) {}

  // Begins anew, or ends.
  void learn(FunctionIndex function, bool on);
  // Whether any function is learned: nothing else is asked on the way of a call.
  [[nodiscard]] bool is_on() const noexcept { return learned_ != 0; }
  // The call's table has passed the verifier.
  void note(const Call& call, bool is_granted);

 private:
  struct Kinds {
    std::unordered_set<uint64_t> names;
    std::unordered_set<uint64_t> pairs;
    uint64_t unlisted = 0;
  };
  void note(const Call& call, const Subject& subject, bool is_granted, Kinds& kinds);

  std::vector<std::unique_ptr<Kinds>> kinds_;  // by function; nullptr = it is not learned
  size_t learned_ = 0;
  DenialSink& sink_;
};

}  // namespace rtsup::broker
