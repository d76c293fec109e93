// What can be done through the doorbell and the session socket.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "tests/hostile/rogue/attack.h"

namespace rtsup::test {
namespace {

using abi::Frame;

// O_NONBLOCK of the doorbell is shared with the base: a base that reads or writes it would hang.
void blocking_doorbell(RawSession& session, const Frame& event) {
  (void)::fcntl(session.doorbell(), F_SETFL, 0);
  session.answer(event, "cleared");
  // The first write fills it, the second one sleeps for ever: here, and in whoever else writes it.
  const uint64_t almost_full = 0xFFFFFFFFFFFFFFFE;
  while (::write(session.doorbell(), &almost_full, sizeof almost_full) > 0) {
  }
}

// Rings without end and without a reason.
void doorbell_storm(RawSession& session, const Frame& event) {
  session.answer(event, "storming");
  while (true) {
    session.ring();
  }
}

// Descriptors sent up the session socket would pile up at the base, if it could be sent anything.
void descriptor_flood(RawSession& session, const Frame& event) {
  int sent = 0;
  for (int i = 0; i < 100; ++i) {
    int fd = 0;
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof fd)] = {};
    char byte = 0;
    iovec part{&byte, 1};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    cmsghdr* const rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof fd);
    std::memcpy(CMSG_DATA(rights), &fd, sizeof fd);
    sent += ::sendmsg(abi::kSessionFd, &header, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0 ? 1 : 0;
  }
  session.answer(event, sent == 0 ? "nothing went through" : "descriptors went through");
}

// Takes its own doorbell's count away before the base sees it, as fast as it rings.
void doorbell_stolen(RawSession& session, const Frame& event) {
  for (int i = 0; i < 500; ++i) {
    session.ring();
    uint64_t count = 0;
    [[maybe_unused]] const ssize_t stolen = ::read(session.doorbell(), &count, sizeof count);
  }
  session.answer(event, session.ask(session.echo_request()) == 0 ? "still served" : "not served");
}

constexpr Attack kAttacks[] = {
    {"blocking-doorbell", blocking_doorbell},
    {"doorbell-storm", doorbell_storm},
    {"descriptor-flood", descriptor_flood},
    {"doorbell-stolen", doorbell_stolen},
};

}  // namespace

std::span<const Attack> descriptor_attacks() { return kAttacks; }

}  // namespace rtsup::test
