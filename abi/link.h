// The link between supervisor and broker: one SOCK_SEQPACKET pair, records of fixed size. The
// supervisor treats the broker's records as hostile: bounded, checked, and no verb does more than
// is listed here.
//
// Version 1. Both ends are of one build until `rtsup upgrade` starts the broker of another one: a
// broker says its version with kServing, and one of another version never takes over. Additions
// (verbs, reserved bytes with 0 as before) keep the version; records keep their size and magic for
// ever, so that the version can be read.
#pragma once

#include <cstdint>

#include "abi/base/error.h"

namespace rtsup::abi {

inline constexpr uint32_t kLinkMagic = 0x314b4e4c;  // "LNK1"
inline constexpr uint32_t kLinkVersion = 1;

enum class LinkCommandVerb : uint32_t {
  kAttach = 1,    // + fd: the base's end of a session socket. Answered by kAttached, or
                  // kViolation/kEndSession. number = kAttachAgain when the worker had a session
                  // before, and may be busy with an event of it.
  kDetach = 2,    // the worker is gone: reclaim everything of the session at once
  kDrain = 3,     // deliver no more events to the session; answer kDrained when none is in flight
  kShutdown = 4,  // finish what is in flight (bounded by number, in ms), flush components, exit 0
  kGiven = 5,     // every session of the broker before has been attached again
  // Replacing it as planned. The broker that serves, each with the number of the attempt: one that
  // is about another attempt than the last is not obeyed.
  kQuiesce = 6,   // begin nothing new, and be quiet within `number` ms; answered by kQuiet or kBusy
  kResume = 7,    // go on as if nothing had happened
  kHandOver = 8,  // another one has it all: set down.handed_over, answer kHandedOver, exit 0
  // The one that takes over, before anything is attached:
  kImport = 9,  // + fd: what came with kQuiet. Answered by kImported, or kRefused and its end
  // What the function uses is told of (abi/denial_report.h) from now on; number = 0: no more.
  kLearn = 10,
};

inline constexpr uint64_t kAttachAgain = 1;

enum class PrincipalKind : uint32_t { kFunction = 1, kOperator = 2 };

struct LinkCommand {
  uint32_t magic;
  LinkCommandVerb verb;
  uint32_t session;
  uint32_t function;  // FunctionIndex, for PrincipalKind::kFunction
  PrincipalKind principal;
  uint32_t instance;
  uint64_t epoch;
  uint64_t number;
  uint64_t attempt;  // of an upgrade; 0 = any, as of a base before there were numbers
  uint8_t reserved[16];
};
static_assert(sizeof(LinkCommand) == 64);

enum class LinkReportVerb : uint32_t {
  kServing = 1,   // the broker has loaded the plan and opened all components; number = kLinkVersion
  kAttached = 2,  // + fd: the session's down region, for waking its sleepers after a broker's death
  kReady = 3,     // the worker called session.ready
  kFailed = 4,    // the worker called session.failed; number = abi::LoadFailure
  kViolation =
      5,  // malformed input; the session is ended; reason = ViolationReason, number = its figure
  // end the worker: its session could not be attached; number and epoch as of kRefused
  kEndWorker = 6,
  kDrained = 7,
  kRefused = 8,  // the broker cannot start; reason = ViolationReason::kNone, number = packed
                 // rtsup::Error (8 bytes)
  kJoined = 9,   // the worker has taken its regions up
  kQuiet = 10,  // + fd: what it holds, sealed (docs/formats/handover.md). Nothing is under way, and
                // nothing is taken up; number = since when (CLOCK_MONOTONIC, ns)
  kBusy = 11,   // not quiet in time; it goes on. session = one that is busy, 0 = unknown; number =
                // packed rtsup::Error of why it can not hand over, 0 = calls under way
  kImported = 12,    // it has all of it
  kHandedOver = 13,  // nothing is answered or taken up any more
};

// Why a session was ended. Rows in docs/formats/records.md.
enum class ViolationReason : uint32_t {
  kNone = 0,
  kIndexJump = 1,     // request_tail or down_head moved backwards or further than the ring has room
  kSequence = 2,      // a frame's sequence is not its index: replay or torn write
  kRange = 3,         // a range points outside its window
  kKind = 4,          // unknown frame kind, or reserved bytes that are not zero
  kOpcode = 5,        // an opcode that this principal can never use
  kMetadataSize = 6,  // a table larger than the operation allows
  kMetadataInvalid = 7,  // the flatbuffers verifier refused the table
  kCorrelation = 8,      // an answer to an event that was never asked, or asked of another
  kLease = 9,            // a lease given back that was not held
  kRegionHole = 10,      // a region or window is not wholly prefaulted
  kAbiVersion = 11,      // the SDK's ABI major is not the base's; number = major << 16 | minor
  kFlood = 12,           // more requests than the session's budget allows for long
  kUnread = 13,          // answers not taken up within the deadline
  kSilent = 14,          // an event not answered within its deadline
  kAttachTimeout = 15,   // the attach message was not acknowledged in time
  kWindow = 16,          // a window verb out of turn
};

struct LinkReport {
  uint32_t magic;
  LinkReportVerb verb;
  uint32_t session;
  ViolationReason reason;
  uint64_t epoch;
  uint64_t number;
  uint64_t attempt;  // kQuiet, kBusy: as of kQuiesce
  uint8_t reserved[24];
};
static_assert(sizeof(LinkReport) == 64);

// An Error without its number, in 8 bytes. What comes back is checked: both ends need not trust
// each other.
constexpr uint64_t pack_error(const Error& error) noexcept {
  return uint64_t{static_cast<uint8_t>(error.status)} |
         uint64_t{static_cast<uint16_t>(error.step)} << 16 |
         uint64_t{static_cast<uint32_t>(error.sys_errno)} << 32;
}
constexpr Error unpack_error(uint64_t packed, int64_t number = 0) noexcept {
  const auto status = static_cast<uint8_t>(packed);
  const auto step = static_cast<uint16_t>(packed >> 16);
  return {
      .status = status <= kStatusMax ? static_cast<Status>(status) : Status::kInternal,
      .step = step < static_cast<uint16_t>(Step::kCount) ? static_cast<Step>(step) : Step::kNone,
      .sys_errno = static_cast<int32_t>(packed >> 32),
      .number = number};
}

}  // namespace rtsup::abi
