#include "tests/fuzz/frames/meeting.h"

#include <cstdio>

#include "tests/fuzz/frames/base_end.h"
#include "tests/fuzz/frames/fake_kernel.h"
#include "tests/fuzz/frames/worker.h"
#include "tests/fuzz/require.h"

namespace rtsup::fuzz {
namespace {

using Kind = Verdict::Kind;
using Reason = abi::ViolationReason;

FrameCounters counted;

// One session, from its attachment to the last byte freed.
class Meeting {
 public:
  Meeting(Script& script, BaseEnd& base) : script_(script), base_(base) {
    ++counted.sessions;
    const bool is_operator = script.below(8) == 0;
    base_.begin(script, is_operator);
    worker_.attach();
    model_.emplace(
        worker_.up_bytes(), worker_.down_bytes(),
        Model::Setting{.is_operator = is_operator, .payload_bytes_max = base_.payload_bytes_max()});
    attach();
  }
  ~Meeting() {
    kernel().has_holes = kernel().is_short_of_memory = kernel().is_socket_full = false;
    base_.finish();
    worker_.take_messages(*model_);
  }
  [[nodiscard]] bool is_over() const noexcept { return base_.is_over(); }

  void act() {
    const uint8_t choice = script_.byte();
    if (choice < 96 || choice >= 228) {
      worker_.publish_request(script_);
      look();
    } else if (choice < 160) {
      act_as_worker(choice);
    } else {
      act_as_base(choice);
    }
  }

 private:
  void attach() {
    const bool is_honest = script_.below(16) != 0;
    kernel().has_holes = !is_honest && script_.below(4) == 0;
    const auto acknowledged = worker_.acknowledge(script_, is_honest);
    const bool has_holes = kernel().has_holes;
    base_.ring();
    const auto reason = base_.reason();
    if (has_holes) {
      RTSUP_REQUIRE(reason == Reason::kRegionHole, "a region with holes was accepted");
    } else if (!acknowledged.is_epoch_right) {
      RTSUP_REQUIRE(!reason, "a doorbell that came too early");
    } else if (acknowledged.major != abi::kAbiMajor) {
      RTSUP_REQUIRE(reason == Reason::kAbiVersion, "another major was accepted");
    } else {
      RTSUP_REQUIRE(!reason, "an honest acknowledgement was refused");
      model_->attached();
    }
    kernel().has_holes = false;
    is_judged_ = reason.has_value();
  }

  // The base looks at one frame.
  void look() {
    const Verdict verdict = base_.is_over() ? Verdict() : model_->predict();
    const uint64_t head = base_up_head();
    base_.expect(verdict);
    base_.take_up_one();
    const bool advanced = base_up_head() != head;
    const bool stalled = !advanced && !base_.is_over();
    if (verdict.kind == Kind::kNothing) {
      RTSUP_REQUIRE(!advanced, "WRONG ACCEPT: a frame that was not published");
    } else if (stalled) {
      RTSUP_REQUIRE(base_.holds_calls() || model_->unanswered() > 0, "a frame was passed over");
    } else {
      count_and_check(verdict, advanced);
    }
    observe();
    check_end(verdict);
  }

  void count_and_check(const Verdict& verdict, bool advanced) {
    ++counted.frames;
    if (verdict.kind == Kind::kEnd) {
      RTSUP_REQUIRE(base_.reason() == verdict.reason,
                    "WRONG ACCEPT: the session must end, and for this reason");
      return;
    }
    if (!advanced) {
      return;  // the session has ended; check_end() judges whether it should have
    }
    ++counted.accepted;
    RTSUP_REQUIRE(verdict.kind != Kind::kHandled || base_.was_handled(), "a call that was lost");
    model_->taken(verdict);
  }

  // Whether the base had a reason to end the session that the verdict does not name.
  void check_end(const Verdict& verdict) {
    if (!base_.reason() || is_judged_) {
      return;
    }
    is_judged_ = true;
    const Reason reason = *base_.reason();
    const uint16_t opcode = verdict.kind == Kind::kServed ? verdict.operation->opcode : 0;
    const bool is_window_verb =
        opcode == abi::op::kSessionWindowReady || opcode == abi::op::kSessionWindowRelease;
    const bool is_due = (verdict.kind == Kind::kEnd && verdict.reason == reason) ||
                        (reason == Reason::kLease && worker_.has_lied_of_lease()) ||
                        (reason == Reason::kIndexJump && worker_.has_lied_of_head()) ||
                        (reason == Reason::kWindow && is_window_verb) ||
                        (reason == Reason::kRegionHole && kernel().has_holes) ||
                        (reason == Reason::kUnread || reason == Reason::kSilent ||
                         reason == Reason::kAttachTimeout) ||
                        (reason == Reason::kFlood && rings_ > 1000);
    if (!is_due) {
      std::fprintf(stderr, "fuzz: reason %u\n", static_cast<unsigned>(reason));
    }
    RTSUP_REQUIRE(is_due, "WRONG REFUSAL: a session was ended without a cause");
  }

