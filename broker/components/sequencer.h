// Sequencer: what a sequencer component does: gives out values of named sequences, each once.
// Owns:    names are borrowed for the call only.
// Errors:  failed() with a reason; exactly one of the sink's functions is called, once.
// Threads: reserve(), close() and the sinks: the shard's only.
#pragma once

#include <cstdint>
#include <string_view>

#include "abi/reason.h"

namespace rtsup::broker {

class SequenceSink {
 public:
  virtual ~SequenceSink() = default;
  // `first` and the values after it, as many as asked for, are the caller's, and the disk knows.
  virtual void reserved(uint64_t first) = 0;
  virtual void failed(abi::Reason reason) = 0;
};

class Sequencer {
 public:
  virtual ~Sequencer() = default;
  // Values begin with 1 and go up, without an end that anybody could reach.
  virtual void reserve(std::string_view name, uint64_t count, SequenceSink& sink) = 0;
  // Finishes what was accepted, calling its sinks. May block: only at shutdown.
  virtual void close() = 0;
};

}  // namespace rtsup::broker
