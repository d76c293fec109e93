// Ways to others that are no files: sockets of each family, System V and POSIX queues.
#include <mqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ipc.h>
#include <sys/socket.h>

#include "tests/offenders/act.h"

namespace rtsup::offenders {
namespace {

int wait_for_nothing(pid_t /*victim*/) { return call(SYS_poll, nullptr, 0, 0); }

template <int kFamily, int kType, int kProtocol = 0>
int open_socket(pid_t /*victim*/) {
  return call(SYS_socket, kFamily, kType, kProtocol);
}
// Where a policy allows the internet's families, an inet socket is no offence.
int open_internet_socket(pid_t /*victim*/) { return call(SYS_socket, AF_INET, SOCK_DGRAM, 0); }

int send_descriptors(pid_t /*victim*/) {
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  char byte = 0;
  iovec data{&byte, sizeof byte};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* const head = CMSG_FIRSTHDR(&message);
  *head = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
  // On what it was given, or on sockets of its own where there is nothing.
  int pair[2];
  const int refused = call(SYS_sendmsg, 3, &message, 0);
  const bool made = refused == EBADF && ::socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0;
  return made ? call(SYS_sendmsg, pair[0], &message, 0) : refused;
}

constexpr Act kActs[] = {
    {41, "internet", open_socket<AF_INET, SOCK_STREAM>, wait_for_nothing, by_call("socket")},
    {41, "internet-raw", open_socket<AF_INET, SOCK_RAW, IPPROTO_ICMP>, open_internet_socket,
     by_call("socket"), Grant::kFiles},
    {41, "netlink", open_socket<AF_NETLINK, SOCK_RAW>, open_internet_socket, by_call("socket"),
     Grant::kFiles},
    {41, "packet", open_socket<AF_PACKET, SOCK_RAW>, open_internet_socket, by_call("socket"),
     Grant::kFiles},
    {41, "vsock", open_socket<AF_VSOCK, SOCK_STREAM>, open_internet_socket, by_call("socket"),
     Grant::kFiles},
    {41, "kernel-crypto", open_socket<AF_ALG, SOCK_SEQPACKET>, open_internet_socket,
     by_call("socket"), Grant::kFiles},
    {41, "express-data-path", open_socket<AF_XDP, SOCK_RAW>, open_internet_socket,
     by_call("socket"), Grant::kFiles},
    {42, "unix-socket", open_socket<AF_UNIX, SOCK_STREAM>, open_internet_socket, by_call("socket"),
     Grant::kFiles},
    {43, "send-descriptors", send_descriptors, wait_for_nothing, by_call("sendmsg")},
    {44, "shared-memory",
     [](pid_t) { return call(SYS_shmget, IPC_PRIVATE, 4096, IPC_CREAT | 0600); }, wait_for_nothing,
     by_call("shmget")},
    {44, "semaphores", [](pid_t) { return call(SYS_semget, IPC_PRIVATE, 1, IPC_CREAT | 0600); },
     wait_for_nothing, by_call("semget")},
    {44, "messages", [](pid_t) { return call(SYS_msgget, IPC_PRIVATE, IPC_CREAT | 0600); },
     wait_for_nothing, by_call("msgget")},
    {44, "message-queue",
     [](pid_t) { return call(SYS_mq_open, "offender", O_CREAT | O_RDWR, 0600, nullptr); },
     wait_for_nothing, by_call("mq_open")},
};

}  // namespace

std::span<const Act> socket_acts() { return kActs; }

}  // namespace rtsup::offenders
