// DocumentStore: reads each file once, whatever refers to it, and keeps it until all rules that
// came from it are resolved.
// Owns:    the documents; borrows `files` and `mistakes`, which must outlive it.
// Errors:  nullptr -> a mistake was added at the first reference (the file can't be read) or in the
//          file (it is no JSON).
// Threads: one at a time.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "manifest/file_system.h"
#include "manifest/json_node.h"
#include "manifest/mistakes.h"

namespace rtsup::manifest {

class DocumentStore {
 public:
  DocumentStore(const FileSystem& files, Mistakes& mistakes) : files_(files), mistakes_(mistakes) {}

  // `from` is the value that names the file, for the message; nullptr for the first file of all.
  const Document* open(const std::string& path, const std::string& label, const Node* from);

 private:
  const FileSystem& files_;
  Mistakes& mistakes_;
  std::map<std::string, std::unique_ptr<Document>> documents_;
};

// The folder part of a path: "." when it has none.
std::string folder_of(const std::string& path);
// The last part of a path.
std::string file_name_of(const std::string& path);
// `path` as seen from `folder`: itself when absolute.
std::string path_from(const std::string& folder, const std::string& path);

}  // namespace rtsup::manifest
