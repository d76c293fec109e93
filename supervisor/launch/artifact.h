// Artifact: a function's file as it was when it was opened: sealed, hashed, looked at.
// ArtifactCache opens a file again only when its identity (device, inode, size, times) has changed,
// so that a file replaced in place is used from the next start, and an unchanged one is not read
// again.
// Owns:    the sealed copies, shared between the instances of a function and the launches under
//          way.
// Units:   bytes; at most kArtifactBytesMax.
// Errors:  ArtifactFailure: what is wrong with the file, in a sentence that says what to do.
// Threads: one at a time.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <variant>

#include "sys/file.h"
#include "sys/memory.h"

namespace rtsup::supervisor {

inline constexpr uint64_t kArtifactBytesMax = 256ULL << 20;

enum class ArtifactShape : uint8_t { kSharedObject, kProgram };

struct Artifact {
  sys::FileIdentity identity;
  sys::SealedMemfd file;
  std::string digest;  // SHA-256, 64 hex digits
  ArtifactShape shape = ArtifactShape::kSharedObject;
  std::string name;  // without folders
};

struct ArtifactFailure {
  std::string message;
};

class ArtifactCache {
 public:
  // Shared, because a launch under way outlives the file's replacement here.
  std::variant<std::shared_ptr<const Artifact>, ArtifactFailure> open(const std::string& path);

 private:
  std::map<std::string, std::shared_ptr<const Artifact>> artifacts_;
};

// What the first bytes of an ELF file say. Pure.
std::variant<ArtifactShape, ArtifactFailure> check_elf(std::span<const std::byte> file);

}  // namespace rtsup::supervisor
