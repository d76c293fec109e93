// Learned services: which grants the uses that were seen come to.
// Owns:    plain values.
// Units:   a pattern of the policy's own that stands for a name is kept as it is; other names come
//          to patterns of their own (patterns.h). What was granted and not used is left out.
// Threads: any.
#pragma once

#include <string>
#include <vector>

#include "manifest/learn/learned.h"
#include "manifest/tools/policy_book.h"

namespace rtsup::manifest {

// What the manifest has, by name: nothing else can be granted.
struct KnownNames {
  std::vector<std::string> state;
  std::vector<std::string> pubsub;
  std::vector<std::string> sequencer;
  std::vector<std::string> functions;
};

struct ServiceLines {
  std::vector<std::string> state;  // entries of the lists of these names
  std::vector<std::string> pubsub;
  std::vector<std::string> sequencer;
  std::vector<std::string> invoke;
  std::vector<std::string> notes;
};

ServiceLines lines_of_services(const Learned& learned, const FlatPolicy& policy,
                               const KnownNames& known);

}  // namespace rtsup::manifest
