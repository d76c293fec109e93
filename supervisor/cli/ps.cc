#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <variant>

#include "supervisor/cli/client.h"
#include "supervisor/cli/commands.h"
#include "supervisor/cli/terminal.h"
#include "supervisor/cli/usage.h"

namespace rtsup::cli {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

std::string text_at(const json& row, const char* key) {
  const auto found = row.find(key);
  if (found == row.end()) {
    return "-";
  }
  return found->is_string() ? found->get<std::string>() : found->dump();
}

std::string name_of(const json& row, const json& rows) {
  const std::string name = row.value("function", "");
  const auto same = std::count_if(rows.begin(), rows.end(), [&name](const json& other) {
    return other.value("function", "") == name;
  });
  return same > 1 ? name + "." + text_at(row, "instance") : name;
}

std::vector<std::string> table_row(const json& row, const json& rows,
                                   const std::map<std::string, json>& usage) {
  const auto counted = usage.find(row.value("function", ""));
  const json cause = row.value("last_cause", json::object());
  return {name_of(row, rows),
          row.value("state", "?"),
          text_at(row, "pid"),
          text_at(row, "uid"),
          row.contains("uptime_ms") ? format_span(row.value("uptime_ms", int64_t{0})) : "-",
          text_at(row, "restarts"),
          row.contains("memory_bytes") ? format_bytes(row.value("memory_bytes", uint64_t{0})) : "-",
          counted == usage.end() ? "-" : text_at(counted->second, "calls"),
          counted == usage.end() ? "-" : text_at(counted->second, "events"),
          row.value("digest", "-").substr(0, 12),
          text_at(row, "cgroup"),
          cause.value("text", "-")};
}

void print_table(const json& report, const std::map<std::string, json>& usage) {
  const json rows = report.value("functions", json::array());
  std::vector<std::vector<std::string>> table = {{"FUNCTION", "STATE", "PID", "UID", "UPTIME",
                                                  "RESTARTS", "MEMORY", "CALLS", "EVENTS", "DIGEST",
                                                  "CGROUP", "LAST CAUSE"}};
  for (const json& row : rows) {
    table.push_back(table_row(row, rows, usage));
  }
  print(report.value("name", "") + ": up " + format_span(report.value("uptime_ms", int64_t{0})) +
        ", pid " + text_at(report, "pid") + ", " + text_at(report, "violations") + " violations, " +
        report.value("manifest", "") + "\n");
  for (const json& loss : report.value("accepted", json::array())) {
    print(coloured(Colour::kBad, "accepted loss: ") + loss.value("boundary", "") + ": " +
          loss.value("text", "") + "\n");
  }
  for (const json& row : rows) {
    if (const auto relaxed = row.find("relaxed"); relaxed != row.end()) {
      const bool learned = relaxed->value("for", "") == "learning";
      print(coloured(Colour::kBad, "not enforced: ") + name_of(row, rows) +
            (learned ? " is being learned for another " : " is in complain mode for another ") +
            format_span(relaxed->value("ends_ms", int64_t{0})) +
            ": system calls that its policy denies are made\n");
    }
  }
  print(format_table(table));
}

}  // namespace

ExitCode ps(const Options& options) {
  auto connected = Client::connect(options.name);
  if (const auto* const failure = std::get_if<ClientFailure>(&connected)) {
    return complain(failure->code, failure->text);
  }
  Client& client = std::get<Client>(connected);
  auto answer = client.ask({{"v", 1}, {"op", "ps"}});
  if (const auto* const failure = std::get_if<ClientFailure>(&answer)) {
    return complain(failure->code, failure->text);
  }
  json& report = std::get<json>(answer);
  const std::map<std::string, json> usage = read_usage(client);
  if (!options.json) {
    print_table(report, usage);
    return ExitCode::kOk;
  }
  for (json& row : report["functions"]) {
    if (const auto counted = usage.find(row.value("function", "")); counted != usage.end()) {
      row["calls"] = counted->second["calls"];
      row["usage"] = counted->second;
    }
  }
  report.erase("ok");
  print(report.dump(2) + "\n");
  return ExitCode::kOk;
}

}  // namespace rtsup::cli
