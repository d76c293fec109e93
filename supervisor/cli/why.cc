// `rtsup why`: what functions were denied, and what would allow it.
#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <variant>

#include "abi/base/ids.h"
#include "supervisor/base/denials.h"
#include "supervisor/cli/client.h"
#include "supervisor/cli/commands.h"
#include "supervisor/cli/terminal.h"
#include "supervisor/denials/explain.h"
#include "supervisor/logs/escape.h"
#include "supervisor/run/paths.h"
#include "sys/file.h"

namespace rtsup::cli {
namespace {

using nlohmann::ordered_json;
using supervisor::Denial;
using supervisor::Explanation;

constexpr size_t kShownByDefault = 1;
constexpr std::string_view kEnding = ".jsonl";

// What happened once or more, and when last.
struct Shown {
  Denial last;
  uint64_t times = 0;
};

std::string folder_of(const std::string& application) {
  return supervisor::state_root() + "/" + application + "/denials";
}

// The one that is meant: records outlive what made them, so it need not run.
std::variant<std::string, ClientFailure> find_application(const std::string& name) {
  if (!name.empty()) {
    return name;
  }
  const auto running = find_instance(name);
  if (const auto* const paths = std::get_if<supervisor::RunPaths>(&running)) {
    return paths->folder.substr(paths->folder.rfind('/') + 1);
  }
  const auto names = sys::list_directory(supervisor::state_root());
  std::vector<std::string> kept;
  for (const std::string& one : names.value_or(std::vector<std::string>())) {
    if (is_valid_name(one) && sys::identify_path(folder_of(one))) {
      kept.push_back(one);
    }
  }
  if (kept.size() == 1) {
    return kept.front();
  }
  return std::get<ClientFailure>(running);
}

// Oldest first. The file before holds the older ones.
std::vector<Denial> read_function(const std::string& folder, const std::string& function) {
  std::vector<Denial> all;
  for (const char* const part : {".1", ""}) {
    std::string path = folder;
    path.append("/").append(function).append(kEnding).append(part);
    const auto text = sys::read_file(path, supervisor::kDenialBytesMax);
    if (text) {
      std::vector<Denial> more = supervisor::read_denials(*text);
      all.insert(all.end(), std::make_move_iterator(more.begin()),
                 std::make_move_iterator(more.end()));
    }
  }
  return all;
}

std::vector<std::string> functions_in(const std::string& folder, const std::string& wanted) {
  if (!wanted.empty()) {
    return is_valid_name(wanted) ? std::vector{wanted} : std::vector<std::string>();
  }
  std::vector<std::string> functions;
  const auto names = sys::list_directory(folder);
  for (const std::string& name : names.value_or(std::vector<std::string>())) {
    if (name.ends_with(kEnding)) {
      functions.push_back(name.substr(0, name.size() - kEnding.size()));
    }
  }
  std::sort(functions.begin(), functions.end());
  return functions;
}

// Each kind once, in order of when it was seen last; the last `count` of them.
std::vector<Shown> last_kinds(std::vector<Denial> denials, size_t count) {
  std::map<std::string, size_t> places;
  std::vector<Shown> kinds;
  for (Denial& denial : denials) {
    const auto [place, is_new] = places.try_emplace(supervisor::kind_of(denial), kinds.size());
    if (is_new) {
      kinds.emplace_back();
    }
    Shown& shown = kinds[place->second];
    // The broker counts, and tells of some only; of the others each has a line of its own.
    shown.times = std::max(shown.times + 1, denial.count);
    shown.last = std::move(denial);
  }
  std::stable_sort(kinds.begin(), kinds.end(), [](const Shown& a, const Shown& b) {
    return a.last.time < b.last.time;  // as written, it sorts by time
  });
  kinds.erase(kinds.begin(), kinds.end() - static_cast<ptrdiff_t>(std::min(count, kinds.size())));
  return kinds;
}

std::string row(const char* name, const std::string& text) {
  constexpr size_t kWidth = 9;
  std::string line = std::string("  ") + name;
  line.append(kWidth - line.size() + 2, ' ');
  return text.empty() ? "" : line + text + "\n";
}

std::string hexadecimal(uint64_t value) {
  char text[24];
  const int length = snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
  return {text, static_cast<size_t>(length)};
}

std::string place_of(const Denial& denial) {
  if (denial.boundary != "security") {
    return "";
  }
  return "thread " + std::to_string(denial.thread) + ", instruction " +
         hexadecimal(denial.instruction) +
         (denial.stack_pointer ? ", stack " + hexadecimal(*denial.stack_pointer) : "");
}

std::string to_text(const Shown& shown, const Explanation& why) {
  const Denial& denial = shown.last;
  std::string text =
      coloured(Colour::kDim, supervisor::escape(denial.time)) + " " +
      supervisor::escape(denial.function) + "." + std::to_string(denial.instance) + ": " +
      coloured(Colour::kBad,
               (denial.enforced ? "denied by the " : "made in complain mode, against the ") +
                   supervisor::escape(denial.boundary) + " boundary") +
      (shown.times > 1 ? ", at least " + std::to_string(shown.times) + " times" : "") + "\n";
  text += row("asked", why.asked) + row("missing", why.missing) + row("line", why.line) +
          row("or", why.group) + row("opens", why.opens) + row("note", why.note);
  text += why.line.empty() ? "" : row("where", why.where);
  text += row("at", place_of(denial));
  text += denial.unlisted == 0 ? ""
                               : row("besides", std::to_string(denial.unlisted) +
                                                    " denials of other kinds that were not listed");
  return text;
}

ordered_json to_json(const Shown& shown, const Explanation& why) {
  const Denial& denial = shown.last;
  const auto safe = [](const std::string& text) { return supervisor::escape(text); };
  ordered_json object = {{"time", safe(denial.time)},
                         {"boundary", safe(denial.boundary)},
                         {"function", safe(denial.function)},
                         {"instance", denial.instance},
                         {"enforced", denial.enforced},
                         {"times", shown.times},
                         {"unlisted", denial.unlisted},
                         {"asked", why.asked},
                         {"missing", why.missing},
                         {"where", why.where},
                         {"policy_digest", safe(denial.policy_digest)}};
  for (const auto& [key, text] : {std::pair{"reason", safe(denial.reason)},
                                  {"call", safe(denial.call)},
                                  {"line", why.line},
                                  {"group", why.group},
                                  {"opens", why.opens},
                                  {"note", why.note}}) {
    if (!text.empty()) {
      object[key] = text;
    }
  }
  if (denial.boundary == "security") {
    object["thread"] = denial.thread;
    object["instruction"] = hexadecimal(denial.instruction);
    if (denial.stack_pointer) {
      object["stack_pointer"] = hexadecimal(*denial.stack_pointer);
    }
    if (denial.path) {
      object["path_as_seen"] = safe(*denial.path);
    }
  }
  return object;
}

}  // namespace

ExitCode why(const Options& options) {
  const auto application = find_application(options.name);
  if (const auto* const failure = std::get_if<ClientFailure>(&application)) {
    return complain(failure->code, failure->text);
  }
  const std::string& name = std::get<std::string>(application);
  const std::string folder = folder_of(name);
  if (!is_valid_name(name) || !sys::identify_path(folder)) {
    return complain(ExitCode::kNotRunning, "nothing is on record of \"" + name + "\"");
  }
  const size_t count = options.all ? SIZE_MAX : options.last != 0 ? options.last : kShownByDefault;
  const auto install = supervisor::find_install_paths();
  const std::string policies = install ? install->policy_folder : "";
  ordered_json list = ordered_json::array();
  std::string text;
  for (const std::string& function : functions_in(folder, options.function)) {
    for (const Shown& shown : last_kinds(read_function(folder, function), count)) {
      const Explanation why = supervisor::explain(shown.last, policies);
      if (options.json) {
        list.push_back(to_json(shown, why));
      } else {
        text += (text.empty() ? "" : "\n") + to_text(shown, why);
      }
    }
  }
  if (options.json) {
    const ordered_json answer = {{"v", 1}, {"name", name}, {"denials", std::move(list)}};
    print(answer.dump(-1, ' ', true, ordered_json::error_handler_t::replace) + "\n");
    return ExitCode::kOk;
  }
  print(text);
  return text.empty() ? complain(ExitCode::kOk, "nothing was denied") : ExitCode::kOk;
}

}  // namespace rtsup::cli
