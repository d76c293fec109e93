// rtsup-opgen: reads the binary schema of services.fbs and writes the operation table twice: as
// rows of a C++ macro and as a Markdown table for the reference docs. Runs at build time only.
//
// usage: rtsup-opgen services.bfbs operations.inc operations.md
#include <flatbuffers/reflection.h>
#include <flatbuffers/util.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>

namespace {

struct Row {
  std::string service, method, request, response;
  std::map<std::string, std::string> attributes;
  std::string attribute(const char* name, const char* otherwise) const {
    const auto found = attributes.find(name);
    return found == attributes.end() ? otherwise : found->second;
  }
};

std::string last_part(const std::string& dotted) { return dotted.substr(dotted.rfind('.') + 1); }

std::string lower(std::string text) {
  for (char& c : text) {
    c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return text;
}

[[noreturn]] void fail(const std::string& why) {
  fprintf(stderr, "rtsup-opgen: %s\n", why.c_str());
  exit(1);
}

std::map<unsigned long, Row> read_rows(const std::string& bytes) {
  flatbuffers::Verifier verifier(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  if (!reflection::VerifySchemaBuffer(verifier)) {
    fail("not a binary schema");
  }
  std::map<unsigned long, Row> rows;
  for (const auto* service : *reflection::GetSchema(bytes.data())->services()) {
    for (const auto* call : *service->calls()) {
      Row row{last_part(service->name()->str()),
              call->name()->str(),
              last_part(call->request()->name()->str()),
              last_part(call->response()->name()->str()),
              {}};
      for (const auto* entry : *call->attributes()) {
        row.attributes[entry->key()->str()] = entry->value() ? entry->value()->str() : "";
      }
      const std::string opcode = row.attribute("opcode", "");
      const unsigned long number = strtoul(opcode.c_str(), nullptr, 0);
      if (number == 0 || number > 0xFFFF) {
        fail(row.service + "." + row.method + " has no opcode");
      }
      if (!rows.emplace(number, row).second) {
        fail("opcode " + opcode + " stands twice");
      }
    }
  }
  return rows;
}

std::string make_table(const std::map<unsigned long, Row>& rows) {
  std::string out =
      "// Made by rtsup-opgen from schemas/services.fbs.\n"
      "// RTSUP_OPERATION(service, method, opcode, name, request, response, component, target, "
      "target_kind,\n"
      "//                 idempotent, metadata_max, grant); `none` where a row has no such "
      "field.\n";
  for (const auto& [number, row] : rows) {
    out += "RTSUP_OPERATION(" + row.service + ", " + row.method + ", " +
           row.attribute("opcode", "") + ", \"" + lower(row.service) + "." +
           row.attribute("name", "") + "\", " + row.request + ", " + row.response + ", " +
           row.attribute("component", "none") + ", " + row.attribute("target", "none") + ", " +
           row.attribute("target_kind", "none") + ", " +
           (row.attributes.count("idempotent") != 0 ? "true" : "false") + ", " +
           row.attribute("metadata", "4096") + ", " + row.attribute("grant", "base") + ")\n";
  }
  return out;
}

std::string make_docs(const std::map<unsigned long, Row>& rows) {
  std::string out =
      "| operation | opcode | request | response | decided on | may be repeated | who |\n"
      "| --- | --- | --- | --- | --- | --- | --- |\n";
  for (const auto& [number, row] : rows) {
    out += "| `" + lower(row.service) + "." + row.attribute("name", "") + "` | " +
           row.attribute("opcode", "") + " | " + row.request + " | " + row.response + " | " +
           row.attribute("target", "") + " | " +
           (row.attributes.count("idempotent") != 0 ? "yes" : "no") + " | " +
           row.attribute("grant", "base") + " |\n";
  }
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    fail("usage: rtsup-opgen services.bfbs operations.inc operations.md");
  }
  std::string bytes;
  if (!flatbuffers::LoadFile(argv[1], true, &bytes)) {
    fail(std::string("cannot read ") + argv[1]);
  }
  const auto rows = read_rows(bytes);
  const std::string table = make_table(rows);
  const std::string docs = make_docs(rows);
  if (!flatbuffers::SaveFile(argv[2], table, false) ||
      !flatbuffers::SaveFile(argv[3], docs, false)) {
    fail("cannot write");
  }
  return 0;
}
