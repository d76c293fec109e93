#include "sdk/regions.h"

#include <poll.h>

#include <cerrno>

#include "sys/clock.h"

namespace rtsup::sdk {
namespace {

Error unfit(int64_t number) noexcept {
  return {.status = Status::kFailedPrecondition, .step = Step::kAttach, .number = number};
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

}  // namespace

Result<Delivery> receive_delivery(const sys::UniqueFd& socket) {
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

void Regions::acknowledge() const noexcept {
  abi::UpHeader& header = up_header();
  header.magic = abi::kUpMagic;
  header.bytes = abi::kRegionBytes;
  header.abi_major = abi::kAbiMajor;
  header.abi_minor = abi::kAbiMinor;
  // Release: orders the header's fields; partner: the base's acquire load when the doorbell rings.
  header.attached_epoch.store(epoch, std::memory_order_release);
  // A base that is gone is found out by the first wait.
  static_cast<void>(doorbell.notify());
}

Result<Regions> Regions::attach(sys::UniqueFd socket, uint64_t timeout_ns) {
  RTSUP_TRY(wait_readable(socket, timeout_ns));
  auto delivery = receive_delivery(socket);
  if (!delivery) {
    Error error = delivery.error();
    if (sys::peer_gone(error)) {
      error.status = Status::kUnavailable;
    }
    error.step = Step::kAttach;
    return error;
  }
  RTSUP_ASSIGN(Regions regions, take_up(*delivery));
  regions.socket = std::move(socket);
  // Also a base of another major learns which version came: it writes both into its record.
  regions.acknowledge();
  const abi::SessionMessage& message = delivery->message;
  if (message.abi_major != abi::kAbiMajor) {
    return Error{.status = Status::kFailedPrecondition,
                 .step = Step::kAbiVersion,
                 .number = (int64_t{message.abi_major} << 16) | message.abi_minor};
  }
  return regions;
}

Result<Regions> Regions::take_up(Delivery& delivery) {
  if (delivery.message.verb != abi::SessionVerb::kAttach) {
    return unfit(static_cast<int64_t>(delivery.message.verb));
  }
  Regions regions;
  regions.epoch = delivery.message.epoch;
  RTSUP_TRY(map_items(delivery, regions));
  return regions;
}

Result<ReceivedWindow> window_of(Delivery& delivery) {
  const abi::SessionMessage& message = delivery.message;
  if (message.verb != abi::SessionVerb::kWindow || message.item_count != 1) {
    return unfit(static_cast<int64_t>(message.verb));
  }
  const abi::SessionItem& item = message.items[0];
  return ReceivedWindow{.epoch = message.epoch,
                        .window = item.window,
                        .bytes = item.bytes,
                        .kind = item.kind,
                        .fd = std::move(delivery.fds[0])};
}

}  // namespace rtsup::sdk
