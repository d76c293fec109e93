// pricing: {"item": "apple"} -> {"item":"apple","price":120}, in cents. The price list lives in
// memory, which is lost when the broker crashes: what is not found there is laid out anew. `rtsup
// config set pricing discount 10` takes ten per cent off from the next question on.
#include <charconv>
#include <rtsup/rtsup.hpp>
#include <string>
#include <utility>

#include "fields.h"

class Pricing : public rtsup::Function {
 public:
  rtsup::Status start() override { return lay_out(); }

  rtsup::Status handle(const rtsup::Event& event, rtsup::Reply& reply) override {
    const auto fields = shop::Fields::parse(event.text());
    const std::string item = fields ? fields->text("item") : "";
    if (item.empty()) {
      return {RTSUP_INVALID_ARGUMENT, "BAD_REQUEST", "write {\"item\": \"apple\"}"};
    }
    auto price = prices_.get("price/" + item);
    if (price && !price->found()) {
      if (auto laid_out = lay_out(); !laid_out.ok()) {
        return laid_out;
      }
      price = prices_.get("price/" + item);
    }
    if (!price) {
      return price.status();
    }
    if (!price->found()) {
      return {RTSUP_NOT_FOUND, "NO_SUCH_ITEM", "nobody sells " + item};
    }
    const auto discount = rtsup::Config::get("discount");
    if (!discount) {
      return discount.status();
    }
    const long per_cent = number(discount->value_or("0"));
    if (per_cent < 0 || per_cent > 100) {
      return {RTSUP_FAILED_PRECONDITION, "BAD_DISCOUNT", "a discount has 0 to 100 per cent"};
    }
    const long left = number(price->text()) * (100 - per_cent) / 100;
    return reply.set("{\"item\":\"" + item + "\",\"price\":" + std::to_string(left) + "}");
  }

 private:
  // -1: it is none.
  static long number(std::string_view text) {
    long value = -1;
    const char* const end = text.data() + text.size();
    const auto read = std::from_chars(text.data(), end, value);
    return read.ec == std::errc() && read.ptr == end ? value : -1;
  }

  rtsup::Status lay_out() {
    static constexpr std::pair<const char*, const char*> kPrices[] = {
        {"apple", "120"}, {"bread", "350"}, {"coffee", "990"}};
    for (const auto& [item, price] : kPrices) {
      const auto written = prices_.set(std::string("price/") + item, price);
      if (!written) {
        return written.status();
      }
    }
    return {};
  }

  rtsup::State prices_{"prices"};
};

RTSUP_FUNCTION(Pricing)
