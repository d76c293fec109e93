// `rtsup policy diff` and `rtsup policy test`: whether policies mean the same, and what they
// should.
#include <nlohmann/json.hpp>

#include "manifest/tools/compare.h"
#include "manifest/tools/expectations.h"
#include "supervisor/cli/commands.h"
#include "supervisor/cli/policy_files.h"
#include "supervisor/cli/terminal.h"

namespace rtsup::cli {
namespace {

using Json = nlohmann::ordered_json;
using manifest::Difference;

const char* word_of(Difference::Kind kind) {
  return kind == Difference::Kind::kMore   ? "more"
         : kind == Difference::Kind::kLess ? "less"
                                           : "changed";
}

char sign_of(Difference::Kind kind) {
  return kind == Difference::Kind::kMore ? '+' : kind == Difference::Kind::kLess ? '-' : '~';
}

void print_json(const Json& json) {
  print(json.dump(2, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace) + "\n");
}

}  // namespace

ExitCode policy_diff(const Options& options) {
  // A book for each: with one, what is wrong with both would be said once.
  const auto first = open_policy_files();
  const auto second = open_policy_files();
  if (first == nullptr || second == nullptr) {
    return ExitCode::kManifest;
  }
  const auto a = open_policy(*first, options.policy.policies[0]);
  const auto b = open_policy(*second, options.policy.policies[1]);
  if (!a || !b) {
    return ExitCode::kManifest;
  }
  const std::vector<Difference> differences = manifest::compare(*a, *b);
  Json list = Json::array();
  for (const Difference& difference : differences) {
    if (options.json) {
      list.push_back({{"kind", word_of(difference.kind)},
                      {"boundary", difference.boundary},
                      {"text", difference.text},
                      {"origin", difference.origin}});
    } else {
      print_lines(sign_of(difference.kind) + (' ' + difference.boundary) + ": " + difference.text +
                  "  [" + difference.origin + "]");
    }
  }
  if (options.json) {
    print_json({{"v", 1}, {"same", differences.empty()}, {"differences", std::move(list)}});
  } else if (differences.empty()) {
    print("They allow the same.\n");
  }
  return differences.empty() ? ExitCode::kOk : ExitCode::kFunctionFailed;
}

ExitCode policy_test(const Options& options) {
  const auto files = open_policy_files();
  if (files == nullptr) {
    return ExitCode::kManifest;
  }
  const std::string& file = options.policy.policies.front();
  const auto results = manifest::run_expectations(files->book, file);
  if (print_mistakes(*files) || !results) {
    return ExitCode::kManifest;
  }
  size_t failed = 0;
  Json list = Json::array();
  for (const manifest::Expectation& one : *results) {
    const std::string found = manifest::found_text(one.answer);
    failed += one.holds ? 0 : 1;
    list.push_back({{"origin", one.origin},
                    {"question", one.answer.question},
                    {"expected", one.expected},
                    {"found", found},
                    {"holds", one.holds}});
    if (!one.holds && !options.json) {
      print_lines(one.origin + ": expected " + one.expected + ", found " + found +
                  (one.why.empty() ? "" : " (" + one.why + ')') + "\n  " +
                  manifest::to_text(one.answer));
    }
  }
  if (options.json) {
    print_json({{"v", 1}, {"failed", failed}, {"results", std::move(list)}});
  } else {
    print_lines(file + ": " + std::to_string(results->size()) + " expectations, " +
                (failed == 0 ? "all hold" : std::to_string(failed) + " failed"));
  }
  return failed == 0 ? ExitCode::kOk : ExitCode::kFunctionFailed;
}

}  // namespace rtsup::cli
