// VictimUse: somebody who goes on using a function all the while, and counts the wrong answers.
// Threads: its own; expect_undisturbed() ends it.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <string>
#include <thread>

#include "tests/support/base_fixture.h"

namespace rtsup::test {

class VictimUse {
 public:
  explicit VictimUse(const std::function<Outcome(const std::string&)>& invoke)
      : thread_([this, invoke](const std::stop_token& stopped) {
          while (!stopped.stop_requested()) {
            const std::string text = "call " + std::to_string(right_ + wrong_);
            const Outcome answer = invoke("echo " + text);
            if (answer.code == kExitOk && answer.out == text) {
              ++right_;
            } else {
              ++wrong_;
              first_wrong_ = first_wrong_.empty() ? answer.err : first_wrong_;
            }
          }
        }) {}

  void expect_undisturbed() {
    const unsigned before = right_;
    EXPECT_TRUE(wait_for_more(before)) << "the victim no longer answers";
    thread_.request_stop();
    thread_.join();
    EXPECT_EQ(wrong_, 0U) << first_wrong_;
  }

 private:
  bool wait_for_more(unsigned before) const {
    for (int i = 0; i < 1000 && right_ < before + 2 && wrong_ == 0; ++i) {
      std::this_thread::sleep_for(Milliseconds(10));
    }
    return right_ >= before + 2;
  }
  std::atomic<unsigned> right_{0};
  std::atomic<unsigned> wrong_{0};
  std::string first_wrong_;
  std::jthread thread_;
};

}  // namespace rtsup::test
