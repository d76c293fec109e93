#include "sys/socket.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "abi/base/check.h"
#include "sys/file.h"

namespace rtsup::sys {
namespace {

constexpr size_t kControlBytes =
    CMSG_SPACE(kMessageFdsMax * sizeof(int)) + CMSG_SPACE(sizeof(ucred));

Error peer_is_gone(Step step, int error_number) noexcept {
  return {.status = Status::kAborted, .step = step, .sys_errno = error_number};
}

Error socket_error(Step step) noexcept {
  if (errno == EPIPE || errno == ECONNRESET || errno == ECONNREFUSED) {
    return peer_is_gone(step, errno);
  }
  return sys_error(step);
}

Result<SocketPair> create_pair(int type) noexcept {
  int fds[2];
  if (::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds) < 0) {
    return sys_error(Step::kSocketpair);
  }
  return SocketPair{.first = UniqueFd(fds[0]), .second = UniqueFd(fds[1])};
}

// Owns every descriptor of the message before anything else can fail.
void take_control(const msghdr& message, Received& received) noexcept {
  for (const cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(const_cast<msghdr*>(&message), const_cast<cmsghdr*>(header))) {
    if (header->cmsg_level != SOL_SOCKET) {
      continue;
    }
    const size_t bytes = header->cmsg_len - CMSG_LEN(0);
    if (header->cmsg_type == SCM_RIGHTS) {
      for (size_t offset = 0; offset + sizeof(int) <= bytes; offset += sizeof(int)) {
        int fd = -1;
        std::memcpy(&fd, CMSG_DATA(header) + offset, sizeof fd);
        received.fds.add(UniqueFd(fd));
      }
    } else if (header->cmsg_type == SCM_CREDENTIALS && bytes == sizeof(ucred)) {
      ucred sender{};
      std::memcpy(&sender, CMSG_DATA(header), sizeof sender);
      received.credentials = Credentials{.pid = sender.pid, .uid = sender.uid, .gid = sender.gid};
    }
  }
}

struct Address {
  sockaddr_un name{};
  UniqueFd folder;  // keeps the /proc/self/fd path of a long name alive
};

Result<Address> address_of(const std::string& path) {
  Address address;
  address.name.sun_family = AF_UNIX;
  std::string used = path;
  if (path.size() >= sizeof address.name.sun_path) {
    const size_t slash = path.find_last_of('/');
    if (slash == std::string::npos) {
      return sys_error_of(Step::kSocket, ENAMETOOLONG);
    }
    RTSUP_ASSIGN(address.folder, open_file(path.substr(0, slash), O_PATH | O_DIRECTORY));
    used = "/proc/self/fd/" + std::to_string(address.folder.get()) + path.substr(slash);
    if (used.size() >= sizeof address.name.sun_path) {
      return sys_error_of(Step::kSocket, ENAMETOOLONG);
    }
  }
  std::memcpy(address.name.sun_path, used.c_str(), used.size() + 1);
  return address;
}

}  // namespace

int ReceivedFds::peek(size_t index) const noexcept {
  RTSUP_CHECK(index < count_);
  return fds_[index].get();
}

UniqueFd ReceivedFds::take(size_t index) noexcept {
  RTSUP_CHECK(index < count_);
  return std::move(fds_[index]);
}

void ReceivedFds::add(UniqueFd fd) noexcept {
  if (count_ < fds_.size()) {
    fds_[count_++] = std::move(fd);
  }
}

Result<SocketPair> create_seqpacket_pair() noexcept { return create_pair(SOCK_SEQPACKET); }
Result<SocketPair> create_stream_pair() noexcept { return create_pair(SOCK_STREAM); }

Result<void> shutdown_socket(int fd, Direction direction) noexcept {
  const int how = direction == Direction::kRead    ? SHUT_RD
                  : direction == Direction::kWrite ? SHUT_WR
                                                   : SHUT_RDWR;
  if (::shutdown(fd, how) < 0) {
    return sys_error(Step::kShutdown, fd);
  }
  return {};
}

Result<void> pass_credentials(int fd) noexcept {
  const int on = 1;
  if (::setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) < 0) {
    return sys_error(Step::kSockopt, fd);
  }
  return {};
}

