#include "sys/socket.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <vector>

#include "sys/file.h"
#include "sys/memory.h"
#include "tests/support/leak_check.h"

namespace rtsup::sys {
namespace {

struct Record {
  uint64_t number;
  uint64_t other;
};

class SocketTest : public testing::Test {
 protected:
  void SetUp() override {
    Result<SocketPair> pair = create_seqpacket_pair();
    ASSERT_TRUE(pair);
    pair_ = std::move(*pair);
  }
  [[nodiscard]] int near() const { return pair_.first.get(); }
  [[nodiscard]] int far() const { return pair_.second.get(); }
  test::LeakCheck leaks_;
  SocketPair pair_;
};

TEST_F(SocketTest, RecordsArriveWholeAndInOrder) {
  ASSERT_TRUE(send_record(near(), Record{.number = 1, .other = 2}));
  ASSERT_TRUE(send_record(near(), Record{.number = 3, .other = 4}));
  Record record{};
  ASSERT_TRUE(receive_record(far(), record));
  EXPECT_EQ(record.number, 1U);
  ASSERT_TRUE(receive_record(far(), record));
  EXPECT_EQ(record.other, 4U);
}

TEST_F(SocketTest, EmptySocketSaysTryAgain) {
  Record record{};
  const Result<Received> received = receive_record(far(), record);
  ASSERT_FALSE(received);
  EXPECT_TRUE(would_block(received.error()));
}

TEST_F(SocketTest, FullSocketSaysTryAgain) {
  Result<void> sent;
  for (int i = 0; i < 100'000 && sent; ++i) {
    sent = send_record(near(), Record{});
  }
  ASSERT_FALSE(sent);
  EXPECT_TRUE(would_block(sent.error()));
}

TEST_F(SocketTest, ClosedPeerIsGoneBothWays) {
  pair_.second.reset();
  Record record{};
  EXPECT_TRUE(peer_gone(receive_record(near(), record).error()));
  EXPECT_TRUE(peer_gone(send_record(near(), record).error()));
}

TEST_F(SocketTest, RecordOfAnotherSizeIsRefused) {
  const std::array<std::byte, 40> bytes{};
  Record record{};
  ASSERT_TRUE(send_message(near(), std::span(bytes).first(8)));
  EXPECT_EQ(receive_record(far(), record).error().status, Status::kDataLoss);
  ASSERT_TRUE(send_message(near(), bytes));
  EXPECT_EQ(receive_record(far(), record).error().status, Status::kDataLoss);
}

TEST_F(SocketTest, DescriptorsArriveCloseOnExecAndInOrder) {
  Result<SealedMemfd> first = SealedMemfd::create("first", {});
  Result<SealedMemfd> second = SealedMemfd::create("second", {});
  ASSERT_TRUE(first && second);
  const std::array<int, 2> fds{first->fd(), second->fd()};
  ASSERT_TRUE(send_record(near(), Record{}, fds));
  Record record{};
  Result<Received> received = receive_record(far(), record, 2);
  ASSERT_TRUE(received);
  ASSERT_EQ(received->fds.count(), 2U);
  const UniqueFd copy = received->fds.take(1);
  EXPECT_EQ(identify(copy.get())->inode, identify(second->fd())->inode);
  EXPECT_NE(::fcntl(copy.get(), F_GETFD) & FD_CLOEXEC, 0);
  EXPECT_FALSE(received->fds.take(1).is_open());
}

TEST_F(SocketTest, UnexpectedDescriptorsAreClosed) {  // LeakCheck counts them
  Result<SealedMemfd> file = SealedMemfd::create("file", {});
  ASSERT_TRUE(file);
  const std::array<int, 2> fds{file->fd(), file->fd()};
  ASSERT_TRUE(send_record(near(), Record{}, fds));
  Record record{};
  EXPECT_EQ(receive_record(far(), record, 1).error().status, Status::kDataLoss);
}

TEST_F(SocketTest, MoreDescriptorsThanFitAreClosed) {
  std::vector<int> fds(100, STDERR_FILENO);
  std::vector<std::byte> control(CMSG_SPACE(fds.size() * sizeof(int)));
  Record record{};
  iovec vector{.iov_base = &record, .iov_len = sizeof record};
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
  std::memcpy(CMSG_DATA(header), fds.data(), fds.size() * sizeof(int));
  ASSERT_EQ(::sendmsg(near(), &message, 0), static_cast<ssize_t>(sizeof record));
  EXPECT_EQ(receive_record(far(), record, kMessageFdsMax).error().status, Status::kDataLoss);
}

TEST_F(SocketTest, CredentialsTellTheTrueWriter) {
  ASSERT_TRUE(pass_credentials(far()));
  const pid_t child = ::fork();
  if (child == 0) {
    ::_exit(send_record(near(), Record{}) ? 0 : 1);
  }
  Record record{};
  Result<Received> received = receive_record(far(), record, 0, Wait::kYes);
  ASSERT_TRUE(received);
  ASSERT_TRUE(received->credentials);
  EXPECT_EQ(received->credentials->pid, child);
  EXPECT_EQ(received->credentials->uid, ::getuid());
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
}

// The base's end is shut for reading before launch: the worker can then send nothing, descriptors
// included.
TEST_F(SocketTest, ShutEndTakesNothing) {
  ASSERT_TRUE(shutdown_socket(near(), Direction::kRead));
  const std::array<int, 1> fds{STDERR_FILENO};
  EXPECT_TRUE(peer_gone(send_record(far(), Record{}, fds).error()));
  EXPECT_TRUE(send_record(near(), Record{.number = 5, .other = 6}));
  Record record{};
  EXPECT_TRUE(receive_record(far(), record));
}

class ListenerTest : public testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/rtsup-socket-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { EXPECT_TRUE(remove_tree(folder_)); }
  test::LeakCheck leaks_;
  std::string folder_;
};

TEST_F(ListenerTest, PeersAreKnownByTheirCredentials) {
  const std::string path = folder_ + "/control.sock";
  Result<UnixListener> listener = UnixListener::create(path, 0600);
  ASSERT_TRUE(listener);
  EXPECT_EQ(identify_path(path)->mode & 07777, 0600U);
  EXPECT_TRUE(would_block(listener->accept().error()));
  Result<UniqueFd> client = connect_unix(path);
  ASSERT_TRUE(client);
  Result<UniqueFd> server = listener->accept();
  ASSERT_TRUE(server);
  const Result<Credentials> peer = peer_credentials(server->get());
  ASSERT_TRUE(peer);
  EXPECT_EQ(peer->pid, ::getpid());
  EXPECT_EQ(peer->uid, ::geteuid());
}

TEST_F(ListenerTest, LongPathsWork) {
  const std::string deep = folder_ + "/" + std::string(100, 'a') + "/" + std::string(100, 'b');
  ASSERT_TRUE(make_directories(deep, 0700));
  Result<UnixListener> listener = UnixListener::create(deep + "/control.sock", 0600);
  ASSERT_TRUE(listener);
  EXPECT_TRUE(connect_unix(deep + "/control.sock"));
}

TEST_F(ListenerTest, LeftOverSocketIsReplacedButNothingElse) {
  const std::string path = folder_ + "/control.sock";
  ASSERT_TRUE(UnixListener::create(path, 0600));
  EXPECT_TRUE(peer_gone(connect_unix(path).error()));
  EXPECT_TRUE(UnixListener::create(path, 0600));
  ASSERT_TRUE(replace_file(folder_ + "/file", "x", 0600));
  EXPECT_EQ(UnixListener::create(folder_ + "/file", 0600).error().sys_errno, EADDRINUSE);
}

TEST_F(ListenerTest, ConnectingNowhereIsNotFound) {
  EXPECT_EQ(connect_unix(folder_ + "/none").error().status, Status::kNotFound);
}

}  // namespace
}  // namespace rtsup::sys
