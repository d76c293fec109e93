// Learned files: which grants of files and folders the paths that were seen come to.
// Owns:    plain values.
// Units:   a grant that no path was seen of is left out, unless something is not known: relative
//          paths, paths in memory that nobody could read, more than could be told of. Paths that no
//          grant stands for are notes, never grants: they are only what the function asked for.
// Threads: any.
#pragma once

#include <string>
#include <vector>

#include "manifest/learn/learned.h"
#include "manifest/tools/policy_book.h"

namespace rtsup::manifest {

struct FileLines {
  std::vector<std::string> read;  // entries of the lists of these names
  std::vector<std::string> write;
  std::vector<std::string> asked;  // comments: what it asked for and does not have
  std::vector<std::string> notes;
};

FileLines lines_of_files(const Learned& learned, const FlatPolicy& policy);

}  // namespace rtsup::manifest
