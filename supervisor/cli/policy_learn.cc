// `rtsup policy learn`: what a function was seen to do, and a policy for exactly that.
#include <fcntl.h>

#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <variant>

#include "abi/base/ids.h"
#include "manifest/learn/proposal.h"
#include "manifest/syscalls.h"
#include "manifest/tools/compare.h"
#include "manifest/tools/lint.h"
#include "manifest/tools/policy_book.h"
#include "supervisor/base/denials.h"
#include "supervisor/cli/commands.h"
#include "supervisor/cli/learning_run.h"
#include "supervisor/cli/learning_text.h"
#include "supervisor/cli/policy_files.h"
#include "supervisor/cli/terminal.h"
#include "supervisor/denials/denial.h"
#include "supervisor/denials/learned.h"
#include "supervisor/logs/escape.h"
#include "supervisor/run/paths.h"
#include "sys/clock.h"
#include "sys/file.h"

namespace rtsup::cli {
namespace {

using nlohmann::json;
using supervisor::RunPaths;

// The base that is meant, and what there is of it.
struct Place {
  std::string record;    // STATE/NAME/learned/FUNCTION.jsonl
  std::string manifest;  // path; empty = not known
  std::optional<RunPaths> running;
};

std::variant<Place, ClientFailure> find_place(const Options& options) {
  if (!is_valid_name(options.function)) {
    return ClientFailure{.code = ExitCode::kUsage, .text = "a function has another kind of name"};
  }
  Place place;
  std::string name = options.name;
  const auto found = find_instance(options.name);
  if (const auto* const paths = std::get_if<RunPaths>(&found)) {
    name = paths->folder.substr(paths->folder.rfind('/') + 1);
    auto connected = Client::connect(*paths);
    if (std::holds_alternative<Client>(connected)) {
      const auto answer = std::get<Client>(connected).ask({{"v", 1}, {"op", "ps"}});
      if (const auto* const report = std::get_if<json>(&answer)) {
        place.manifest = report->value("manifest", "");
        place.running = *paths;
      }
    }
  }
  if (!is_valid_name(name)) {
    return std::get<ClientFailure>(found);
  }
  place.record = supervisor::state_root() + "/" + name + "/learned/" + options.function + ".jsonl";
  return place;
}

std::string read_record(const Place& place) {
  std::string text;
  for (const char* const part : {".1", ""}) {
    text += sys::read_file(place.record + part, supervisor::kDenialBytesMax).value_or("");
  }
  return text;
}

// Without a base it is known from what was recorded.
std::string manifest_of(const Place& place, const std::string& record) {
  if (!place.manifest.empty()) {
    return place.manifest;
  }
  for (const supervisor::Denial& line : supervisor::read_denials(record)) {
    if (!line.manifest.empty()) {
      return line.manifest;
    }
  }
  return {};
}

ExitCode learn_now(const Options& options, const Place& place) {
  constexpr uint64_t kLongestNs = 3'600'000'000'000;
  if (!place.running) {
    return complain(ExitCode::kNotRunning, "a function is learned while its base runs");
  }
  const auto run = run_learning(
      *place.running,
      {.function = options.function,
       .span_ns = options.policy.span.empty() ? kLongestNs : parse_duration(options.policy.span),
       .command = options.policy.command});
  if (const auto* const failure = std::get_if<ClientFailure>(&run)) {
    return complain(failure->code, failure->text);
  }
  const auto& outcome = std::get<LearningOutcome>(run);
  const std::string line =
      supervisor::peaks_line(outcome.peaks, static_cast<uint64_t>(sys::realtime_ns()));
  const std::string folder = place.record.substr(0, place.record.rfind('/'));
  if (!supervisor::DenialLog(folder).append(options.function, line)) {
    complain(ExitCode::kOk, "what it used at most can not be put on record in " + folder);
  }
  if (outcome.was_late || outcome.command_status != 0) {
    return complain(ExitCode::kFunctionFailed,
                    outcome.was_late ? "the command took too long, and was ended"
                                     : "the command failed: what it did not come to is missing");
  }
  return ExitCode::kOk;
}

void print_differences(const manifest::FlatPolicy& now, const manifest::FlatPolicy& proposed,
                       FILE* out) {
  using Kind = manifest::Difference::Kind;
  for (const manifest::Difference& one : manifest::compare(now, proposed)) {
    const char sign = one.kind == Kind::kMore ? '+' : one.kind == Kind::kLess ? '-' : '~';
    (void)std::fprintf(out, "%c %s: %s\n", sign, one.boundary.c_str(),
                       supervisor::escape(one.text).c_str());
  }
}

std::string share_of_calls(const manifest::FlatPolicy& policy) {
  std::set<int> allowed;
  for (const manifest::RuleDraft& draft : policy.rules) {
    if (draft.rule.errno_value == 0) {
      allowed.insert(draft.rule.call);
    }
  }
  const size_t all = manifest::call_names().size();
  char text[96];
  (void)std::snprintf(
      text, sizeof text, "it allows %zu of %zu system calls, and denies %.1f %%", allowed.size(),
      all, 100.0 - 100.0 * static_cast<double>(allowed.size()) / static_cast<double>(all));
  return text;
}

// To standard output, or to the file; the difference to where the policy does not go.
ExitCode show(const Options& options, const LearningText& made) {
  const bool to_file = !options.policy.write.empty();
  if (to_file && !sys::replace_file(options.policy.write, made.proposal.text, 0644)) {
    return complain(ExitCode::kUsage,
                    supervisor::escape(options.policy.write) + " can not be written");
  }
  if (!to_file) {
    print(made.proposal.text);
  }
  print_differences(made.now, made.proposed, to_file ? stdout : stderr);
  for (const std::string& note : made.proposal.notes) {
    complain(ExitCode::kOk, "note: " + supervisor::escape(note));
  }
  return complain(ExitCode::kOk, share_of_calls(made.proposed));
}

}  // namespace

ExitCode policy_learn(const Options& options) {
  const auto found = find_place(options);
  if (const auto* const failure = std::get_if<ClientFailure>(&found)) {
    return complain(failure->code, failure->text);
  }
  const auto& place = std::get<Place>(found);
  if (options.policy.fresh) {
    for (const char* const part : {".1", ""}) {
      (void)std::remove((place.record + part).c_str());
    }
  }
  ExitCode code = ExitCode::kOk;
  if (!options.policy.span.empty() || !options.policy.command.empty()) {
    code = learn_now(options, place);
    if (code != ExitCode::kOk && code != ExitCode::kFunctionFailed) {
      return code;
    }
  }
  const std::string record = read_record(place);
  manifest::Learned learned;
  supervisor::read_learned(record, learned);
  const std::string manifest = manifest_of(place, record);
  if (record.empty() || manifest.empty()) {
    return code != ExitCode::kOk
               ? code
               : complain(ExitCode::kFunctionFailed,
                          "nothing is on record of " + options.function +
                              ": learn it with --for or --command while its base runs");
  }
  const auto made = make_learning_text(learned, manifest, options.function, options.policy.write);
  if (!made) {
    return ExitCode::kManifest;
  }
  const ExitCode shown = show(options, *made);
  return shown == ExitCode::kOk ? code : shown;
}

}  // namespace rtsup::cli
