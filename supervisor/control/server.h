// ControlServer: the control socket: clients, their requests, their answers. What an operation does
// is the handler's.
// Owns:    the listener and the clients. Borrows loop and handler.
// Units:   kClientsMax clients; a request of kRequestBytesMax bytes within kRequestTimeout of
//          connecting or of the answer before; a client that holds an operator's session may stay
//          as long as it likes.
// Errors:  a client that breaks a bound is told why, if it can be, and closed.
// Threads: the supervisor's one. No answer waits for its client: one that it does not take costs it
//          the connection.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <variant>

#include "supervisor/control/request.h"
#include "supervisor/loop/loop.h"
#include "sys/socket.h"

namespace rtsup::supervisor {

inline constexpr size_t kClientsMax = 32;
inline constexpr Time kRequestTimeout = std::chrono::seconds(10);

struct ControlAnswer {
  std::string line{};  // with its end
  sys::UniqueFd fd{};  // sent along, and then closed here
  bool later = false;  // it comes by answer_later(); meanwhile nothing of the client is read
};

class ControlHandler {
 public:
  virtual ~ControlHandler() = default;
  // `client` tells clients apart for as long as they are connected.
  virtual ControlAnswer on_request(uint64_t client, const ControlRequest& request) = 0;
  virtual void on_client_gone(uint64_t client) = 0;
};

class ControlServer {
 public:
  ControlServer(Loop& loop, ControlHandler& handler) : loop_(loop), handler_(handler) {}
  ~ControlServer();
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

  Result<void> listen(const std::string& path);
  // The answer that was to come later. A client that is gone by now does not get it.
  void answer_later(uint64_t client, const ControlAnswer& answer);
  void close();

 private:
  struct Client {
    sys::UniqueFd socket;
    std::string buffer;
    uint64_t request_count = 0;
    bool holds_session = false;
    bool waits = false;  // for an answer that comes later
  };
  void on_connect();
  void on_readable(uint64_t id);
  // False when the client was dropped.
  bool take_lines(uint64_t id);
  bool answer(uint64_t id, const ControlAnswer& answer);
  void limit_time(uint64_t id);
  void drop(uint64_t id);

  Loop& loop_;
  ControlHandler& handler_;
  sys::UnixListener listener_;
  std::map<uint64_t, Client> clients_;
  uint64_t last_client_ = 0;
};

}  // namespace rtsup::supervisor
