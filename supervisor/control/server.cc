#include "supervisor/control/server.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <span>
#include <utility>

namespace rtsup::supervisor {

ControlServer::~ControlServer() { close(); }

Result<void> ControlServer::listen(const std::string& path) {
  RTSUP_ASSIGN(listener_, sys::UnixListener::create(path, 0600));
  return loop_.watch(listener_.fd(), EPOLLIN, [this](uint32_t) { on_connect(); });
}

void ControlServer::close() {
  while (!clients_.empty()) {
    drop(clients_.begin()->first);
  }
  if (listener_.fd() >= 0) {
    loop_.unwatch(listener_.fd());
    listener_ = {};
  }
}

void ControlServer::on_connect() {
  auto socket = listener_.accept();
  if (!socket) {
    return;  // gone again, or no descriptor is free: it may try once more
  }
  const uint64_t id = ++last_client_;
  const auto peer = sys::peer_credentials(socket->get());
  // The folder's and the socket's mode say the same; this holds where somebody has loosened them.
  const bool allowed = peer && (peer->uid == ::geteuid() || peer->uid == 0);
  const bool room = clients_.size() < kClientsMax;
  clients_[id].socket = std::move(*socket);
  if (!allowed) {
    answer(
        id,
        {.line = format_failure({.code = "DENIED", .message = "this base belongs to another user"}),
         .fd = {}});
    drop(id);
    return;
  }
  if (!room) {
    answer(id, {.line = format_failure({.code = "BUSY", .message = "too many clients; try again"}),
                .fd = {}});
    drop(id);
    return;
  }
  if (!loop_.watch(clients_[id].socket.get(), EPOLLIN, [this, id](uint32_t) { on_readable(id); })) {
    drop(id);
    return;
  }
  limit_time(id);
}

void ControlServer::limit_time(uint64_t id) {
  const uint64_t served = clients_.at(id).request_count;
  loop_.call_at(now() + kRequestTimeout, [this, id, served] {
    const auto found = clients_.find(id);
    if (found != clients_.end() && found->second.request_count == served &&
        !found->second.holds_session && !found->second.waits) {
      drop(id);
    }
  });
}

void ControlServer::on_readable(uint64_t id) {
  std::array<char, kRequestBytesMax> chunk{};
  const auto received =
      sys::receive_message(clients_.at(id).socket.get(), std::as_writable_bytes(std::span(chunk)));
  if (!received) {
    if (!sys::would_block(received.error())) {
      drop(id);
    }
    return;
  }
  if (received->bytes == 0) {
    drop(id);
    return;
  }
  clients_.at(id).buffer.append(chunk.data(), received->bytes);
  if (take_lines(id) && clients_.at(id).buffer.size() >= kRequestBytesMax) {
    answer(id,
           {.line = format_failure({.code = "BAD_REQUEST", .message = "the request is too long"}),
            .fd = {}});
    drop(id);
  }
}

bool ControlServer::take_lines(uint64_t id) {
  for (;;) {
    Client& client = clients_.at(id);
    const size_t end = client.buffer.find('\n');
    if (end == std::string::npos || client.waits) {
      return true;
    }
    const std::string line = client.buffer.substr(0, end);
    client.buffer.erase(0, end + 1);
    ++client.request_count;
    const auto parsed = parse_request(line);
    ControlAnswer given;
    if (const auto* const failure = std::get_if<ControlFailure>(&parsed)) {
      given.line = format_failure(*failure);
    } else {
      given = handler_.on_request(id, std::get<ControlRequest>(parsed));
    }
    if (given.later) {
      client.waits = true;
      return true;
    }
    client.holds_session = client.holds_session || given.fd.is_open();
    if (!answer(id, given)) {
      drop(id);
      return false;
    }
    if (!client.holds_session) {
      limit_time(id);
    }
  }
}

void ControlServer::answer_later(uint64_t id, const ControlAnswer& given) {
  const auto found = clients_.find(id);
  if (found == clients_.end()) {
    return;
  }
  found->second.waits = false;
  if (!answer(id, given)) {
    drop(id);
  } else if (take_lines(id)) {
    limit_time(id);
  }
}

// Answers are far smaller than a socket's buffer: one that does not fit is not being read.
bool ControlServer::answer(uint64_t id, const ControlAnswer& answer) {
  const std::array<int, 1> fds = {answer.fd.get()};
  const auto bytes = std::as_bytes(std::span(answer.line));
  const auto sent = sys::send_message(clients_.at(id).socket.get(), bytes,
                                      std::span(fds).first(answer.fd.is_open() ? 1 : 0));
  return sent.has_value();
}

void ControlServer::drop(uint64_t id) {
  const auto found = clients_.find(id);
  if (found == clients_.end()) {
    return;
  }
  loop_.unwatch(found->second.socket.get());
  clients_.erase(found);
  handler_.on_client_gone(id);
}

}  // namespace rtsup::supervisor
