// Lets the worker's end use the base's own mappings, for ThreadSanitizer: it knows memory by its
// address, so that with a mapping for each end it would see neither the races nor the order that
// the channel's atomics make.
#pragma once

#include <sys/mman.h>

#include <cstdio>
#include <fstream>
#include <string>

#include "sdk/regions.h"

namespace rtsup::testing {

// The other mapping of the file that is mapped at `known`; nullptr when there is none.
inline std::byte* find_other_mapping(const void* known) {
  struct Line {
    std::byte* start = nullptr;
    unsigned long inode = 0;
  };
  std::ifstream maps("/proc/self/maps");
  std::vector<Line> lines;
  unsigned long inode = 0;
  for (std::string text; std::getline(maps, text);) {
    unsigned long start = 0;
    Line line;
    if (std::sscanf(text.c_str(), "%lx-%*x %*s %*x %*s %lu", &start, &line.inode) != 2 ||
        line.inode == 0) {
      continue;
    }
    line.start = reinterpret_cast<std::byte*>(
        start);  // NOLINT(performance-no-int-to-ptr): that is what the file holds
    inode = line.start == known ? line.inode : inode;
    lines.push_back(line);
  }
  for (const Line& line : lines) {
    if (line.inode == inode && line.start != known) {
      return line.start;
    }
  }
  return nullptr;
}

inline void use_one_mapping(sdk::Regions& regions) {
  if (std::byte* up = find_other_mapping(regions.up.data()); up != nullptr) {
    ::mprotect(up, regions.up.size(), PROT_READ | PROT_WRITE);  // the base maps it read-only
    regions.up = {up, regions.up.size()};
  }
  if (std::byte* down = find_other_mapping(regions.down.data()); down != nullptr) {
    regions.down = {down, regions.down.size()};
  }
  if (std::byte* page = regions.page.empty() ? nullptr : find_other_mapping(regions.page.data());
      page != nullptr) {
    regions.page = {page, regions.page.size()};
  }
  // The shard's page is mapped by every session: the base's mapping is the writable one, found only
  // while there is one session.
}

}  // namespace rtsup::testing
