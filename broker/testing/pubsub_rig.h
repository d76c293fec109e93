// PubsubRig: the pubsub service over a real bus, and one instance of the subscriber "mail".
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>

#include "broker/components/memory/memory_bus.h"
#include "broker/services/pubsub_service.h"
#include "broker/testing/fake_loop.h"
#include "broker/testing/tables.h"
#include "schemas/pubsub_generated.h"

namespace rtsup::broker::testing {

inline constexpr FunctionIndex kMail{1};
inline constexpr ComponentIndex kBus{1};

inline Table publish_table(const std::string& topic, const std::string& type = "text/plain") {
  return make_table([&](auto& b) {
    const std::vector pairs = {abi::CreatePairDirect(b, "lang", "en")};
    return abi::CreatePubsubPublishRequestDirect(b, "bus", topic.c_str(), type.c_str(), &pairs);
  });
}

struct Sent {
  EventSink* sink;
  std::vector<std::byte> metadata;
  std::string payload;
  uint64_t deadline_ns;
  ValueRef value;
  [[nodiscard]] const abi::PubsubMessageEvent& table() const {
    return *flatbuffers::GetRoot<abi::PubsubMessageEvent>(metadata.data());
  }
};

// One instance of mail with so many free slots.
class OneInstance final : public Directory, public Endpoint {
 public:
  Endpoint* pick(FunctionIndex function) override {
    return function == kMail && slots > 0 ? this : nullptr;
  }
  bool has_ready(FunctionIndex) const override { return slots > 0; }
  void room_later(FunctionIndex function) override {
    if (!is_midturn) {
      observer->room(function);
    }
  }
  uint32_t group_room(const std::shared_ptr<SharedMemory>& memory) override {
    return memory == nullptr ? 0 : group_room_max;
  }
  bool has_overdue() const override { return is_overdue; }
  bool send_group(const EventGroup& group, EventSink& sink) override {
    if (no_room) {
      return false;
    }
    Group& made = groups.emplace_back();
    made.sink = &sink;
    made.memory = group.memory;
    for (const auto& item : group.items) {
      const auto start = group.memory->bytes();
      EXPECT_GE(item.payload.data(), start.data());
      EXPECT_LE(item.payload.data() + item.payload.size(), start.data() + start.size());
      made.texts.push_back(text_of(item.payload).substr(0, 1));
      made.first = item.payload;
    }
    return true;
  }
  struct Group {
    EventSink* sink = nullptr;
    std::vector<std::string> texts;
    std::span<const std::byte> first;  // any of them
    std::shared_ptr<SharedMemory> memory;
  };
  uint32_t group_room_max = 0;
  bool is_midturn = false;
  std::vector<Group> groups;
  void observe(Observer* given) override { observer = given; }
  bool send(const Event& event, EventSink& sink) override {
    if (no_room) {
      return false;
    }
    --slots;
    EXPECT_EQ(event.opcode, abi::op::kEventMessage);
    flatbuffers::Verifier verifier(reinterpret_cast<const uint8_t*>(event.metadata.data()),
                                   event.metadata.size());
    EXPECT_TRUE(verifier.VerifyBuffer<abi::PubsubMessageEvent>(nullptr));
    std::string payload(event.payload->size(), '\0');
    event.payload->copy(0, std::as_writable_bytes(std::span(payload)));
    sent.push_back({&sink,
                    {event.metadata.begin(), event.metadata.end()},
                    payload,
                    event.deadline_ns,
                    *event.value});
    return true;
  }
  void reply(Status status) {
    const Sent event = std::move(sent.front());
    sent.pop_front();
    ++slots;
    event.sink->answered(status, {}, FakePayload());
  }
  Observer* observer = nullptr;
  bool no_room = false;
  bool is_overdue = false;
  int slots = 1;
  std::deque<Sent> sent;
};

class PubsubServiceTest : public ::testing::Test {
 protected:
  PubsubServiceTest() { mail_.observe(&service_); }
  FakeCall run(uint16_t opcode, Table table, std::string payload = {}, uint32_t function = 0) {
    FakeCall call(opcode, std::move(table), std::move(payload),
                  function_principal(function, function == 0 ? "cart" : "mail"));
    service_.handle(call, kBus);
    return call;
  }
  FakeCall publish(const std::string& topic, const std::string& text) {
    return run(abi::op::kPubsubPublish, publish_table(topic), text);
  }
  void subscribe(const std::string& topic) {
    const auto table = make_table(
        [&](auto& b) { return abi::CreatePubsubSubscribeRequestDirect(b, "bus", topic.c_str()); });
    EXPECT_EQ(run(abi::op::kPubsubSubscribe, table, "", kMail.value).status, Status::kOk);
  }

  // Publishes and acknowledges until the subscribers share memory.
  void settle(const std::string& topic) {
    for (uint32_t i = 1; i < kTopicSettledMessages; ++i) {
      EXPECT_EQ(publish(topic, std::string(4096, 'x')).status, Status::kOk);
      ASSERT_EQ(mail_.sent.size(), 1U);
      EXPECT_EQ(mail_.sent.front().value.memory(), nullptr) << "too early";
      mail_.reply(Status::kOk);
    }
  }

  FakeLoop loop_;
  OneInstance mail_;
  AnswerBuilder builder_;
  MemoryBus bus_{2, loop_};
  PubsubService service_{
      {.buses = {nullptr, &bus_},
       .components = {"store", "bus"},
       .event_timeouts_ns = {1'000'000'000, 2'000'000'000},
       .id_seed = 0xabc},
      {.directory = mail_, .timers = loop_, .builder = builder_, .clock = loop_}};
};

}  // namespace rtsup::broker::testing
