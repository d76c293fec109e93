#include "manifest/document_store.h"

#include "manifest/json_reader.h"
#include "manifest/limits.h"

namespace rtsup::manifest {
namespace {

std::string reason(const Error& error) {
  switch (error.status) {
    case Status::kNotFound:
      return "there is no such file";
    case Status::kPermissionDenied:
      return "it can not be read: permission denied";
    case Status::kOutOfRange:
      return "it is longer than " + std::to_string(kFileBytesMax) + " bytes";
    case Status::kFailedPrecondition:
      return "it is not a regular file";
    default:
      return "it can not be read";
  }
}

}  // namespace

const Document* DocumentStore::open(const std::string& path, const std::string& label,
                                    const Node* from) {
  if (const auto found = documents_.find(path); found != documents_.end()) {
    return found->second.get();
  }
  std::unique_ptr<Document>& slot = documents_[path];
  const Result<std::string> text = files_.read(path, kFileBytesMax);
  if (text) {
    slot = read_json(path, label, *text, mistakes_);
  } else if (from != nullptr) {
    mistakes_.add(*from, quote(path) + ": " + reason(text.error()));
  } else {
    mistakes_.add(path, {}, "", reason(text.error()));
  }
  return slot.get();
}

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) {
    return ".";
  }
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string file_name_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

std::string path_from(const std::string& folder, const std::string& path) {
  return path.starts_with('/') || folder == "." ? path : folder + '/' + path;
}

}  // namespace rtsup::manifest
