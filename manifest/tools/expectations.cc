#include "manifest/tools/expectations.h"

#include "manifest/fields.h"
#include "manifest/syscalls.h"

namespace rtsup::manifest {
namespace {

constexpr std::string_view kKinds[] = {"call", "api", "resource"};

// The one key that says what is asked; a mistake when there is none, or two.
const Node* question_of(const Node& entry, Mistakes& mistakes) {
  const Node* found = nullptr;
  for (const std::string_view kind : kKinds) {
    const Node* const question = entry.find(kind);
    if (question != nullptr && found != nullptr) {
      mistakes.add(*question,
                   "only one of \"call\", \"api\" and \"resource\" can be asked at once");
      return nullptr;
    }
    found = question != nullptr ? question : found;
  }
  if (found == nullptr) {
    mistakes.add(entry, "expected \"call\", \"api\" or \"resource\"");
  }
  return found;
}

Answer ask(const FlatPolicy& policy, const Groups& groups, const Node& entry,
           const Node& question) {
  if (&question == entry.find("call")) {
    return ask_call(policy, groups, question.text);
  }
  return &question == entry.find("api") ? ask_api(policy, question.text)
                                        : ask_resource(policy, question.text);
}

// Adds nothing after a mistake.
void read_expectation(const Node& entry, const FlatPolicy* policy, PolicyBook& book,
                      std::vector<Expectation>& list) {
  static const Vocabulary vocabulary{{"call", "api", "resource", "verdict", "why"}, {}};
  static const Names verdicts = [] {
    Names names{"allowed", "denied"};
    names.insert(names.end(), errno_names().begin(), errno_names().end());
    return names;
  }();
  Mistakes& mistakes = book.mistakes();
  if (!check_object(entry, vocabulary, mistakes)) {
    return;
  }
  const Node* const question = question_of(entry, mistakes);
  const Node* const verdict = required(entry, "verdict", mistakes);
  const auto expected =
      verdict == nullptr ? std::nullopt : read_word(*verdict, "verdict", {verdicts, {}}, mistakes);
  const Node* const why = entry.find("why");
  const auto reason = why == nullptr ? std::optional<std::string>("") : read_text(*why, mistakes);
  if (question == nullptr || !expected || !reason || !read_text(*question, mistakes) ||
      policy == nullptr) {
    return;
  }
  Expectation expectation{.origin = origin_of(entry),
                          .expected = *expected,
                          .why = *reason,
                          .answer = ask(*policy, book.groups(), entry, *question)};
  if (!expectation.answer.mistake.empty()) {
    mistakes.add(*question, expectation.answer.mistake);
    return;
  }
  expectation.holds = found_text(expectation.answer) == *expected;
  list.push_back(std::move(expectation));
}

}  // namespace

std::string found_text(const Answer& answer) {
  return answer.verdict == Verdict::kAnswered ? answer.error
                                              : std::string(verdict_name(answer.verdict));
}

std::optional<std::vector<Expectation>> run_expectations(PolicyBook& book,
                                                         const std::string& path) {
  static const Vocabulary vocabulary{{"$schema", "description", "policy", "expect"}, {}};
  Mistakes& mistakes = book.mistakes();
  const size_t before = mistakes.count();
  const Document* const document = book.documents().open(path, file_name_of(path), nullptr);
  if (document == nullptr || !check_object(document->root, vocabulary, mistakes)) {
    return std::nullopt;
  }
  const Node* const named = required(document->root, "policy", mistakes);
  std::optional<FlatPolicy> policy;
  if (named != nullptr) {
    policy = book.open(*named, folder_of(path));
  }
  const Node* const expect = required(document->root, "expect", mistakes);
  std::vector<Expectation> list;
  if (expect != nullptr && check_array(*expect, mistakes)) {
    if (expect->items.empty()) {
      mistakes.add(*expect, "expected at least one question");
    }
    for (const Node& entry : expect->items) {
      read_expectation(entry, policy ? &*policy : nullptr, book, list);
    }
  }
  return mistakes.count() == before ? std::optional(std::move(list)) : std::nullopt;
}

}  // namespace rtsup::manifest
