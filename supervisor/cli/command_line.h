// Command line of `rtsup`: what can be asked for, and the help that explains it.
// Owns:    plain values.
// Threads: one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace rtsup::cli {

enum class Verb : uint8_t {
  kStart,
  kStop,
  kRestart,
  kUpgrade,
  kPs,
  kInvoke,
  kConfigGet,
  kConfigSet,
  kConfigUnset,
  kLogs,
  kWhy,
  kValidate,
  kSchema,
  kPolicyCheck,
  kPolicyShow,
  kPolicyDiff,
  kPolicyTest,
  kPolicyConvert,
  kPolicyComplain,
  kPolicyLearn,
  kDoctor,
  kBench,
  kVersion,
};

// Of `rtsup policy`.
struct PolicyOptions {
  std::vector<std::string> policies;  // paths, or rtsup:NAME
  std::vector<std::string> calls;     // questions, as manifest/tools/question.h takes them
  std::vector<std::string> apis;
  std::vector<std::string> resources;
  std::string trace;      // a file of recorded calls, as strace writes them
  std::string threshold;  // "3.5": the most that the score may be; empty = whatever it is
  bool from_oci = false;  // convert: to a policy; exactly one of the two
  bool to_oci = false;    // convert: from a policy, rather than to one
  bool explain = false;   // show: what the filter costs
  std::string span;       // complain, learn: "10m"; empty = not given
  bool off = false;       // complain: back to the policy
  std::string command;    // learn: what makes the function do its work
  std::string write;      // learn: where the proposal goes; empty = standard output
  bool fresh = false;     // learn: forget what was learned before
};

struct Options {
  Verb verb = Verb::kVersion;
  std::string name;      // -n: which instance; empty = the only one running
  std::string manifest;  // start, validate
  std::string function;  // restart, invoke, logs, why, config
  std::string setting;   // config: the value's name; empty = all
  std::string value;     // config set
  std::string schema;    // "manifest" or "policy"
  PolicyOptions policy;
  std::string bench;  // "ipc"
  std::string data;
  std::string file;  // "-" = standard input
  std::string method;
  std::string content_type;
  std::string timeout;                 // "5s"
  std::vector<std::string> arguments;  // bench: what is passed on
  uint32_t last = 0;                   // why: how many; 0 = not said
  bool detach = false;
  bool json = false;
  bool follow = false;
  bool all = false;
  bool has_data = false;
};

// What to do, or what to print and exit with (help, or a mistake).
struct Ending {
  int code = 0;
  std::string output;  // standard output
  std::string error;   // standard error
};
std::variant<Options, Ending> parse_command_line(int argc, const char* const* argv);

// "250ms", "5s", "2m" in nanoseconds; 0 when it is none, or longer than an hour.
uint64_t parse_duration(const std::string& text);
// "3.5" is 35: 0 to 10 with at most one digit behind the point; nothing for anything else.
std::optional<uint32_t> parse_tenths(const std::string& text);

}  // namespace rtsup::cli
