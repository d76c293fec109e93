// Cap'n Proto RPC over a unix socket: one connection, one thread and one event loop on each side.
// Modes: "sleep" in the loop, or "poll" it.
#include <capnp/ez-rpc.h>
#include <poll.h>

#include <memory>
#include <vector>

#include "bench/peers/capnp.capnp.h"
#include "bench/peers/program_side.h"
#include "bench/peers/server_process.h"

namespace rtsup::bench {
namespace {

std::string address_of(const Side& side) { return "unix:" + side.folder + "/socket"; }

// Generated server classes are deleted by a disposer that knows their type.
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"

class StoredValue final : public Store::Server {
 public:
  explicit StoredValue(size_t bytes) : value_(bytes, 'v') {}
  kj::Promise<void> get(GetContext context) override {
    context.getResults().setValue(kj::arrayPtr(value_.data(), value_.size()));
    return kj::READY_NOW;
  }

 private:
  std::vector<kj::byte> value_;
};

void serve(const Side& side) {
  capnp::EzRpcServer server(kj::heap<StoredValue>(side.bytes), address_of(side));
  auto& scope = server.getWaitScope();
  while (side.mode == "poll") {
    scope.poll();
  }
  kj::NEVER_DONE.wait(scope);
}

struct Caller {
  explicit Caller(const Side& side)
      : client(address_of(side)),
        store(client.getMain<Store>()),
        bytes(side.bytes),
        polls(side.mode == "poll") {}

  void ask() {
    auto& scope = client.getWaitScope();
    auto request = store.getRequest();
    request.setKey("item");
    auto promise = request.send();
    while (polls && !promise.poll(scope)) {
    }
    if (promise.wait(scope).getValue().size() != bytes) {
      fail("the answer of Cap'n Proto");
    }
  }

  capnp::EzRpcClient client;
  Store::Client store;
  size_t bytes;
  bool polls;
};

Ask connect(const Side& side) {
  for (int attempt = 0; attempt < 200; ++attempt) {
    try {
      const auto caller = std::make_shared<Caller>(side);
      caller->ask();
      return [caller] { caller->ask(); };
    } catch (const kj::Exception&) {  // the server does not listen yet
      ::poll(nullptr, 0, 25);
    }
  }
  fail("connecting to the Cap'n Proto server");
}

}  // namespace
}  // namespace rtsup::bench

int main(int argc, char** argv) {
  return rtsup::bench::run_side(argc, argv, rtsup::bench::serve, rtsup::bench::connect);
}
