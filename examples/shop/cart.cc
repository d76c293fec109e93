// cart: {"user": "ada", "add": "apple", "count": 2} reserves two apples, puts them into ada's cart
// and answers the whole cart; {"user": "ada"} only shows it. Without a user it is the guest's.
//
// It calls two other functions and keeps one value a user: lines of "item count price".
#include <rtsup/rtsup.hpp>
#include <sstream>
#include <string>

#include "fields.h"

namespace {

std::string to_json(const std::string& user, std::string_view lines) {
  std::istringstream in{std::string(lines)};
  std::string items;
  std::string item;
  long count = 0;
  long price = 0;
  long total = 0;
  while (in >> item >> count >> price) {
    items += (items.empty() ? "" : ",") + std::string("{\"item\":\"") + item +
             "\",\"count\":" + std::to_string(count) + ",\"price\":" + std::to_string(price) + "}";
    total += count * price;
  }
  return "{\"user\":\"" + user + "\",\"items\":[" + items + "],\"total\":" + std::to_string(total) +
         "}";
}

std::string request(const std::string& item) { return "{\"item\":\"" + item + "\"}"; }
std::string request(const std::string& item, const char* verb, long count) {
  return "{\"item\":\"" + item + "\",\"" + verb + "\":" + std::to_string(count) + "}";
}

}  // namespace

class Cart : public rtsup::Function {
 public:
  rtsup::Status handle(const rtsup::Event& event, rtsup::Reply& reply) override {
    const auto fields = shop::Fields::parse(event.text());
    if (!fields) {
      return {RTSUP_INVALID_ARGUMENT, "BAD_REQUEST",
              "write {\"user\": \"ada\", \"add\": \"apple\", \"count\": 2}"};
    }
    const std::string user = fields->text("user").empty() ? "guest" : fields->text("user");
    const std::string item = fields->text("add");
    return item.empty() ? show(user, reply)
                        : add(user, item, fields->number("count").value_or(1), reply);
  }

 private:
  static constexpr int kAttemptsMax = 8;
  static std::string key(const std::string& user) { return "cart/" + user; }

  rtsup::Status show(const std::string& user, rtsup::Reply& reply) {
    const auto cart = carts_.get(key(user));
    return cart ? reply.set(to_json(user, cart->text())) : cart.status();
  }

  rtsup::Status add(const std::string& user, const std::string& item, long count,
                    rtsup::Reply& reply) {
    const auto answer = rtsup::invoke("pricing", "", request(item));
    if (!answer) {
      return answer.status();
    }
    const auto priced = shop::Fields::parse(answer->text());
    const auto price = priced ? priced->number("price") : std::nullopt;
    if (!price) {
      return {RTSUP_INTERNAL, "PRICE_UNREADABLE", "pricing answered something else"};
    }
    const auto reserved = rtsup::invoke("inventory", "", request(item, "reserve", count));
    if (!reserved) {
      return reserved.status();
    }
    const std::string line =
        item + " " + std::to_string(count) + " " + std::to_string(*price) + "\n";
    rtsup::Status stored = append(user, line, reply);
    if (!stored.ok()) {
      // What was reserved for nothing goes back; if that fails too, the first cause is told.
      static_cast<void>(rtsup::invoke("inventory", "", request(item, "release", count)));
    }
    return stored;
  }

  // Adds a line to the cart, if need be to what another call has just made of it.
  rtsup::Status append(const std::string& user, const std::string& line, rtsup::Reply& reply) {
    for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
      const auto cart = carts_.get(key(user));
      if (!cart) {
        return cart.status();
      }
      const std::string lines = std::string(cart->text()) + line;
      const auto written =
          carts_.set(key(user), lines, {.etag = cart->etag(), .first_write = !cart->found()});
      if (written) {
        return reply.set(to_json(user, lines));
      }
      if (written.status().code() != RTSUP_ABORTED) {
        return written.status();
      }
    }
    return {RTSUP_ABORTED, "TOO_BUSY", "others changed the cart each time"};
  }

  rtsup::State carts_{"store"};
};

RTSUP_FUNCTION(Cart)
