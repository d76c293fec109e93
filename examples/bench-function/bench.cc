// bench: a benchmark of one's own, run as a function. The payload and the loop are what this
// function's author cares about: an order that looks up eight products. It is measured one look-up
// after the other, and with all eight under way at a time.
//
// Asked with a number of orders, it answers
//   {"orders":1000,"one_by_one":{"p50_us":..,"p99_us":..,"max_us":..},"together":{..}}
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <rtsup/pending.hpp>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
constexpr size_t kProducts = 8;
constexpr size_t kProductBytes = 200;  // about what a product's JSON takes
constexpr size_t kWarmUpOrders = 100;
constexpr size_t kOrdersMax = 1'000'000;

std::string key_of(size_t product) { return "product/" + std::to_string(product); }

rtsup::Status one_by_one(const rtsup::State& store) {
  for (size_t i = 0; i < kProducts; ++i) {
    const auto product = store.get(key_of(i));
    if (!product) {
      return product.status();
    }
  }
  return {};
}

rtsup::Status together(const rtsup::State& store) {
  std::vector<rtsup::Pending<rtsup::Entry>> gets;
  gets.reserve(kProducts);
  for (size_t i = 0; i < kProducts; ++i) {
    gets.push_back(rtsup::begin_get(store, key_of(i)));
  }
  for (auto& get : gets) {
    const auto product = get.wait();
    if (!product) {
      return product.status();
    }
  }
  return {};
}

// Times in microseconds of `orders` runs, after a warm-up that does not count.
template <typename Order>
rtsup::Result<std::string> measure(size_t orders, const Order& order) {
  std::vector<double> times;
  times.reserve(orders);
  for (size_t i = 0; i < kWarmUpOrders + orders; ++i) {
    const auto before = Clock::now();
    rtsup::Status status = order();
    if (!status.ok()) {
      return status;
    }
    if (i >= kWarmUpOrders) {
      times.push_back(std::chrono::duration<double, std::micro>(Clock::now() - before).count());
    }
  }
  std::sort(times.begin(), times.end());
  char text[128];
  std::snprintf(text, sizeof(text), R"({"p50_us":%.2f,"p99_us":%.2f,"max_us":%.2f})",
                times[orders / 2], times[orders * 99 / 100], times.back());
  return std::string(text);
}

}  // namespace

class Bench : public rtsup::Function {
 public:
  rtsup::Status handle(const rtsup::Event& event, rtsup::Reply& reply) override {
    size_t orders = 0;
    const std::string_view text = event.text();
    std::from_chars(text.data(), text.data() + text.size(), orders);
    if (orders == 0 || orders > kOrdersMax) {
      return {RTSUP_INVALID_ARGUMENT, "BAD_COUNT", "how many orders, 1 to 1000000"};
    }
    for (size_t i = 0; i < kProducts; ++i) {
      const auto written = store_.set(key_of(i), std::string(kProductBytes, 'p'));
      if (!written) {
        return written.status();
      }
    }
    const auto apart = measure(orders, [this] { return one_by_one(store_); });
    const auto at_once = measure(orders, [this] { return together(store_); });
    if (!apart || !at_once) {
      return apart ? at_once.status() : apart.status();
    }
    return reply.set(R"({"orders":)" + std::to_string(orders) + R"(,"one_by_one":)" + *apart +
                     R"(,"together":)" + *at_once + "}");
  }

 private:
  rtsup::State store_{"memory"};
};

RTSUP_FUNCTION(Bench)
