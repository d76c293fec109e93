// The message path allocates nothing once a session is warm, on either side: counted by replacing
// operator new in this program.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "broker/core/answer.h"
#include "tests/channel/connect.h"
#include "tests/channel/rig.h"
#include "tests/channel/tables.h"

namespace {
std::atomic<uint64_t> allocations{0};
}  // namespace

void* operator new(size_t size) {
  // Relaxed: a count that is compared while nobody else allocates.
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* memory = std::malloc(size == 0 ? 1 : size); memory != nullptr) {
    return memory;
  }
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t /*size*/) noexcept { std::free(memory); }

namespace rtsup::testing {
namespace {

TEST(ChannelAllocationTest, TenThousandCallsAllocateNothing) {
  Rig rig;
  const auto value = broker::ValueRef::copy_of(std::as_bytes(std::span("a value of the store")));
  rig.service.on_call = [&](broker::Call& call) { call.answer(Status::kOk, {}, value); };
  const auto worker = connect(rig, 1);
  const Table echo = echo_table();
  const Table get = get_table("key");
  const std::vector<std::byte> payload(256);
  const auto call_both = [&] {
    for (const auto& request :
         {sdk::Request{.opcode = abi::op::kBaseEcho, .metadata = echo, .payload = payload},
          sdk::Request{.opcode = abi::op::kStateGet, .metadata = get}}) {
      const sdk::Answer answer = worker->call(request);
      ASSERT_EQ(answer.status, Status::kOk);
      worker->release(answer.lease);
      const sdk::Begun begun = worker->begin(request);
      worker->release(worker->await(begun.handle).lease);
    }
  };
  for (int i = 0; i < 100; ++i) {
    call_both();
  }
  const uint64_t before = allocations.load();
  for (int i = 0; i < 5000; ++i) {
    call_both();
  }
  EXPECT_EQ(allocations.load() - before, 0U);
}

}  // namespace
}  // namespace rtsup::testing