Result<void> send_message(int fd, std::span<const std::byte> bytes, std::span<const int> fds,
                          Wait wait) noexcept {
  RTSUP_CHECK(fds.size() <= kMessageFdsMax);
  iovec vector{.iov_base = const_cast<std::byte*>(bytes.data()), .iov_len = bytes.size()};
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(kMessageFdsMax * sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  if (!fds.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());
  }
  ssize_t count = 0;
  do {
    count = ::sendmsg(fd, &message, MSG_NOSIGNAL | (wait == Wait::kNo ? MSG_DONTWAIT : 0));
  } while (count < 0 && errno == EINTR);
  if (count < 0) {
    return socket_error(Step::kSendmsg);
  }
  if (static_cast<size_t>(count) != bytes.size()) {  // SOCK_STREAM only
    return Error{.status = Status::kDataLoss, .step = Step::kSendmsg, .number = count};
  }
  return {};
}

Result<Received> receive_message(int fd, std::span<std::byte> buffer, Wait wait) noexcept {
  iovec vector{.iov_base = buffer.data(), .iov_len = buffer.size()};
  alignas(cmsghdr) std::array<std::byte, kControlBytes> control;
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t count = 0;
  do {
    count = ::recvmsg(fd, &message, MSG_CMSG_CLOEXEC | (wait == Wait::kNo ? MSG_DONTWAIT : 0));
  } while (count < 0 && errno == EINTR);
  if (count < 0) {
    return socket_error(Step::kRecvmsg);
  }
  Received received;
  received.bytes = static_cast<size_t>(count);
  take_control(message, received);
  if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
    return wrong_size(received.bytes);
  }
  if (count == 0 && received.fds.count() == 0) {
    return peer_is_gone(Step::kRecvmsg, 0);
  }
  return received;
}

Error wrong_size(size_t bytes) noexcept {
  return {
      .status = Status::kDataLoss, .step = Step::kRecvmsg, .number = static_cast<int64_t>(bytes)};
}

Result<UnixListener> UnixListener::create(const std::string& path, mode_t mode, int backlog) {
  RTSUP_ASSIGN(const Address address, address_of(path));
  UnixListener listener;
  listener.fd_ = UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!listener.fd_) {
    return sys_error(Step::kSocket);
  }
  struct stat info {};
  if (::lstat(path.c_str(), &info) == 0 && S_ISSOCK(info.st_mode) && ::unlink(path.c_str()) < 0) {
    return sys_error(Step::kUnlink);
  }
  // The socket's file takes its permissions from its inode at bind: set there, no moment with wider
  // ones exists.
  if (::fchmod(listener.fd(), mode) < 0) {
    return sys_error(Step::kBind);
  }
  if (::bind(listener.fd(), reinterpret_cast<const sockaddr*>(&address.name), sizeof address.name) <
      0) {
    return sys_error(Step::kBind);
  }
  if (::chmod(path.c_str(), mode) < 0) {  // the umask only takes bits away; this gives them back
    return sys_error(Step::kBind);
  }
  if (::listen(listener.fd(), backlog) < 0) {
    return sys_error(Step::kListen);
  }
  return listener;
}

Result<UniqueFd> UnixListener::accept(Wait wait) const noexcept {
  pollfd poll{.fd = fd_.get(), .events = POLLIN, .revents = 0};
  // accept4 has no MSG_DONTWAIT, and only this process holds the listener: with one accepting
  // thread, ready stays ready.
  int ready = -1;
  do {
    ready = ::poll(&poll, 1, wait == Wait::kNo ? 0 : -1);
  } while (ready < 0 && errno == EINTR);
  if (ready == 0) {
    return sys_error_of(Step::kAccept, EAGAIN);
  }
  int fd = -1;
  do {
    fd = ::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) {
    return socket_error(Step::kAccept);
  }
  return UniqueFd(fd);
}

Result<UniqueFd> connect_unix(const std::string& path) {
  RTSUP_ASSIGN(const Address address, address_of(path));
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) {
    return sys_error(Step::kSocket);
  }
  int connected = -1;
  do {
    connected =
        ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address.name), sizeof address.name);
  } while (connected < 0 && errno == EINTR);
  if (connected < 0) {
    return socket_error(Step::kConnect);
  }
  return fd;
}

Result<Credentials> peer_credentials(int fd) noexcept {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0) {
    return sys_error(Step::kSockopt, fd);
  }
  return Credentials{.pid = peer.pid, .uid = peer.uid, .gid = peer.gid};
}

}  // namespace rtsup::sys
