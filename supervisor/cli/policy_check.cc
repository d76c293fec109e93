// `rtsup policy check`: mistakes, dangers and a score, or answers to questions.
#include <nlohmann/json.hpp>

#include "manifest/tools/lint.h"
#include "manifest/tools/question.h"
#include "manifest/tools/score.h"
#include "manifest/tools/trace.h"
#include "supervisor/cli/commands.h"
#include "supervisor/cli/policy_files.h"
#include "supervisor/cli/terminal.h"
#include "supervisor/logs/escape.h"

namespace rtsup::cli {
namespace {

using Json = nlohmann::ordered_json;

bool has_questions(const PolicyOptions& options) {
  return !(options.calls.empty() && options.apis.empty() && options.resources.empty() &&
           options.trace.empty());
}

Json to_json(const manifest::Answer& answer) {
  Json json{{"question", answer.question}};
  const auto add = [&json](const char* key, const std::string& text) {
    if (!text.empty()) {
      json[key] = text;
    }
  };
  if (!answer.mistake.empty()) {
    add("mistake", answer.mistake);
    return json;
  }
  json["verdict"] = manifest::verdict_name(answer.verdict);
  add("errno", answer.error);
  add("rule", answer.rule);
  add("origin", answer.origin);
  add("why", answer.why);
  add("reason", answer.reason);
  add("section", answer.section);
  add("line", answer.line);
  return json;
}

Json to_json(const manifest::Score& score) {
  Json rows = Json::array();
  for (const manifest::ScoreRow& row : score.rows) {
    rows.push_back({{"boundary", row.boundary},
                    {"name", row.name},
                    {"score", row.tenths / 10.0},
                    {"reason", row.reason}});
  }
  return {{"score", score.tenths / 10.0},
          {"word", manifest::score_word(score.tenths)},
          {"parts", std::move(rows)}};
}

void print_score(const std::string& name, const manifest::Score& score) {
  std::vector<std::vector<std::string>> table;
  for (const manifest::ScoreRow& row : score.rows) {
    table.push_back({"  " + row.boundary, row.name, manifest::tenths_text(row.tenths),
                     supervisor::escape(row.reason)});
  }
  print(supervisor::escape(name) + ": no mistakes; it exposes " +
        manifest::tenths_text(score.tenths) + " of 10 (" +
        std::string(manifest::score_word(score.tenths)) + ")\n");
  print(format_table(table));
}

// What checking one policy came to.
struct Checked {
  ExitCode code = ExitCode::kOk;
  Json json;
};

// The worse of two ends: a mistake before a refusal, a refusal before nothing.
ExitCode worse(ExitCode a, ExitCode b) {
  const auto rank = [](ExitCode code) {
    switch (code) {
      case ExitCode::kOk:
        return 0;
      case ExitCode::kFunctionFailed:
        return 1;
      case ExitCode::kDenied:
        return 2;
      case ExitCode::kManifest:
        return 3;
      default:
        return 4;
    }
  };
  return rank(a) < rank(b) ? b : a;
}

Checked answer_questions(const Options& options, const PolicyFiles& files,
                         const manifest::FlatPolicy& policy) {
  Checked checked;
  checked.json = Json::array();
  const auto take = [&](const manifest::Answer& answer) {
    if (!options.json) {
      print_lines(manifest::to_text(answer));
    }
    checked.json.push_back(to_json(answer));
    const bool allowed = answer.verdict == manifest::Verdict::kAllowed;
    checked.code = worse(checked.code, !answer.mistake.empty() ? ExitCode::kUsage
                                       : allowed               ? ExitCode::kOk
                                                               : ExitCode::kDenied);
  };
  for (const std::string& question : options.policy.calls) {
    take(manifest::ask_call(policy, files.book.groups(), question));
  }
  for (const std::string& question : options.policy.apis) {
    take(manifest::ask_api(policy, question));
  }
  for (const std::string& question : options.policy.resources) {
    take(manifest::ask_resource(policy, question));
  }
  return checked;
}

// Which calls of a recorded trace would not be made.
Checked answer_trace(const Options& options, const PolicyFiles& files,
                     const manifest::FlatPolicy& policy, const std::string& text) {
  const manifest::TraceReport report = manifest::ask_trace(policy, files.book.groups(), text);
  Checked checked;
  Json rows = Json::array();
  for (const manifest::TraceRow& row : report.rows) {
    rows.push_back(to_json(row.answer));
    rows.back()["line_number"] = row.line;
    rows.back()["count"] = row.count;
    if (!options.json) {
      print_lines("line " + std::to_string(row.line) +
                  (row.count > 1 ? ", " + std::to_string(row.count) + " times" : "") + ": " +
                  manifest::to_text(row.answer));
    }
  }
  for (const std::string& doubt : report.doubts) {
    complain(ExitCode::kOk, supervisor::escape(doubt));
  }
  checked.json = {{"calls", report.calls},       {"allowed", report.allowed},
                  {"answered", report.answered}, {"denied", report.denied},
                  {"unclear", report.unclear},   {"not_understood", report.not_understood},
                  {"rows", std::move(rows)}};
  if (!options.json) {
    print(std::to_string(report.calls) + " calls: " + std::to_string(report.allowed) +
          " allowed, " + std::to_string(report.answered) + " answered with an errno, " +
          std::to_string(report.denied) + " denied, " + std::to_string(report.unclear) +
          " unclear; " + std::to_string(report.not_understood) + " lines not understood\n");
  }
  checked.code = report.denied + report.unclear == 0 ? ExitCode::kOk : ExitCode::kDenied;
  return checked;
}

Checked check_one(const Options& options, const std::string& trace, const std::string& name) {
  Checked checked;
  checked.json = {{"policy", name}};
  const auto files = open_policy_files();
  auto policy = files == nullptr ? std::nullopt : files->book.open(name);
  if (policy) {
    manifest::require_reasons(*policy, files->book.mistakes());
  }
  if (files == nullptr || print_mistakes(*files)) {
    checked.code = ExitCode::kManifest;
    return checked;
  }
  if (has_questions(options.policy)) {
    Checked answered = answer_questions(options, *files, *policy);
    checked.code = answered.code;
    checked.json["answers"] = std::move(answered.json);
    if (!options.policy.trace.empty()) {
      Checked traced = answer_trace(options, *files, *policy, trace);
      checked.code = worse(checked.code, traced.code);
      checked.json["trace"] = std::move(traced.json);
    }
    return checked;
  }
  const manifest::Score score = manifest::score_of(*policy, files->book.groups());
  const std::vector<std::string> idle = manifest::idle_lines(*policy);
  if (!options.json) {
    print_score(name, score);
    for (const std::string& line : idle) {
      print_lines("note: " + line);
    }
  }
  checked.json.update(to_json(score));
  checked.json["notes"] = idle;
  const auto threshold = parse_tenths(options.policy.threshold);
  if (threshold && score.tenths > *threshold) {
    checked.code =
        complain(ExitCode::kFunctionFailed, supervisor::escape(name) + " exposes more than " +
                                                manifest::tenths_text(*threshold));
  }
  return checked;
}

}  // namespace

ExitCode policy_check(const Options& options) {
  ExitCode code = ExitCode::kOk;
  Json policies = Json::array();
  std::string trace;
  if (!options.policy.trace.empty()) {
    auto read = manifest::DiskFileSystem().read(options.policy.trace, manifest::kTraceBytesMax);
    if (!read) {
      return complain(ExitCode::kUsage, supervisor::escape(options.policy.trace) +
                                            " can not be read: " + describe(read.error()));
    }
    trace = std::move(*read);
  }
  for (const std::string& name : options.policy.policies) {
    Checked checked = check_one(options, trace, name);
    code = worse(code, checked.code);
    if (checked.code != ExitCode::kManifest) {
      policies.push_back(std::move(checked.json));
    }
  }
  if (options.json) {
    print(Json{{"v", 1}, {"policies", std::move(policies)}}.dump(2, ' ', /*ensure_ascii=*/true,
                                                                 Json::error_handler_t::replace) +
          "\n");
  }
  return code;
}

}  // namespace rtsup::cli
