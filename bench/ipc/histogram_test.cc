#include "bench/ipc/histogram.h"

#include <gtest/gtest.h>

#include "bench/ipc/caller_report.h"

namespace rtsup::bench {
namespace {

TEST(HistogramTest, QuantilesAreAtMostOnePercentOff) {
  Histogram histogram;
  for (uint64_t ns = 1; ns <= 100'000; ++ns) {
    histogram.add(ns);
  }
  for (const double part : {0.5, 0.9, 0.99, 0.999}) {
    const double exact = part * 100'000;
    EXPECT_NEAR(static_cast<double>(histogram.quantile(part)), exact, exact / 100);
  }
  EXPECT_EQ(histogram.count(), 100'000U);
  EXPECT_EQ(histogram.max(), 100'000U);
}

TEST(HistogramTest, SmallValuesAreExact) {
  Histogram histogram;
  histogram.add(0);
  histogram.add(7);
  histogram.add(127);
  EXPECT_EQ(histogram.quantile(0), 0U);
  EXPECT_EQ(histogram.quantile(0.5), 7U);
  EXPECT_EQ(histogram.quantile(0.99), 127U);
}

TEST(HistogramTest, TextCarriesAll) {
  Histogram histogram;
  for (const uint64_t ns : {3ULL, 160ULL, 160ULL, 5'800ULL, 40'000'000ULL, ~0ULL}) {
    histogram.add(ns);
  }
  const auto back = Histogram::parse(histogram.to_text());
  ASSERT_TRUE(back);
  EXPECT_EQ(back->to_text(), histogram.to_text());
  EXPECT_EQ(back->count(), 6U);
  EXPECT_EQ(back->quantile(0.5), histogram.quantile(0.5));
}

TEST(HistogramTest, TextThatIsNoHistogramIsRefused) {
  for (const char* text : {"", "1:", "1", "x 1", "1:2", "99999999999999:1 5", "1:2 x"}) {
    EXPECT_FALSE(Histogram::parse(text)) << text;
  }
}

TEST(HistogramTest, MergeAddsUp) {
  Histogram one;
  Histogram other;
  one.add(10);
  other.add(20);
  one.merge(other);
  EXPECT_EQ(one.count(), 2U);
  EXPECT_EQ(one.max(), 20U);
}

TEST(CallerReportTest, CrossesAsText) {
  CallerReport report{.cpu_ns = 1234, .begin_ns = 99'000, .end_ns = 100'000, .latency = {}};
  report.latency.add(640, 32);
  const auto read = CallerReport::parse(report.to_text());
  ASSERT_TRUE(read);
  EXPECT_EQ(read->cpu_ns, 1234U);
  EXPECT_EQ(read->end_ns - read->begin_ns, 1'000U);
  EXPECT_EQ(read->latency.count(), 32U);
  EXPECT_EQ(read->latency.max(), 640U);
}

TEST(CallerReportTest, TextThatIsNoneIsRefused) {
  for (const char* text :
       {"", "12", "12 ", "12 13 14", "x 13 14 1:1 1", "12 13 1:1 1", "12 13 14 1:x 1"}) {
    EXPECT_FALSE(CallerReport::parse(text)) << text;
  }
}

}  // namespace
}  // namespace rtsup::bench
