#include "tests/fuzz/table_walk.h"

#include <flatbuffers/reflection.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "tests/fuzz/require.h"

namespace rtsup::fuzz {
namespace {

using flatbuffers::String;
using flatbuffers::Table;
using flatbuffers::VectorOfAny;
using reflection::BaseType;

class Reader {
 public:
  explicit Reader(const reflection::Schema& schema) : schema_(schema) {}

  void table(const reflection::Object& object, const Table& table) {
    for (const reflection::Field* field : *object.fields()) {
      RTSUP_REQUIRE(!field->required() || table.CheckField(field->offset()),
                    "a verified table lacks a required field");
      one(*field, table);
    }
  }
  [[nodiscard]] uint64_t sum() const noexcept { return sum_; }

 private:
  void one(const reflection::Field& field, const Table& table) {
    const reflection::Type& type = *field.type();
    switch (type.base_type()) {
      case BaseType::String:
        return text(table.GetPointer<const String*>(field.offset()));
      case BaseType::Vector:
        return vector(type, table.GetPointer<const VectorOfAny*>(field.offset()));
      case BaseType::Obj:
        return object(type, table, field.offset());
      default:
        RTSUP_REQUIRE(flatbuffers::IsScalar(type.base_type()),
                      "a type that TableWalk can not read");
        if (const uint8_t* at = table.GetAddressOf(field.offset()); at != nullptr) {
          bytes(at, flatbuffers::GetTypeSize(type.base_type()));
        }
    }
  }

  void object(const reflection::Type& type, const Table& parent, uint16_t offset) {
    const reflection::Object& shape = *schema_.objects()->Get(type.index());
    if (shape.is_struct()) {
      if (const auto* at = parent.GetStruct<const uint8_t*>(offset); at != nullptr) {
        bytes(at, shape.bytesize());
      }
    } else if (const auto* child = parent.GetPointer<const Table*>(offset); child != nullptr) {
      table(shape, *child);
    }
  }

  void vector(const reflection::Type& type, const VectorOfAny* all) {
    if (all == nullptr) {
      return;
    }
    const BaseType element = type.element();
    if (flatbuffers::IsScalar(element)) {
      return bytes(all->Data(), all->size() * flatbuffers::GetTypeSize(element));
    }
    if (element == BaseType::Obj && schema_.objects()->Get(type.index())->is_struct()) {
      return bytes(all->Data(), all->size() * schema_.objects()->Get(type.index())->bytesize());
    }
    for (flatbuffers::uoffset_t i = 0; i < all->size(); ++i) {
      if (element == BaseType::String) {
        text(flatbuffers::GetAnyVectorElemPointer<const String>(all, i));
        continue;
      }
      RTSUP_REQUIRE(element == BaseType::Obj, "a type that TableWalk can not read");
      table(*schema_.objects()->Get(type.index()),
            *flatbuffers::GetAnyVectorElemPointer<const Table>(all, i));
    }
  }

  void text(const String* string) {
    if (string != nullptr) {
      bytes(string->Data(), string->size() + 1);
      RTSUP_REQUIRE(string->c_str()[string->size()] == '\0', "a verified text without its end");
    }
  }

  void bytes(const uint8_t* at, size_t count) {
    for (size_t i = 0; i < count; ++i) {
      sum_ += at[i];
    }
  }

  const reflection::Schema& schema_;
  uint64_t sum_ = 0;
};

uint64_t read_root(const reflection::Schema& schema, const reflection::Object* object,
                   std::span<const std::byte> buffer) {
  RTSUP_REQUIRE(object != nullptr, "an operation that the schema does not know");
  Reader reader(schema);
  reader.table(*object, *flatbuffers::GetRoot<Table>(buffer.data()));
  return reader.sum();
}

}  // namespace

TableWalk::TableWalk(const std::string& path) {
  std::ostringstream content;
  content << std::ifstream(path, std::ios::binary).rdbuf();
  bytes_ = content.str();
  flatbuffers::Verifier verifier(reinterpret_cast<const uint8_t*>(bytes_.data()), bytes_.size());
  RTSUP_REQUIRE(reflection::VerifySchemaBuffer(verifier), "not a binary schema");
  schema_ = reflection::GetSchema(bytes_.data());
  if (schema_->services() == nullptr) {
    return;
  }
  for (const auto* service : *schema_->services()) {
    for (const auto* call : *service->calls()) {
      const auto* opcode = call->attributes()->LookupByKey("opcode");
      RTSUP_REQUIRE(opcode != nullptr, "an operation without its opcode");
      const auto number = static_cast<uint16_t>(std::strtoul(opcode->value()->c_str(), nullptr, 0));
      operations_[number] = {call->request(), call->response()};
    }
  }
}

uint64_t TableWalk::request(uint16_t opcode, std::span<const std::byte> buffer) const {
  const auto found = operations_.find(opcode);
  return read_root(*schema_, found == operations_.end() ? nullptr : found->second.request, buffer);
}

uint64_t TableWalk::response(uint16_t opcode, std::span<const std::byte> buffer) const {
  const auto found = operations_.find(opcode);
  return read_root(*schema_, found == operations_.end() ? nullptr : found->second.response, buffer);
}

uint64_t TableWalk::table(const char* name, std::span<const std::byte> buffer) const {
  return read_root(*schema_, schema_->objects()->LookupByKey(name), buffer);
}

const TableWalk& operation_tables() {
  static const auto* one = new TableWalk(RTSUP_SCHEMA_FOLDER "/services.bfbs");
  return *one;
}

}  // namespace rtsup::fuzz
