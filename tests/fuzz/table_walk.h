// TableWalk: reads every field of a flatbuffer, by the binary schema of the operation table. With
//            ASan it finds whatever the verifier lets pass that a reader would trip over. New
//            tables and fields are walked without a change here.
// Owns:    the schema; tables are borrowed for the call.
// Errors:  a required field that is absent, or a type that nobody taught it, breaks a requirement.
// Threads: any once made.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>

namespace reflection {
struct Object;
struct Schema;
}  // namespace reflection

namespace rtsup::fuzz {

class TableWalk {
 public:
  // `path`: a .bfbs file, made by flatc at build time.
  explicit TableWalk(const std::string& path);

  // The root table of a verified buffer. The sum of all it read, so that no read is optimised away.
  uint64_t request(uint16_t opcode, std::span<const std::byte> buffer) const;
  uint64_t response(uint16_t opcode, std::span<const std::byte> buffer) const;
  // By its full name: "rtsup.abi.Failure".
  uint64_t table(const char* name, std::span<const std::byte> buffer) const;

 private:
  struct Tables {
    const reflection::Object* request = nullptr;
    const reflection::Object* response = nullptr;
  };
  std::string bytes_;
  const reflection::Schema* schema_ = nullptr;
  std::map<uint16_t, Tables> operations_;
};

// That of the operation table.
const TableWalk& operation_tables();

}  // namespace rtsup::fuzz
