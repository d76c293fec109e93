// inventory: {"item": "apple", "reserve": 2} -> {"item":"apple","left":98}; "release" gives back.
// The stock is durable. Two callers at the same time can not both take the last apple: a count is
// only written over the very one that was read (its etag).
#include <rtsup/rtsup.hpp>
#include <string>

#include "fields.h"

class Inventory : public rtsup::Function {
 public:
  rtsup::Status start() override {
    for (const char* item : {"apple", "bread", "coffee"}) {
      const auto written = stock_.set(key(item), kFirstDelivery, {.first_write = true});
      // ABORTED: the stock of an earlier run is still there, which is what durable means.
      if (!written && written.status().code() != RTSUP_ABORTED) {
        return written.status();
      }
    }
    return {};
  }

  rtsup::Status handle(const rtsup::Event& event, rtsup::Reply& reply) override {
    const auto fields = shop::Fields::parse(event.text());
    const std::string item = fields ? fields->text("item") : "";
    const long reserve = fields ? fields->number("reserve").value_or(0) : 0;
    const long release = fields ? fields->number("release").value_or(0) : 0;
    if (item.empty() || (reserve == 0) == (release == 0)) {
      return {RTSUP_INVALID_ARGUMENT, "BAD_REQUEST", "write {\"item\": \"apple\", \"reserve\": 1}"};
    }
    for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
      const auto stock = stock_.get(key(item));
      if (!stock) {
        return stock.status();
      }
      if (!stock->found()) {
        return {RTSUP_NOT_FOUND, "NO_SUCH_ITEM", "there is no " + item};
      }
      const long left = std::stol(std::string(stock->text())) - reserve + release;
      if (left < 0) {
        return {RTSUP_FAILED_PRECONDITION, "SOLD_OUT", "not enough of " + item};
      }
      const auto written = stock_.set(key(item), std::to_string(left), {.etag = stock->etag()});
      if (written) {
        return reply.set("{\"item\":\"" + item + "\",\"left\":" + std::to_string(left) + "}");
      }
      if (written.status().code() != RTSUP_ABORTED) {
        return written.status();
      }
    }
    return {RTSUP_ABORTED, "TOO_BUSY", "others changed the stock each time"};
  }

 private:
  static constexpr const char* kFirstDelivery = "100";
  static constexpr int kAttemptsMax = 8;
  static std::string key(const std::string& item) { return "stock/" + item; }
  rtsup::State stock_{"store"};
};

RTSUP_FUNCTION(Inventory)
