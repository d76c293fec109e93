#include "bench/ipc/report.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "bench/ipc/machine.h"

namespace rtsup::bench {
namespace {

using Json = nlohmann::ordered_json;
constexpr int kFormatVersion = 1;

// The median over the rounds; negative when a round does not know.
double median_of(const Case& one, double Sample::*figure) {
  std::vector<double> figures;
  for (const Sample& sample : one.rounds) {
    figures.push_back(sample.*figure);
  }
  std::sort(figures.begin(), figures.end());
  return figures.empty() ? -1 : figures[figures.size() / 2];
}

Json known_or_null(double figure) { return figure < 0 ? Json() : Json(figure); }

Json key_json(const CaseKey& key) {
  return {{"name", key.name},
          {"placement", key.placement},
          {"bytes", key.bytes},
          {"depth", key.depth},
          {"callers", key.callers}};
}

const char* name_of(Figure figure) {
  switch (figure) {
    case Figure::kP50:
      return "p50";
    case Figure::kCallsPerSecond:
      return "calls_per_second";
    case Figure::kCpu:
      return "cpu";
    case Figure::kDoorbells:
      return "doorbells";
  }
  return "";
}

std::string rate_text(double per_second) {
  return per_second < 0 ? "" : std::to_string(static_cast<uint64_t>(per_second / 1000)) + " k/s";
}

Json to_json(const Case& one) {
  const Histogram all = all_rounds(one);
  Json steps = Json::array();
  all.for_each([&](uint64_t lowest, uint64_t count) { steps.push_back({lowest, count}); });
  Json medians = Json::array();
  for (const Sample& sample : one.rounds) {
    medians.push_back(sample.latency.quantile(0.5));
  }
  Json json = key_json(one.key);
  json.update({{"calls", all.count()},
               {"calls_per_second", known_or_null(median_of(one, &Sample::calls_per_second))},
               {"p50_ns", all.quantile(0.5)},
               {"p90_ns", all.quantile(0.9)},
               {"p99_ns", all.quantile(0.99)},
               {"p999_ns", all.quantile(0.999)},
               {"max_ns", all.max()},
               {"caller_cpu_ns_per_call", known_or_null(median_of(one, &Sample::caller_cpu_ns))},
               {"server_cpu_ns_per_call", known_or_null(median_of(one, &Sample::server_cpu_ns))},
               {"doorbells_per_call", known_or_null(median_of(one, &Sample::doorbells))},
               {"bytes_copied_per_call", known_or_null(median_of(one, &Sample::bytes_copied))},
               {"payload_copies_per_call", known_or_null(median_of(one, &Sample::payload_copies))},
               {"round_p50_ns", medians},
               {"histogram", {{"unit", "ns"}, {"steps", steps}}}});
  return json;
}

std::string figure_text(double figure) {
  char text[32];
  std::snprintf(text, sizeof(text), figure < 0.1 ? "%.4f" : "%.2f", figure);
  return text;
}

}  // namespace

Histogram all_rounds(const Case& one) {
  Histogram all;
  for (const Sample& sample : one.rounds) {
    all.merge(sample.latency);
  }
  return all;
}

std::string time_text(double ns) {
  char text[32];
  if (ns < 0) {
    return "";
  }
  if (ns < 1000) {
    std::snprintf(text, sizeof(text), "%.0f ns", ns);
  } else if (ns < 1e6) {
    std::snprintf(text, sizeof(text), "%.2f us", ns / 1e3);
  } else {
    std::snprintf(text, sizeof(text), "%.2f ms", ns / 1e6);
  }
  return text;
}

std::string size_text(size_t bytes) {
  return bytes >= 1024 * 1024 ? std::to_string(bytes >> 20) + " MiB"
         : bytes >= 1024      ? std::to_string(bytes >> 10) + " KiB"
                              : std::to_string(bytes) + " B";
}

std::string to_json(const std::vector<Case>& cases, const std::vector<Ratio>& ratios) {
  Json report = {{"format", "rtsup-bench-ipc"}, {"version", kFormatVersion}};
  for (const auto& [name, value] : machine_facts()) {
    report["machine"][name] = value;
  }
  report["cases"] = Json::array();
  report["not_measured"] = Json::array();
  for (const Case& one : cases) {
    if (one.not_measured.empty()) {
      report["cases"].push_back(to_json(one));
    } else {
      Json absent = key_json(one.key);
      absent["why"] = one.not_measured;
      report["not_measured"].push_back(std::move(absent));
    }
  }
  report["ratios"] = Json::array();
  for (const Ratio& ratio : ratios) {
    report["ratios"].push_back({{"name", ratio.name},
                                {"figure", name_of(ratio.figure)},
                                {"goal", ratio.goal},
                                {"median", ratio.median},
                                {"lowest", ratio.lowest},
                                {"highest", ratio.highest}});
  }
  return report.dump(1) + "\n";
}

static std::string row_text(const Case& one) {
  std::string text = "| " + one.key.name + " | " + one.key.placement + " | " +
                     size_text(one.key.bytes) + " | " + std::to_string(one.key.depth) + " | " +
                     std::to_string(one.key.callers) + " | ";
  const Histogram all = all_rounds(one);
  text +=
      std::to_string(all.count()) + " | " + rate_text(median_of(one, &Sample::calls_per_second));
  for (const double part : {0.5, 0.9, 0.99, 0.999}) {
    text += " | " + time_text(static_cast<double>(all.quantile(part)));
  }
  const auto figure = [&](double Sample::*which) {
    const double median = median_of(one, which);
    return median < 0 ? std::string() : figure_text(median);
  };
  return text + " | " + time_text(static_cast<double>(all.max())) + " | " +
         time_text(median_of(one, &Sample::caller_cpu_ns)) + " | " +
         time_text(median_of(one, &Sample::server_cpu_ns)) + " | " + figure(&Sample::doorbells) +
         " | " + figure(&Sample::bytes_copied) + " | " + figure(&Sample::payload_copies) + " |\n";
}

std::string to_markdown(const std::vector<Case>& cases, const std::vector<Ratio>& ratios) {
  std::string text;
  std::string absent;
  for (const auto& [name, value] : machine_facts()) {
    text.append("- ").append(name).append(": ").append(value).append("\n");
  }
  text +=
      "\n| what | where | size | depth | callers | calls | calls/s | p50 | p90 | p99 | p99.9 | max "
      "| CPU caller | CPU server | doorbells | bytes copied | payload copies |\n"
      "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- "
      "| --- | --- |\n";
  for (const Case& one : cases) {
    if (one.not_measured.empty()) {
      text += row_text(one);
    } else {
      absent += "- " + one.key.name + ", " + one.key.placement + ", " + size_text(one.key.bytes) +
                ": " + one.not_measured.substr(0, one.not_measured.find('\n')) + "\n";
    }
  }
  if (!ratios.empty()) {
    text +=
        "\n| ratio (of p50, where nothing else is said) | median of the rounds | range | goal |\n| "
        "--- | --- | --- | --- |\n";
  }
  for (const Ratio& ratio : ratios) {
    text += "| " + ratio.name + " | " + figure_text(ratio.median) + " | " +
            figure_text(ratio.lowest) + " to " + figure_text(ratio.highest) + " | " + ratio.goal +
            " |\n";
  }
  return absent.empty() ? text : text + "\nNot measured:\n" + absent;
}

}  // namespace rtsup::bench
