#include "manifest/tools/question.h"

#include "manifest/mistakes.h"

namespace rtsup::manifest {

std::string_view verdict_name(Verdict verdict) noexcept {
  switch (verdict) {
    case Verdict::kAllowed:
      return "allowed";
    case Verdict::kAnswered:
      return "answered";
    case Verdict::kDenied:
      return "denied";
    case Verdict::kUnclear:
      return "unclear";
  }
  return {};
}

std::string to_text(const Answer& answer) {
  std::string text = answer.question + ": ";
  if (!answer.mistake.empty()) {
    return text + answer.mistake + '\n';
  }
  text += verdict_name(answer.verdict);
  text += answer.error.empty() ? "\n" : " with " + answer.error + '\n';
  if (!answer.rule.empty()) {
    text += "  by " + answer.rule + ", " + answer.origin +
            (answer.why.empty() ? "\n" : " (" + answer.why + ")\n");
  }
  if (!answer.reason.empty()) {
    text += "  " + answer.reason + '\n';
  }
  if (!answer.line.empty()) {
    text += "  to allow it, in " + answer.section + ": " + answer.line + '\n';
  }
  return text;
}

}  // namespace rtsup::manifest
