#include "supervisor/cli/learning_text.h"

#include <cstdio>
#include <utility>

#include "manifest/tools/lint.h"
#include "supervisor/cli/terminal.h"
#include "supervisor/logs/escape.h"
#include "supervisor/run/paths.h"

namespace rtsup::cli {
namespace {

using manifest::Node;

bool print_mistakes(manifest::PolicyBook& book) {
  const std::vector<manifest::Mistake> mistakes = book.mistakes().take();
  for (const manifest::Mistake& mistake : mistakes) {
    (void)std::fprintf(stderr, "%s\n", supervisor::escape(manifest::to_line(mistake)).c_str());
  }
  return !mistakes.empty();
}

const Node* member(const Node* node, std::string_view name) {
  return node == nullptr || node->kind != Node::Kind::kObject ? nullptr : node->find(name);
}

manifest::KnownNames names_in(const Node& manifest) {
  manifest::KnownNames known;
  if (const Node* const components = member(&manifest, "components")) {
    for (const manifest::Member& component : components->members) {
      const Node* const type = member(&component.value, "type");
      const std::string text = type == nullptr ? "" : type->text;
      auto* const list = text.starts_with("state.")       ? &known.state
                         : text.starts_with("pubsub.")    ? &known.pubsub
                         : text.starts_with("sequencer.") ? &known.sequencer
                                                          : nullptr;
      if (list != nullptr) {
        list->push_back(component.name);
      }
    }
  }
  if (const Node* const functions = member(&manifest, "functions")) {
    for (const manifest::Member& function : functions->members) {
      known.functions.push_back(function.name);
    }
  }
  return known;
}

}  // namespace

std::unique_ptr<LearningText> make_learning_text(const manifest::Learned& learned,
                                                 const std::string& manifest_path,
                                                 const std::string& function,
                                                 const std::string& shown_as) {
  const auto paths = supervisor::find_install_paths();
  if (!paths) {
    complain(supervisor::ExitCode::kManifest,
             "this installation is not whole: " + describe(paths.error()));
    return nullptr;
  }
  auto made = std::make_unique<LearningText>(paths->policy_folder);
  manifest::PolicyBook& book = made->book;
  const std::string folder = manifest::folder_of(manifest_path);
  const auto* const document =
      book.documents().open(manifest_path, manifest::file_name_of(manifest_path), nullptr);
  const Node* const row =
      document == nullptr ? nullptr : member(member(&document->root, "functions"), function);
  const Node* const policy = member(row, "policy");
  auto now = policy == nullptr ? std::nullopt : book.open(*policy, folder);
  if (print_mistakes(book) || !now) {
    complain(supervisor::ExitCode::kManifest, "the policy of " + function + " can not be read in " +
                                                  supervisor::escape(manifest_path));
    return nullptr;
  }
  made->now = std::move(*now);
  made->proposal = manifest::propose(learned, made->now, book.groups(), names_in(document->root));
  const std::string name = shown_as.empty() ? "proposed policy" : shown_as;
  made->files.add(name, made->proposal.text);
  auto proposed = made->proposed_book.open(name);
  if (proposed) {
    manifest::require_reasons(*proposed, made->proposed_book.mistakes());
  }
  if (print_mistakes(made->proposed_book) || !proposed) {
    return nullptr;
  }
  made->proposed = std::move(*proposed);
  return made;
}

}  // namespace rtsup::cli
