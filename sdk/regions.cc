#include "sdk/regions.h"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>

#include "sys/clock.h"

namespace rtsup::sdk {
namespace {

// The message and its descriptors, each beside its item.
struct Delivery {
  abi::SessionMessage message{};
  sys::UniqueFd fds[abi::kSessionItemsMax];
};

Error unfit(int64_t number) noexcept {
  return {.status = Status::kFailedPrecondition, .step = Step::kAttach, .number = number};
}

Result<Delivery> receive(const sys::UniqueFd& socket) {
  Delivery delivery;
  auto received = sys::receive_record(socket.get(), delivery.message, abi::kSessionItemsMax);
  if (!received) {
    return received.error();
  }
  const abi::SessionMessage& message = delivery.message;
  if (message.magic != abi::kSessionMagic || message.item_count > abi::kSessionItemsMax ||
      message.item_count != received->fds.count()) {
    return unfit(message.item_count);
  }
  for (uint32_t i = 0; i < message.item_count; ++i) {
    delivery.fds[i] = received->fds.take(i);
  }
  return delivery;
}

Result<void> wait_readable(const sys::UniqueFd& socket, uint64_t timeout_ns) noexcept {
  const int64_t end = sys::monotonic_ns() + static_cast<int64_t>(timeout_ns);
  for (;;) {
    const int64_t left = end - sys::monotonic_ns();
    if (left <= 0) {
      return Error{.status = Status::kDeadlineExceeded, .step = Step::kAttach};
    }
    pollfd watched{.fd = socket.get(), .events = POLLIN, .revents = 0};
    const int ready = ::poll(&watched, 1, static_cast<int>(left / 1'000'000 + 1));
    if (ready > 0) {
      return {};
    }
    if (ready < 0 && errno != EINTR) {
      return sys_error(Step::kAttach);
    }
  }
}

// One of a later layout is left alone: without a page everything is a call.
Result<void> map_page(int fd, uint64_t bytes, Regions& regions) {
  if (bytes != abi::kPageBytes) {
    return {};
  }
  RTSUP_ASSIGN(regions.page_mapping, sys::ReadOnlyMapping::create(fd, bytes, sys::Prefault::kYes));
  const auto& header =
      *reinterpret_cast<const abi::PageHeader*>(regions.page_mapping.bytes().data());
  if (header.magic != abi::kPageMagic || header.version != abi::kPageVersion) {
    regions.page_mapping = {};
  }
  return {};
}

Result<void> map_items(Delivery& delivery, Regions& regions) {
  const auto size_fits = [](uint64_t bytes, uint32_t wanted) { return bytes == wanted; };
  for (uint32_t i = 0; i < delivery.message.item_count; ++i) {
    const abi::SessionItem& item = delivery.message.items[i];
    const int fd = delivery.fds[i].get();
    switch (item.kind) {
      case abi::ItemKind::kUp: {
        if (!size_fits(item.bytes, abi::kRegionBytes)) {
          return unfit(static_cast<int64_t>(item.bytes));
        }
        RTSUP_ASSIGN(regions.up_mapping,
                     sys::WritableMapping::create(fd, item.bytes, sys::Prefault::kYes));
        break;
      }
      case abi::ItemKind::kDown: {
        if (!size_fits(item.bytes, abi::kRegionBytes)) {
          return unfit(static_cast<int64_t>(item.bytes));
        }
        RTSUP_ASSIGN(regions.down_mapping,
                     sys::ReadOnlyMapping::create(fd, item.bytes, sys::Prefault::kYes));
        break;
      }
      case abi::ItemKind::kShard: {
        if (item.bytes < sizeof(abi::ShardPage)) {
          return unfit(static_cast<int64_t>(item.bytes));
        }
        RTSUP_ASSIGN(regions.shard_mapping,
                     sys::ReadOnlyMapping::create(fd, item.bytes, sys::Prefault::kYes));
        break;
      }
      case abi::ItemKind::kDoorbell:
        regions.doorbell = sys::EventFd::adopt(std::move(delivery.fds[i]));
        break;
      case abi::ItemKind::kRuntimePage:
        RTSUP_TRY(map_page(fd, item.bytes, regions));
        break;
      default:
        break;  // of a later minor: closed and ignored
    }
  }
  regions.up = regions.up_mapping.bytes();
  regions.down = regions.down_mapping.bytes();
  regions.shard = regions.shard_mapping.bytes();
  regions.page = regions.page_mapping.bytes();
  if (!regions.up_mapping || !regions.down_mapping || !regions.shard_mapping || !regions.doorbell) {
    return unfit(delivery.message.item_count);
  }
  return {};
}

void acknowledge(const Regions& regions, uint64_t epoch) noexcept {
  abi::UpHeader& up = regions.up_header();
  up.magic = abi::kUpMagic;
  up.bytes = abi::kRegionBytes;
  up.abi_major = abi::kAbiMajor;
  up.abi_minor = abi::kAbiMinor;
  // Release: orders the header's fields; partner: the base's acquire load when the doorbell rings.
  up.attached_epoch.store(epoch, std::memory_order_release);
  // A base that is gone is found out by the first wait.
  static_cast<void>(regions.doorbell.notify());
}

}  // namespace

Result<Regions> Regions::attach(sys::UniqueFd socket, uint64_t timeout_ns) {
  RTSUP_TRY(wait_readable(socket, timeout_ns));
  auto delivery = receive(socket);
  if (!delivery) {
    Error error = delivery.error();
    if (sys::peer_gone(error)) {
      error.status = Status::kUnavailable;
    }
    error.step = Step::kAttach;
    return error;
  }
  const abi::SessionMessage& message = delivery->message;
  if (message.verb != abi::SessionVerb::kAttach) {
    return unfit(static_cast<int64_t>(message.verb));
  }
  Regions regions;
  regions.socket = std::move(socket);
  RTSUP_TRY(map_items(*delivery, regions));
  // Also a base of another major learns which version came: it writes both into its record.
  acknowledge(regions, message.epoch);
  if (message.abi_major != abi::kAbiMajor) {
    return Error{.status = Status::kFailedPrecondition,
                 .step = Step::kAbiVersion,
                 .number = (int64_t{message.abi_major} << 16) | message.abi_minor};
  }
  return regions;
}

Result<ReceivedWindow> receive_window(const sys::UniqueFd& socket) {
  RTSUP_ASSIGN(Delivery delivery, receive(socket));
  const abi::SessionMessage& message = delivery.message;
  if (message.verb != abi::SessionVerb::kWindow || message.item_count != 1) {
    return unfit(static_cast<int64_t>(message.verb));
  }
  const abi::SessionItem& item = message.items[0];
  return ReceivedWindow{.window = item.window,
                        .bytes = item.bytes,
                        .kind = item.kind,
                        .fd = std::move(delivery.fds[0])};
}

bool is_base_gone(const sys::UniqueFd& socket) noexcept {
  // recvmsg, the one receiving call that every policy allows. Without room for them the descriptors
  // of a waiting message stay where they are.
  char byte = 0;
  iovec part{.iov_base = &byte, .iov_len = 1};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  const ssize_t count = ::recvmsg(socket.get(), &message, MSG_PEEK | MSG_DONTWAIT);
  return count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR);
}

}  // namespace rtsup::sdk
