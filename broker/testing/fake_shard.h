// FakeShard: remembers what it was asked; its sessions do nothing, its time is a FakeLoop's.
// Threads: post() any; everything else one.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <vector>

#include "broker/channel/shard.h"
#include "broker/testing/fake_loop.h"
#include "sys/memory.h"

namespace rtsup::broker::testing {

class FakeShard final : public channel::Shard {
 public:
  Result<sys::UniqueFd> attach(channel::Attachment attachment) override {
    if (attach_error) {
      return *attach_error;
    }
    EXPECT_TRUE(attachment.socket);
    attached.emplace(attachment.session, std::move(attachment));
    return std::move(*sys::create_memfd("down", 4096));
  }
  Result<void> introduce(SessionId session) override {
    introduced.push_back(session.value);
    return introduce_error ? Result<void>(*introduce_error) : Result<void>();
  }
  void detach(SessionId session) override { detached.push_back(session.value); }
  void drain(SessionId session) override { drained.push_back(session.value); }
  void end(SessionId, abi::ViolationReason, uint64_t) override {}
  void expect_sessions(bool more) override { expects = more; }
  void hold(bool on) override {
    is_held = on;
    holds += on ? 1 : 0;
  }
  [[nodiscard]] channel::Unrest unrest() override { return rest; }
  void hand_over() noexcept override { ++handed_over; }
  void each_session(
      const std::function<void(const channel::SessionReading&)>& visit) const override {
    for (const auto& [session, attachment] : attached) {
      visit(
          {.session = session, .principal = attachment.principal, .meters = meters, .ready = true});
    }
  }
  Result<void> watch(int, std::function<void()> on_readable) override {
    readable = std::move(on_readable);
    return {};
  }
  void unwatch(int) override { readable = nullptr; }
  void run() override {}
  void stop() noexcept override {}
  void post(std::function<void()> work) override { loop.post(std::move(work)); }
  uint64_t at(uint64_t when_ns, std::function<void()> work) override {
    return loop.at(when_ns, std::move(work));
  }
  void cancel(uint64_t timer) override { loop.cancel(timer); }
  uint64_t now_ns() const override { return loop.now_ns(); }
  Endpoint* pick(FunctionIndex) override { return nullptr; }
  bool has_ready(FunctionIndex) const override { return false; }
  void room_later(FunctionIndex) override {}
  void observe(Observer*) override {}
  void supply(PageSource*) override {}
  void each_page(FunctionIndex, const std::function<void(SessionPage&)>&) override {}

  FakeLoop loop;
  std::optional<Error> attach_error;
  std::map<SessionId, channel::Attachment> attached;
  std::optional<Error> introduce_error;
  std::vector<uint32_t> introduced;
  std::vector<uint32_t> detached;
  std::vector<uint32_t> drained;
  bool expects = false;
  bool is_held = false;
  int holds = 0;
  channel::Unrest rest;
  int handed_over = 0;
  channel::SessionMeters meters;
  std::function<void()> readable;
};

}  // namespace rtsup::broker::testing
