// Denials: tells of calls that were refused and of messages that were given up, so that somebody
// can ask why, and never so often that telling becomes an attack of its own.
// Owns:    one row for each function, allocated once. Timers and sink must outlive it.
// Units:   a kind is (operation, reason, component, target). The first of a kind is told, then the
//          2nd, 4th, 8th and so on of it. A function has kReportsBurst reports in hand and earns
//          another one every kReportEarnedNs; what there is none for is only counted, and so are
//          kinds beyond the kKindsMax that were refused last: they begin anew.
// Errors:  none. Hostile: targets are the function's. They are cut and hashed, never looked into;
//          two that hash alike are one kind, which hides no function's denial but its own.
// Threads: the shard's only. Allocates nothing by itself.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "abi/denial_report.h"
#include "broker/access/subject.h"
#include "broker/core/answer.h"
#include "broker/core/post.h"

namespace rtsup::broker {

// Writes into the report what the call was about, cut to its room.
void name_in(abi::DenialReport& report, const Subject& subject) noexcept;

class DenialSink {
 public:
  virtual ~DenialSink() = default;
  virtual void report(const abi::DenialReport& report) = 0;
};

class Denials final : public RefusalObserver {
 public:
  static constexpr size_t kKindsMax = 8;
  static constexpr uint32_t kReportsBurst = 16;
  static constexpr uint64_t kReportEarnedNs = 5'000'000'000;

  Denials(size_t functions, const Timers& timers, DenialSink& sink);

  // What the base itself refused, for want of a grant or of room. Others are no business of it.
  void refused(const Call& call, abi::Reason reason) override;
  // A message of the topic, after so many attempts.
  void gave_up(FunctionIndex subscriber, std::string_view component, std::string_view topic,
               uint32_t attempts);

 private:
  struct Kind {
    uint64_t hash = 0;
    uint64_t count = 0;  // 0: no kind yet
    uint64_t last_ns = 0;
  };
  struct Row {
    std::array<Kind, kKindsMax> kinds;
    uint64_t unlisted = 0;
    uint32_t reports = kReportsBurst;
    uint64_t earned_ns = 0;
  };
  struct Fact {
    FunctionIndex function;
    uint32_t instance = 0;
    uint16_t opcode = 0;
    std::string_view reason;
    std::string_view component;
    std::string_view target;
    uint32_t targets = 1;
  };

  void note(const Fact& fact);
  bool take_report(Row& row) const noexcept;
  void tell(const Fact& fact, uint64_t count, Row& row);

  const Timers& timers_;
  DenialSink& sink_;
  std::vector<Row> rows_;
};

}  // namespace rtsup::broker
