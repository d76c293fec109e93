// Movable: what holds something in memory that a broker hands over to the one that takes its place.
// Threads: the shard's only, while nothing is under way.
#pragma once

#include "broker/handover/handover_file.h"

namespace rtsup::broker {

class Movable {
 public:
  virtual ~Movable() = default;
  // Writes all of it, and changes nothing: it may have to go on.
  virtual void hand_over(HandoverWriter& writer) const = 0;
  // One record that hand_over() wrote, in the same order, into an object that holds nothing yet.
  // Errors: of the record; the object is then of no use.
  virtual Result<void> take_over(HandoverRecord& record) = 0;
  // That was all.
  virtual Result<void> taken_over() = 0;
};

}  // namespace rtsup::broker
