// The control socket with real clients in this process: bounds, order, descriptors.
#include "supervisor/control/server.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <functional>

namespace rtsup::supervisor {
namespace {

class FakeHandler : public ControlHandler {
 public:
  ControlAnswer on_request(uint64_t client, const ControlRequest& request) override {
    ++requests;
    if (request.op == ControlOp::kUpgrade) {
      waiting = client;
      return {.later = true};
    }
    ControlAnswer answer{.line = format_ok(), .fd = {}};
    if (request.op == ControlOp::kSession) {
      answer.fd = sys::UniqueFd(::dup(STDERR_FILENO));
    }
    return answer;
  }
  void on_client_gone(uint64_t) override { ++gone; }
  int requests = 0;
  uint64_t waiting = 0;
  int gone = 0;
};

struct ControlServerTest : ::testing::Test {
  void SetUp() override {
    std::string pattern = testing::TempDir() + "rtsup-control-XXXXXX";
    folder = ::mkdtemp(pattern.data());
    auto created = Loop::create();
    ASSERT_TRUE(created);
    loop = std::move(*created);
    ASSERT_TRUE(server.listen(folder + "/control.sock"));
  }
  void TearDown() override {
    server.close();
    std::filesystem::remove_all(folder);
  }

  sys::UniqueFd connect() { return sys::connect_unix(folder + "/control.sock").value(); }
  static void send(const sys::UniqueFd& client, std::string_view text) {
    ASSERT_TRUE(sys::send_message(client.get(), std::as_bytes(std::span(text))));
  }
  // Lets the server work until `done` says so.
  void run_until(const std::function<bool()>& done) {
    const Time limit = now() + std::chrono::seconds(20);
    bool held = false;
    std::function<void()> look = [&] {
      held = done();
      if (held || now() > limit) {
        loop.stop();
      } else {
        loop.call_at(now() + std::chrono::milliseconds(1), look);
      }
    };
    loop.post(look);
    ASSERT_TRUE(loop.run());
    ASSERT_TRUE(held);
  }
  struct Answer {
    std::string text;
    size_t fds = 0;
    bool closed = false;
  };
  Answer receive(const sys::UniqueFd& client) {
    Answer answer;
    run_until([&] {
      std::array<char, 8192> buffer{};
      const auto got =
          sys::receive_message(client.get(), std::as_writable_bytes(std::span(buffer)));
      if (!got) {
        answer.closed = !sys::would_block(got.error());
        return answer.closed;
      }
      answer.closed = got->bytes == 0;
      answer.text.assign(buffer.data(), got->bytes);
      answer.fds = got->fds.count();
      return true;
    });
    return answer;
  }

  std::string folder;
  Loop loop;
  FakeHandler handler;
  ControlServer server{loop, handler};
};

TEST_F(ControlServerTest, AnswersRequestsInOrderHoweverTheyArrive) {
  const sys::UniqueFd client = connect();
  send(client, "{\"v\":1,\"op\"");
  send(client, ":\"ps\"}\n{\"v\":1,\"op\":\"nonsense\"}\n");
  std::string text;
  while (text.find("BAD_REQUEST") == std::string::npos) {
    text += receive(client).text;
  }
  EXPECT_TRUE(text.starts_with(format_ok()));
  EXPECT_EQ(handler.requests, 1);
}

TEST_F(ControlServerTest, ASessionComesAsADescriptor) {
  const sys::UniqueFd client = connect();
  send(client, "{\"v\":1,\"op\":\"session\"}\n");
  EXPECT_EQ(receive(client).fds, 1U);
}

TEST_F(ControlServerTest, AnAnswerMayComeLaterAndTheNextRequestAfterIt) {
  const sys::UniqueFd client = connect();
  send(client, "{\"v\":1,\"op\":\"upgrade\"}\n{\"v\":1,\"op\":\"ps\"}\n");
  run_until([&] { return handler.waiting != 0; });
  EXPECT_EQ(handler.requests, 1);
  server.answer_later(handler.waiting, {.line = "later\n"});
  EXPECT_EQ(handler.requests, 2);
  EXPECT_EQ(receive(client).text, "later\n" + format_ok());
}

TEST_F(ControlServerTest, AClientThatDoesNotWaitMissesItsAnswer) {
  {
    const sys::UniqueFd client = connect();
    send(client, "{\"v\":1,\"op\":\"upgrade\"}\n");
    run_until([&] { return handler.waiting != 0; });
  }
  run_until([&] { return handler.gone == 1; });
  server.answer_later(handler.waiting, {.line = "later\n"});
}

TEST_F(ControlServerTest, ARequestWithoutEndIsRefusedAtTheBound) {
  const sys::UniqueFd client = connect();
  send(client, std::string(kRequestBytesMax, ' '));
  EXPECT_NE(receive(client).text.find("too long"), std::string::npos);
  run_until([&] { return handler.gone == 1; });
}

TEST_F(ControlServerTest, OneClientTooManyIsToldSo) {
  std::vector<sys::UniqueFd> clients;
  for (size_t count = 0; count < kClientsMax; ++count) {
    clients.push_back(connect());
    send(clients.back(), "{\"v\":1,\"op\":\"ps\"}\n");
    ASSERT_EQ(receive(clients.back()).text, format_ok());
  }
  const sys::UniqueFd extra = connect();
  EXPECT_NE(receive(extra).text.find("BUSY"), std::string::npos);
  clients.pop_back();
  run_until([&] { return handler.gone == 2; });
  const sys::UniqueFd next = connect();
  send(next, "{\"v\":1,\"op\":\"ps\"}\n");
  EXPECT_EQ(receive(next).text, format_ok());
}

TEST_F(ControlServerTest, AClientThatLeavesIsForgotten) {
  { const sys::UniqueFd client = connect(); }
  run_until([&] { return handler.gone == 1; });
}

}  // namespace
}  // namespace rtsup::supervisor
