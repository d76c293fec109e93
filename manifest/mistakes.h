// Mistakes: collects everything that is wrong with a set of files, so that one run reports it all.
// Owns:    the list.
// Units:   at most kMistakesMax are kept; the rest is counted in the last one.
// Threads: one at a time.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "manifest/json_node.h"
#include "manifest/model.h"

namespace rtsup::manifest {

class Mistakes {
 public:
  // At a value.
  void add(const Node& node, std::string message);
  // At a key.
  void add(const Member& member, std::string message);
  // In a file as a whole, or where there is no node.
  void add(std::string file, Position at, std::string pointer, std::string message);

  bool empty() const noexcept { return list_.empty(); }
  size_t count() const noexcept { return list_.size() + dropped_; }
  // Sorted by file and place; the object is empty afterwards.
  std::vector<Mistake> take();

 private:
  std::vector<Mistake> list_;
  size_t dropped_ = 0;
};

// "`text`" in double quotes, with what a terminal would obey escaped and long text cut: what a file
// says is not to be trusted.
std::string quote(std::string_view text);

}  // namespace rtsup::manifest
