// Unix sockets: records with descriptors and credentials between processes of the base, and the
// listener of the control socket.
// Owns:    received descriptors are owned from the first instant; whatever the caller did not ask
//          for is closed.
// Units:   a record is one message of SOCK_SEQPACKET; at most kMessageFdsMax descriptors each.
// Errors:  kUnavailable (EAGAIN: nothing there, or no room), kAborted (the peer is gone: end of
//          stream, EPIPE, ECONNRESET), kDataLoss (a record of another size, or cut; its descriptors
//          are closed), kResourceExhausted.
// Threads: any; no O_NONBLOCK is ever set on a socket: whether to wait is said per call.
// Source:  unix(7), cmsg(3). SIGPIPE never comes (MSG_NOSIGNAL); descriptors arrive close-on-exec
//          (MSG_CMSG_CLOEXEC).
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <type_traits>

#include "sys/fd.h"

namespace rtsup::sys {

// The largest message, a command to a zygote, carries so many; SCM_MAX_FD is 253.
inline constexpr size_t kMessageFdsMax = 16;

enum class Wait : bool { kNo, kYes };

struct SocketPair {
  UniqueFd first;
  UniqueFd second;
};
Result<SocketPair> create_seqpacket_pair() noexcept;
Result<SocketPair> create_stream_pair() noexcept;

enum class Direction { kRead, kWrite, kBoth };
Result<void> shutdown_socket(int fd, Direction direction) noexcept;
// SO_PASSCRED: from now on each received record carries its writer's credentials, filled by the
// kernel.
Result<void> pass_credentials(int fd) noexcept;

struct Credentials {
  pid_t pid = -1;  // as the receiver's pid namespace numbers it; 0 = not visible there
  uid_t uid = static_cast<uid_t>(-1);
  gid_t gid = static_cast<gid_t>(-1);
};

// The descriptors of one message, in the sender's order.
class ReceivedFds {
 public:
  [[nodiscard]] size_t count() const noexcept { return count_; }
  // Gives up the descriptor at `index`, which must be below count(); an empty one when it was taken
  // before.
  UniqueFd take(size_t index) noexcept;
  [[nodiscard]] int peek(size_t index) const noexcept;
  void add(UniqueFd fd) noexcept;  // beyond kMessageFdsMax it is closed

 private:
  std::array<UniqueFd, kMessageFdsMax> fds_;
  size_t count_ = 0;
};

struct Received {
  size_t bytes = 0;
  ReceivedFds fds;
  std::optional<Credentials> credentials;
};

Result<void> send_message(int fd, std::span<const std::byte> bytes, std::span<const int> fds = {},
                          Wait wait = Wait::kNo) noexcept;
// One message of at most buffer.size() bytes; a longer one is kDataLoss. On a SOCK_STREAM: what is
// there.
Result<Received> receive_message(int fd, std::span<std::byte> buffer,
                                 Wait wait = Wait::kNo) noexcept;

// Records of fixed size. `fds_max`: a record with more descriptors is kDataLoss.
template <typename Record>
Result<void> send_record(int fd, const Record& record, std::span<const int> fds = {},
                         Wait wait = Wait::kNo) noexcept {
  static_assert(std::has_unique_object_representations_v<Record> ||
                std::is_trivially_copyable_v<Record>);
  return send_message(fd, std::as_bytes(std::span(&record, 1)), fds, wait);
}
Error wrong_size(size_t bytes) noexcept;
template <typename Record>
Result<Received> receive_record(int fd, Record& record, size_t fds_max = 0,
                                Wait wait = Wait::kNo) noexcept {
  static_assert(std::is_trivially_copyable_v<Record>);
  RTSUP_ASSIGN(Received received,
               receive_message(fd, std::as_writable_bytes(std::span(&record, 1)), wait));
  if (received.bytes != sizeof(Record) || received.fds.count() > fds_max) {
    return wrong_size(received.bytes);
  }
  return received;
}

inline bool would_block(const Error& error) noexcept {
  return error.status == Status::kUnavailable;
}
inline bool peer_gone(const Error& error) noexcept { return error.status == Status::kAborted; }

// A listening SOCK_STREAM socket at a path. The destructor closes it; the file is removed by who
// owns the folder, since another process may have taken the name by then.
class UnixListener {
 public:
  UnixListener() noexcept = default;
  // Takes the place of a socket that is left over at `path`. Paths of any length (through
  // /proc/self/fd).
  static Result<UnixListener> create(const std::string& path, mode_t mode, int backlog = 16);
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  Result<UniqueFd> accept(Wait wait = Wait::kNo) const noexcept;

 private:
  UniqueFd fd_;
};

Result<UniqueFd> connect_unix(const std::string& path);
// SO_PEERCRED: who called connect(2), as the kernel recorded it then.
Result<Credentials> peer_credentials(int fd) noexcept;

}  // namespace rtsup::sys
