// Attach: the message that a worker's library takes off its session socket, and its descriptors.
//         Input: how many descriptors, which ones, then the message's bytes. Descriptors of memory
//         are as large as a region: that they are is the base's promise, and a mapping beyond a
//         file's end is no parser's to find.
#include <fcntl.h>
#include <sys/eventfd.h>

#include <cstring>
#include <vector>

#include "sdk/regions.h"
#include "tests/fuzz/require.h"
#include "tests/fuzz/script.h"

namespace rtsup::fuzz {
namespace {

constexpr size_t kMemoryBytes = 1 << 20;
constexpr uint64_t kTimeoutNs = 1'000'000'000;

// What a message may carry: two memory files, one of them as read-only too, a doorbell, a device.
struct Descriptors {
  Descriptors() {
    for (const size_t i : {0U, 1U}) {
      memory[i] = sys::create_memfd("fuzz", kMemoryBytes)->release();
      // One that is named as the doorbell is written to: that has to fail, or the ring
      // of a bell lands in a region.
      RTSUP_REQUIRE(sys::add_seals(memory[i], sys::kSealsReadableRegion) &&
                        ::lseek(memory[i], 0, SEEK_END) == kMemoryBytes,
                    "no memory to fuzz with");
    }
    const std::string path = "/proc/self/fd/" + std::to_string(memory[0]);
    read_only = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    doorbell = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    device = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    RTSUP_REQUIRE(read_only >= 0 && doorbell >= 0 && device >= 0, "no descriptors to fuzz with");
  }
  [[nodiscard]] int at(uint32_t choice) const {
    const int all[] = {memory[0], memory[1], read_only, doorbell, device};
    return all[choice % std::size(all)];
  }
  int memory[2] = {};
  int read_only = -1;
  int doorbell = -1;
  int device = -1;
};

// Of the lowest, which are all that this process uses.
int count_open_descriptors() {
  int count = 0;
  for (int fd = 0; fd < 64; ++fd) {
    count += ::fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
  }
  return count;
}

void check_attached(const sdk::Regions& regions, const abi::SessionMessage& message) {
  RTSUP_REQUIRE(message.magic == abi::kSessionMagic && message.abi_major == abi::kAbiMajor &&
                    message.verb == abi::SessionVerb::kAttach &&
                    message.item_count <= abi::kSessionItemsMax,
                "WRONG ACCEPT: a message that is no attach message");
  RTSUP_REQUIRE(regions.up.size() == abi::kRegionBytes &&
                    regions.down.size() == abi::kRegionBytes &&
                    regions.shard.size() >= sizeof(abi::ShardPage) && regions.doorbell,
                "attached without all it needs");
  RTSUP_REQUIRE(regions.up_header().attached_epoch.load() == message.epoch,
                "another epoch was acknowledged");
}

void run(Script& script, const Descriptors& descriptors) {
  const bool is_window = script.below(4) == 0;
  std::vector<int> fds(script.below(10));
  for (int& fd : fds) {
    fd = descriptors.at(script.byte());
  }
  abi::SessionMessage message{};
  const size_t size = script.below(16) == 0 ? 1 + script.byte() : sizeof message;
  std::vector<std::byte> bytes(size);
  script.fill(bytes);
  std::memcpy(&message, bytes.data(), std::min(size, sizeof message));
  auto pair = sys::create_seqpacket_pair();
  RTSUP_REQUIRE(pair && sys::send_message(pair->first.get(), bytes, fds), "no socket to fuzz with");
  if (is_window) {
    auto delivery = sdk::receive_delivery(pair->second);
    const auto window =
        delivery ? sdk::window_of(*delivery) : Result<sdk::ReceivedWindow>(delivery.error());
    RTSUP_REQUIRE(!window || (size == sizeof message && message.item_count == 1 && window->fd),
                  "WRONG ACCEPT: a message that is no window");
    return;
  }
  if (const auto regions = sdk::Regions::attach(std::move(pair->second), kTimeoutNs); regions) {
    RTSUP_REQUIRE(size == sizeof message, "WRONG ACCEPT: a message of another size");
    check_attached(*regions, message);
    const auto none = sdk::receive_delivery(regions->socket);
    RTSUP_REQUIRE(none.has_value() || !sys::peer_gone(none.error()), "the base is there");
  }
}

}  // namespace
}  // namespace rtsup::fuzz

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer finds it by this name
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const rtsup::fuzz::Descriptors descriptors;
  rtsup::fuzz::Script script(data, size);
  const int before = rtsup::fuzz::count_open_descriptors();
  rtsup::fuzz::run(script, descriptors);
  RTSUP_REQUIRE(rtsup::fuzz::count_open_descriptors() == before, "a descriptor was left behind");
  return 0;
}
