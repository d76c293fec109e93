// pricing: {"item": "apple"} -> {"item":"apple","price":120}, in cents. The price list lives in
// memory and is laid out anew at each start.
#include <rtsup/rtsup.hpp>
#include <string>
#include <utility>

#include "fields.h"

class Pricing : public rtsup::Function {
 public:
  rtsup::Status start() override {
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

  rtsup::Status handle(const rtsup::Event& event, rtsup::Reply& reply) override {
    const auto fields = shop::Fields::parse(event.text());
    const std::string item = fields ? fields->text("item") : "";
    if (item.empty()) {
      return {RTSUP_INVALID_ARGUMENT, "BAD_REQUEST", "write {\"item\": \"apple\"}"};
    }
    const auto price = prices_.get("price/" + item);
    if (!price) {
      return price.status();
    }
    if (!price->found()) {
      return {RTSUP_NOT_FOUND, "NO_SUCH_ITEM", "nobody sells " + item};
    }
    return reply.set("{\"item\":\"" + item + "\",\"price\":" + std::string(price->text()) + "}");
  }

 private:
  rtsup::State prices_{"prices"};
};

RTSUP_FUNCTION(Pricing)
