#include "manifest/learn/patterns.h"

#include <algorithm>
#include <map>

namespace rtsup::manifest {
namespace {

constexpr std::string_view kSeparators = "/:";
// Of a name that is written down whole: a policy takes longer ones of some kinds only.
constexpr size_t kNameBytesMax = 255;

bool is_plain(char c) { return c > ' ' && c < 0x7f && c != '*'; }

}  // namespace

std::string folder_of_name(std::string_view name) {
  const size_t end = name.find_last_of(kSeparators);
  return std::string(name.substr(0, end == std::string_view::npos ? 0 : end + 1));
}

bool stands_for(std::string_view pattern, const SeenName& name) {
  if (pattern.ends_with('*')) {
    return std::string_view(name.text).starts_with(pattern.substr(0, pattern.size() - 1));
  }
  return !name.is_cut && pattern == name.text;
}

Patterns patterns_of(const std::set<SeenName>& names) {
  Patterns result;
  std::map<std::string, std::set<std::string>> folders;  // exact names, by folder
  std::set<std::string> open;                            // folders of which all is meant
  for (const SeenName& name : names) {
    const auto odd = std::find_if_not(name.text.begin(), name.text.end(), is_plain);
    const bool is_whole = odd == name.text.end() && !name.is_cut && !name.text.empty() &&
                          name.text.size() <= kNameBytesMax;
    const std::string folder = folder_of_name(std::string_view(name.text.begin(), odd));
    if (is_whole) {
      folders[folder].insert(name.text);
    } else if (!folder.empty() && folder.size() < kNameBytesMax) {
      open.insert(folder);
    } else {
      ++result.left_out;
    }
  }
  std::set<std::string> patterns;
  for (const std::string& folder : open) {
    patterns.insert(folder + '*');
  }
  for (const auto& [folder, exact] : folders) {
    if (!folder.empty() && exact.size() > 1) {
      patterns.insert(folder + '*');
    } else if (!open.contains(folder)) {
      patterns.insert(exact.begin(), exact.end());
    }
  }
  for (const std::string& pattern : patterns) {
    if (result.list.size() < kPatternsMax) {
      result.list.push_back(pattern);
    } else {
      ++result.left_out;
    }
  }
  return result;
}

}  // namespace rtsup::manifest