  void observe() {
    worker_.take_messages(*model_);
    model_->observe_published();
  }

  void act_as_worker(uint8_t choice) {
    if (choice < 112) {
      worker_.publish_answer(script_, *model_);
    } else if (choice < 116) {
      worker_.publish_noise(script_);
    } else if (choice < 136) {
      return worker_.consume();
    } else if (choice < 144) {
      worker_.turn_index(script_);
    } else if (choice < 148) {
      return worker_.turn_lease(script_);
    } else if (choice < 150) {
      return worker_.turn_sleep(script_);
    } else if (choice < 154) {
      worker_.write_bytes(script_);
    } else {
      for (uint32_t left = script_.below(70); left > 0; --left) {
        worker_.publish_request(script_);
      }
    }
    look();
  }

  void act_as_base(uint8_t choice) {
    base_.expect({});
    if (choice < 184) {
      for (uint32_t left = 1 + script_.below(32); left > 0 && !is_over(); --left) {
        look();
      }
    } else if (choice < 200) {
      base_.send_event();
    } else if (choice < 212) {
      base_.answer_a_call();
    } else if (choice < 216) {
      base_.pass_time(script_.below(8) == 0 ? script_.u64() >> 24 : script_.u32());
    } else if (choice < 220) {
      ring();
    } else if (choice < 224) {
      const uint8_t flags = script_.byte();
      kernel().has_holes = (flags & 7U) == 1;
      kernel().is_short_of_memory = (flags & 56U) == 8;
      kernel().is_socket_full = (flags & 192U) == 64;
    } else if (choice < 227) {
      base_.drain();
    } else {
      base_.detaches_in_callbacks = true;
    }
    base_.settle();
    observe();
    check_end({});
  }

  void ring() {
    for (uint32_t left = script_.below(32) == 0 ? 1100 : 1; left > 0 && !is_over(); --left) {
      ++rings_;
      base_.ring();
    }
  }

  [[nodiscard]] uint64_t base_up_head() const {
    return reinterpret_cast<const abi::DownHeader*>(worker_.down_bytes().data())->up_head.load();
  }

  Script& script_;
  BaseEnd& base_;
  Worker worker_;
  std::optional<Model> model_;
  uint32_t rings_ = 1;
  bool is_judged_ = false;
};

// A few bytes that stand for many acts: hostile frames by the million need it.
void begin_burst(Script& script, uint32_t& burst) {
  if (burst > 0) {
    --burst;
    if (burst == 0) {
      script.end_random();
    }
  } else if (script.below(4) == 0) {
    burst = 8U + script.byte();
    script.begin_random(script.u32());
  }
}

}  // namespace

void run_meetings(Script& script, uint32_t acts_max) {
  static auto* base = new BaseEnd();  // as long-lived as a shard
  const bool is_storm = script.is_random();
  std::optional<Meeting> meeting;
  uint32_t burst = 0;
  for (uint32_t acts = 0; acts < acts_max && !script.at_end(); ++acts) {
    if (!is_storm) {
      begin_burst(script, burst);
    }
    if (!meeting) {
      meeting.emplace(script, *base);
    }
    meeting->act();
    if (meeting->is_over() && script.below(4) != 0) {  // else it goes on with an ended session
      meeting.reset();
      RTSUP_REQUIRE(kernel().open_count() == 0, "a session that leaves descriptors behind");
      RTSUP_REQUIRE(kernel().mapped_count() == 0, "a session that leaves mappings behind");
    }
  }
}

const FrameCounters& frame_counters() { return counted; }

void print_frame_counters() {
  std::fprintf(stderr,
               "stat::frames_tried: %llu\nstat::frames_accepted: %llu\nstat::sessions: %llu\n",
               static_cast<unsigned long long>(counted.frames),
               static_cast<unsigned long long>(counted.accepted),
               static_cast<unsigned long long>(counted.sessions));
}

}  // namespace rtsup::fuzz
