#include "supervisor/launch/artifact.h"

#include <elf.h>
#include <sys/stat.h>

#include <cstring>
#include <filesystem>
#include <optional>

#include "sys/digest.h"

namespace rtsup::supervisor {
namespace {

constexpr size_t kProgramHeadersMax = 128;

std::string machine_name(uint16_t machine) {
  switch (machine) {
    case EM_386:
      return "i386 (32 bit x86)";
    case EM_X86_64:
      return "x86-64";
    case EM_ARM:
      return "32 bit ARM";
    case EM_AARCH64:
      return "AArch64";
    case EM_RISCV:
      return "RISC-V";
    case EM_PPC64:
      return "PowerPC 64";
    case EM_S390:
      return "S/390";
    default:
      return "machine number " + std::to_string(machine);
  }
}

ArtifactFailure fail(std::string message) { return {.message = std::move(message)}; }

// Whether the program headers name an interpreter: what tells an executable built as
// position-independent from a shared object, which have the same ELF type. Nothing when the headers
// are not within the file.
std::optional<bool> has_interpreter(std::span<const std::byte> file, const Elf64_Ehdr& header) {
  if (header.e_phentsize != sizeof(Elf64_Phdr) || header.e_phnum > kProgramHeadersMax ||
      header.e_phoff > file.size() ||
      header.e_phnum * sizeof(Elf64_Phdr) > file.size() - header.e_phoff) {
    return std::nullopt;
  }
  for (size_t index = 0; index < header.e_phnum; ++index) {
    Elf64_Phdr segment;
    std::memcpy(&segment, file.data() + header.e_phoff + index * sizeof segment, sizeof segment);
    if (segment.p_type == PT_INTERP) {
      return true;
    }
  }
  return false;
}

}  // namespace

std::variant<ArtifactShape, ArtifactFailure> check_elf(std::span<const std::byte> file) {
  Elf64_Ehdr header{};
  if (file.size() < sizeof header || std::memcmp(file.data(), ELFMAG, SELFMAG) != 0) {
    return fail(
        "it is no ELF file; a function of kind \"native\" is a shared object or an executable");
  }
  std::memcpy(&header, file.data(), sizeof header);
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB ||
      header.e_machine != EM_X86_64) {
    return fail("it is built for " + machine_name(header.e_machine) +
                ", this machine runs x86-64; build it for this machine");
  }
  if (header.e_type == ET_EXEC) {
    return ArtifactShape::kProgram;
  }
  if (header.e_type != ET_DYN) {
    return fail("it is an ELF file of type " + std::to_string(header.e_type) +
                "; link it as a shared object (-shared) or an executable");
  }
  const std::optional<bool> interpreter = has_interpreter(file, header);
  if (!interpreter) {
    return fail("its program headers are damaged; build it again");
  }
  return *interpreter ? ArtifactShape::kProgram : ArtifactShape::kSharedObject;
}

std::variant<std::shared_ptr<const Artifact>, ArtifactFailure> ArtifactCache::open(
    const std::string& path) {
  const auto cannot = [&path](const Error& error) {
    return fail("can not open the function's file " + path + ": " + describe(error));
  };
  const auto file = sys::open_file(path, O_RDONLY | O_NONBLOCK);
  if (!file) {
    return cannot(file.error());
  }
  const auto identity = sys::identify(file->get());
  if (!identity) {
    return cannot(identity.error());
  }
  if (const auto known = artifacts_.find(path);
      known != artifacts_.end() && known->second->identity == *identity) {
    return known->second;
  }
  if (!S_ISREG(identity->mode)) {
    return fail("the function's file " + path + " is not a regular file");
  }
  sys::Sha256 hash;
  auto copy = sys::SealedMemfd::copy_from(
      "rtsup-function", file->get(), kArtifactBytesMax,
      [&hash](std::span<const std::byte> bytes) { hash.update(bytes); });
  if (!copy) {
    return cannot(copy.error());
  }
  const auto mapping = copy->map();
  if (!mapping) {
    return cannot(mapping.error());
  }
  const auto shape = check_elf(mapping->bytes());
  if (const auto* const failure = std::get_if<ArtifactFailure>(&shape)) {
    return fail("the function's file " + path + " can not be used: " + failure->message);
  }
  auto artifact = std::make_shared<Artifact>();
  artifact->identity = *identity;
  artifact->file = std::move(*copy);
  artifact->digest = sys::to_hex(hash.finish());
  artifact->shape = std::get<ArtifactShape>(shape);
  artifact->name = std::filesystem::path(path).filename().string();
  artifacts_[path] = artifact;
  return std::shared_ptr<const Artifact>(artifact);
}

}  // namespace rtsup::supervisor
