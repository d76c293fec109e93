// iceoryx 2.0.3 client and server, the answer written in place into loaned memory. Modes: "poll",
// where both sides ask their queue again and again, and "waitset", where both sleep in a WaitSet
// that their port is attached to. Neither checks the other: whoever writes the shared segments is
// trusted. RouDi is the driver's (roudi.cc).
#include <atomic>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <iceoryx_hoofs/log/logmanager.hpp>
#include <iceoryx_posh/popo/client.hpp>
#include <iceoryx_posh/popo/server.hpp>
#include <iceoryx_posh/popo/wait_set.hpp>
#include <iceoryx_posh/runtime/posh_runtime.hpp>
#include <memory>

#include "bench/peers/program_side.h"
#include "bench/peers/server_process.h"

namespace rtsup::bench {
namespace {

struct Key {
  char text[8];
};
struct Value {
  char bytes[64];
};
using Client = iox::popo::Client<Key, Value>;
using Server = iox::popo::Server<Key, Value>;

// Names a pair of sides: several live at a time.
std::string pair_name(const Side& side) {
  return std::filesystem::path(side.folder).filename().string();
}

void join_as(const Side& side, const char* role) {
  iox::log::LogManager::GetLogManager().SetDefaultLogLevel(iox::log::LogLevel::kError);
  const std::string name = pair_name(side) + role;
  iox::runtime::PoshRuntime::initRuntime(
      iox::RuntimeName_t(iox::cxx::TruncateToCapacity, name.c_str()));
}

iox::capro::ServiceDescription service_of(const Side& side) {
  return {"rtsup-bench",
          iox::capro::IdString_t(iox::cxx::TruncateToCapacity, pair_name(side).c_str()), "get"};
}

// What the signal that ends the server reaches. It must leave in order: a process that was killed
// makes RouDi abort when it ends.
std::atomic<bool> is_over{false};
iox::popo::WaitSet<1>* the_waitset = nullptr;

void serve(const Side& side) {
  join_as(side, "-server");
  Server server(service_of(side));
  iox::popo::WaitSet<1> waitset;
  const bool sleeps = side.mode == "waitset";
  if (sleeps && waitset.attachEvent(server, iox::popo::ServerEvent::REQUEST_RECEIVED).has_error()) {
    fail("attaching to the WaitSet");
  }
  the_waitset = &waitset;
  std::signal(SIGTERM, [](int) {
    is_over = true;
    the_waitset->markForDestruction();
  });
  Value value;
  std::memset(value.bytes, 'v', sizeof(value.bytes));
  while (!is_over) {
    // First of all: what came before the port was attached announces itself to nobody.
    for (auto request = server.take(); !request.has_error(); request = server.take()) {
      auto answer = server.loan(request.value());
      if (answer.has_error()) {
        fail("loan of an answer");
      }
      *answer.value() = value;
      if (answer.value().send().has_error()) {
        fail("send of an answer");
      }
    }
    if (sleeps) {
      waitset.wait();
    }
  }
  std::signal(SIGTERM, SIG_IGN);  // the WaitSet that it would reach is gone next
  the_waitset = nullptr;
}

struct Caller {
  explicit Caller(const Side& side) : client(service_of(side)), sleeps(side.mode == "waitset") {
    if (sleeps &&
        waitset.attachEvent(client, iox::popo::ClientEvent::RESPONSE_RECEIVED).has_error()) {
      fail("attaching to the WaitSet");
    }
  }
  ~Caller() { waitset.markForDestruction(); }
  Caller(const Caller&) = delete;
  Caller& operator=(const Caller&) = delete;

  void ask() {
    auto request = client.loan();
    if (request.has_error()) {
      fail("loan of a request");
    }
    std::memcpy(request.value()->text, "item", 5);
    if (request.value().send().has_error()) {
      fail("send of a request");
    }
    for (;;) {
      if (sleeps) {
        waitset.wait();
      }
      if (auto answer = client.take(); !answer.has_error()) {
        if (answer.value()->bytes[0] != 'v') {
          fail("the answer of iceoryx");
        }
        return;
      }
    }
  }

  Client client;
  iox::popo::WaitSet<1> waitset;
  bool sleeps;
};

Ask connect(const Side& side) {
  if (side.bytes != sizeof(Value)) {
    fail("this peer knows one size");
  }
  join_as(side, "-caller");
  const auto caller = std::make_shared<Caller>(side);
  while (caller->client.getConnectionState() != iox::ConnectionState::CONNECTED) {
  }
  return [caller] { caller->ask(); };
}

}  // namespace
}  // namespace rtsup::bench

int main(int argc, char** argv) {
  return rtsup::bench::run_side(argc, argv, rtsup::bench::serve, rtsup::bench::connect);
}
