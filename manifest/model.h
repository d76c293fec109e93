// The resolved manifest: what the operator wrote, checked, with policies merged, paths made
// absolute and names turned into positions. Nothing in it needs another look at a file. Made by
// manifest/load.h, read by the supervisor.
// Owns:    plain values, copyable.
// Units:   bytes, nanoseconds, and CPUs in thousandths where the name says so.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "abi/filter_rule.h"

namespace rtsup::manifest {

enum class ComponentType { kStateMemory, kStateSqlite, kPubsubMemory, kSequencerSqlite };

struct Component {
  std::string name;
  ComponentType type = ComponentType::kStateMemory;
  std::string file;                   // k...Sqlite: plain file name in the broker's state folder
  uint64_t bytes_max = 128ULL << 20;  // kStateMemory: keys and values
  uint64_t lease = 1000;  // kSequencerSqlite: values a session gets at a time; 0 = none in advance
};

enum class FunctionKind {
  kNative
};  // a shared object or an executable; told apart by its ELF type when it is opened

// What happens when a function's process ends by itself.
enum class Restart { kAlways, kOnFailure, kNever };

struct PathGrant {
  std::string path;    // absolute, as it is on the host, symbolic links resolved
  std::string target;  // where the function sees it: absolute
  bool writable = false;
  // writable: size of a new tmpfs ("scratch/:64MiB"), `path` is empty then; 0 = the host's file or
  // folder itself, bound
  uint64_t bytes_max = 0;
  std::string origin;  // "cart.json:12"
};

// Why a rule of the filter is there.
struct RuleNote {
  std::string origin;  // "cart.json:7", "rtsup:native @time"
  std::string why;
};

enum class OnViolation { kKill };  // "record" (complain mode) is not supported yet

struct SecurityPolicy {
  abi::FilterSpec
      filter;  // normalised, complete: groups, own rules and what the runtime itself needs
  std::vector<RuleNote> notes;  // notes[i] is of filter.rules[i]
  // While the function is learned: the same answers with an errno, and of what may be called only
  // what the runtime itself needs and names no path. Everything else is told of.
  abi::FilterSpec learning_filter;
  bool sockets =
      false;  // the filter lets it make sockets: it then needs a network namespace of its own
  bool ipc = false;  // likewise for System V and POSIX queues, and a namespace for them
  OnViolation on_violation = OnViolation::kKill;
  std::vector<PathGrant> paths;
  bool host_network = false;  // network "host"; "none" otherwise
};

struct StateGrant {
  uint32_t component = 0;  // position in Manifest::components
  std::vector<std::string> keys;
  std::vector<uint16_t> opcodes;
  std::string origin;
};

struct PubsubGrant {
  uint32_t component = 0;  // position in Manifest::components
  std::vector<std::string> publish;
  std::vector<std::string> subscribe;
  std::string origin;
};

struct SequencerGrant {
  uint32_t component = 0;  // position in Manifest::components
  std::vector<std::string> names;
};

struct ServicePolicy {
  std::vector<StateGrant> state;
  std::vector<PubsubGrant> pubsub;
  std::vector<SequencerGrant> sequencer;
  std::vector<uint32_t> invoke;  // positions in Manifest::functions
};

struct ResourcePolicy {
  uint64_t memory_bytes = 64ULL << 20;
  uint32_t cpu_thousandths = 1000;  // of one CPU
  uint32_t processes = 16;          // threads count
  uint32_t open_files = 64;
  uint64_t file_bytes_max = 64ULL << 20;  // RLIMIT_FSIZE
  uint32_t calls_per_second = 0;          // 0 = no limit
  uint64_t event_timeout_ns = 5'000'000'000;
  uint32_t payload_bytes_max = 0;  // of one call or event; 0 = by its memory
};

struct Policy {
  std::string name;  // path as written, or "inline"
  std::string
      digest;  // SHA-256 of the resolved policy, 64 hex digits; empty without LoadSettings::digest
  SecurityPolicy security;
  ServicePolicy services;
  ResourcePolicy resources;
};

struct Function {
  std::string name;
  FunctionKind kind = FunctionKind::kNative;
  std::string file;  // absolute
  Policy policy;
  uint32_t instances = 1;  // min == max; scaling between them is not supported yet
  uint32_t concurrency = 1;
  Restart restart = Restart::kAlways;
  std::map<std::string, std::string> environment;
  std::map<std::string, std::string> config;
};

// A call that answers as it should: `rtsup start` prints it for the operator to try.
struct Example {
  std::string function;  // empty = none given
  std::string method;
  std::string data;
};

struct Manifest {
  std::string path;                          // absolute
  std::string name;                          // of the application
  std::string tenant;                        // defaults to name
  std::vector<std::string> accept;           // boundaries given up, by doctor's names
  uint64_t memory_bytes = 0;                 // of the broker; 0 = by what it has to serve
  uint64_t payload_bytes_max = 64ULL << 20;  // of one call or event of any function
  uint32_t shards = 1;                       // threads of the broker that serve sessions
  std::vector<Component> components;
  std::vector<Function> functions;
  Example example;
};

// One mistake in one file.
struct Mistake {
  std::string file;     // as it was opened
  uint32_t line = 0;    // from 1; 0 = the file as a whole
  uint32_t column = 0;  // from 1, in bytes
  std::string pointer;  // JSON pointer (RFC 6901)
  std::string message;  // what is wrong and what is expected, with the nearest valid name where
                        // there is one
};
// "shop.json:12:5: /functions/cart/kind: unknown kind \"nativ\"; did you mean \"native\"?"
std::string to_line(const Mistake& mistake);

}  // namespace rtsup::manifest
