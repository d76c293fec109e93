#include "bench/ipc/plot.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace rtsup::bench {
namespace {

constexpr int kLabelWidth = 430;
constexpr int kPlotWidth = 760;
constexpr int kRowHeight = 22;
constexpr int kTop = 56;
constexpr int kBottom = 36;
constexpr int kRight = 24;
constexpr int kBinsPerDecade = 40;  // of the shape of a row

// The axis: whole decades that hold everything.
struct Axis {
  int lowest = 0;  // powers of ten, in nanoseconds
  int highest = 1;
  double x(double ns) const {
    const double part = (std::log10(std::max(ns, 1.0)) - lowest) / (highest - lowest);
    return kLabelWidth + part * kPlotWidth;
  }
};

Axis axis_of(const std::vector<const Case*>& rows) {
  double lowest = 1e12;
  double highest = 10;
  for (const Case* row : rows) {
    const Histogram all = all_rounds(*row);
    lowest = std::min(lowest, static_cast<double>(std::max<uint64_t>(all.quantile(0), 1)));
    highest = std::max(highest, static_cast<double>(all.max()));
  }
  Axis axis;
  axis.lowest = static_cast<int>(std::floor(std::log10(std::min(lowest, highest))));
  axis.highest = std::max(axis.lowest + 1, static_cast<int>(std::ceil(std::log10(highest))));
  return axis;
}

std::string escaped(const std::string& text) {
  std::string safe;
  for (const char c : text) {
    safe += c == '<' ? "&lt;" : c == '&' ? "&amp;" : std::string(1, c);
  }
  return safe;
}

template <typename... Values>
std::string format(const char* pattern, Values... values) {
  char text[256];
  std::snprintf(text, sizeof(text), pattern, values...);
  return text;
}

std::string text_at(double x, double y, const char* anchor, const std::string& text) {
  return format("<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y, anchor) + escaped(text) +
         "</text>\n";
}

std::string label_of(const CaseKey& key) {
  std::string label = key.name + ", " + key.placement + ", " + size_text(key.bytes);
  if (key.depth != 1) {
    label += ", depth " + std::to_string(key.depth);
  }
  if (key.callers != 1) {
    label += ", " + std::to_string(key.callers) + " callers";
  }
  return label;
}

std::string grid(const Axis& axis, int bottom) {
  std::string svg;
  for (int power = axis.lowest; power <= axis.highest; ++power) {
    const double x = axis.x(std::pow(10.0, power));
    svg += format("<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\" class=\"grid\"/>\n", x,
                  kTop - 6, x, bottom);
    const char* const units[] = {"ns", "us", "ms", "s"};
    const int unit = std::min(power / 3, 3);
    svg += text_at(x, bottom + 16, "middle",
                   format("%.0f %s", std::pow(10.0, power - 3 * unit), units[unit]));
  }
  return svg;
}

// How many calls took how long: the height is a part of the row's fullest bin.
std::string shape(const Histogram& all, const Axis& axis, double base) {
  const size_t bin_count = static_cast<size_t>(axis.highest - axis.lowest) * kBinsPerDecade;
  std::vector<double> bins(bin_count + 1);
  all.for_each([&](uint64_t lowest_ns, uint64_t count) {
    const double at = std::log10(std::max<double>(static_cast<double>(lowest_ns), 1)) - axis.lowest;
    const auto bin = static_cast<size_t>(std::max(at, 0.0) * kBinsPerDecade);
    bins[std::min(bin, bin_count)] += static_cast<double>(count);
  });
  const double fullest = *std::max_element(bins.begin(), bins.end());
  const double width = static_cast<double>(kPlotWidth) / static_cast<double>(bin_count);
  std::string svg;
  for (size_t i = 0; i < bins.size(); ++i) {
    if (bins[i] > 0) {
      // The root, so that the tail is seen beside the bulk.
      const double height = std::max(1.0, std::sqrt(bins[i] / fullest) * (kRowHeight - 6));
      svg += format("<rect x=\"%.1f\" y=\"%.1f\" width=\"%.2f\" height=\"%.1f\" class=\"bin\"/>\n",
                    kLabelWidth + static_cast<double>(i) * width, base - height, width, height);
    }
  }
  return svg;
}

std::string row_of(const Case& one, const Axis& axis, int top) {
  const Histogram all = all_rounds(one);
  const double base = top + kRowHeight - 3;
  std::string svg = text_at(kLabelWidth - 10, base - 3, "end", label_of(one.key));
  svg += shape(all, axis, base);
  for (const auto& [part, style] : {std::pair{0.5, "p50"}, {0.99, "p99"}, {0.999, "p999"}}) {
    const auto ns = static_cast<double>(all.quantile(part));
    const double x = axis.x(ns);
    svg += format("<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" class=\"%s\">", x,
                  base - kRowHeight + 6, x, base, style);
    svg += format("<title>%s ", style) + time_text(ns) + "</title></line>\n";
  }
  return svg;
}

}  // namespace

std::string to_svg(const std::vector<Case>& cases) {
  std::vector<const Case*> rows;
  for (const Case& one : cases) {
    if (one.not_measured.empty() && !one.rounds.empty()) {
      rows.push_back(&one);
    }
  }
  const Axis axis = axis_of(rows);
  const int bottom = kTop + static_cast<int>(rows.size()) * kRowHeight;
  const int width = kLabelWidth + kPlotWidth + kRight;
  std::string svg = format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d "
      "%d\">\n",
      width, bottom + kBottom, width, bottom + kBottom);
  svg += R"(<style>text{font:12px sans-serif;fill:#222}.grid{stroke:#ccc}.bin{fill:#7aa6d8}
.p50{stroke:#111;stroke-width:2}.p99{stroke:#d80;stroke-width:2}
.p999{stroke:#c22;stroke-width:2}</style>
<rect width="100%" height="100%" fill="#fff"/>
)";
  svg += text_at(kLabelWidth, 20, "start",
                 "Time of a call: how many took how long (height: square root), one row a case");
  svg += text_at(kLabelWidth, 38, "start", "black p50, orange p99, red p99.9");
  svg += grid(axis, bottom);
  int top = kTop;
  for (const Case* row : rows) {
    svg += row_of(*row, axis, top);
    top += kRowHeight;
  }
  return svg + "</svg>\n";
}

}  // namespace rtsup::bench
