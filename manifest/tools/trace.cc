#include "manifest/tools/trace.h"

#include <algorithm>
#include <map>

#include "manifest/mistakes.h"

namespace rtsup::manifest {
namespace {

constexpr std::string_view kSpace = " \t\r";
constexpr size_t kShownBytes = 200;

bool is_prefix_word(std::string_view word) {
  return !word.empty() && word.find_first_not_of("0123456789:.-+") == std::string_view::npos;
}

// The line from the call's name on.
std::string_view without_prefix(std::string_view line) {
  const auto skip_space = [&line] {
    line.remove_prefix(std::min(line.find_first_not_of(kSpace), line.size()));
  };
  skip_space();
  if (line.starts_with("[pid")) {
    line.remove_prefix(std::min(line.find(']'), line.size() - 1) + 1);
    skip_space();
  }
  for (;;) {
    const std::string_view word = line.substr(0, line.find_first_of(kSpace));
    // "---" and "+++" say something else.
    if (!is_prefix_word(word) || word.starts_with("---") || word.starts_with("+++")) {
      return line;
    }
    line.remove_prefix(word.size());
    skip_space();
  }
}

bool says_nothing(std::string_view line) {
  return line.empty() || line.starts_with("---") || line.starts_with("+++") ||
         line.starts_with("<... ") || line.starts_with("strace: ");
}

// Without the result, which names nothing that a policy looks at.
std::string shown(std::string_view line) {
  std::string text(line.substr(0, kShownBytes));
  return line.size() > kShownBytes ? text + "..." : text;
}

class TraceReader {
 public:
  TraceReader(const FlatPolicy& policy, const Groups& groups) : policy_(policy), groups_(groups) {}

  void read(std::string_view line, uint64_t number) {
    line = without_prefix(line);
    if (says_nothing(line)) {
      return;
    }
    // What an interrupted call has not shown yet stays unknown.
    const size_t unfinished = line.find("<unfinished");
    const ParsedCall parsed = line.find('(') == std::string_view::npos
                                  ? ParsedCall{.mistake = "expected NAME(ARGUMENTS) = RESULT"}
                                  : parse_call(line.substr(0, unfinished), CallReading::kTolerant);
    if (!parsed.call) {
      ++report_.not_understood;
      if (report_.doubts.size() < kTraceRowsMax) {
        report_.doubts.push_back("line " + std::to_string(number) + ": " + parsed.mistake + ": " +
                                 quote(shown(line)));
      }
      return;
    }
    take(ask_call(policy_, groups_, *parsed.call, shown(line)), parsed.call->call, number);
  }
  TraceReport finish() { return std::move(report_); }

 private:
  void take(Answer answer, int call, uint64_t number) {
    ++report_.calls;
    switch (answer.verdict) {
      case Verdict::kAllowed:
        ++report_.allowed;
        return;
      case Verdict::kAnswered:
        ++report_.answered;
        return;
      case Verdict::kDenied:
        ++report_.denied;
        break;
      case Verdict::kUnclear:
        ++report_.unclear;
        break;
    }
    // Calls that the same line would allow are one row.
    const std::string kind = std::to_string(call) + std::string(verdict_name(answer.verdict)) +
                             answer.reason + answer.line;
    const auto [row, first] = rows_.emplace(kind, report_.rows.size());
    if (first && report_.rows.size() < kTraceRowsMax) {
      report_.rows.push_back({.answer = std::move(answer), .line = number, .count = 1});
    } else if (first) {
      rows_.erase(row);
    } else {
      ++report_.rows[row->second].count;
    }
  }

  const FlatPolicy& policy_;
  const Groups& groups_;
  TraceReport report_;
  std::map<std::string, size_t> rows_;  // where each kind stands in the report
};

}  // namespace

TraceReport ask_trace(const FlatPolicy& policy, const Groups& groups, std::string_view text) {
  TraceReader reader(policy, groups);
  uint64_t number = 0;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    reader.read(text.substr(0, end), ++number);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return reader.finish();
}

}  // namespace rtsup::manifest
