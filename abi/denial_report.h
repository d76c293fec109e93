// DenialReport: what the broker tells the supervisor of a call that it refused, over the link that
// carries abi/link.h as well: told apart by size and magic. A supervisor that does not know it
// drops it. Texts are the function's own: bounded, never acted upon.
#pragma once

#include <cstdint>

namespace rtsup::abi {

inline constexpr uint32_t kDenialMagic = 0x31594e44;  // "DNY1"
inline constexpr uint32_t kDenialReasonBytes = 40;
inline constexpr uint32_t kDenialComponentBytes = 64;
inline constexpr uint32_t kDenialTargetBytes = 336;

struct DenialReport {
  uint32_t magic;
  uint32_t function;  // FunctionIndex
  uint32_t instance;
  uint16_t opcode;           // op::kEventMessage: a message that was given up
  uint16_t component_bytes;  // as long as it was; what is here may be cut
  uint64_t count;            // of the same kind so far
  uint64_t unlisted;  // of other kinds that nothing was told of, since the function's last report
  uint32_t targets;   // keys of the call, the first of which is here; attempts, of a message
  uint32_t target_bytes;            // as component_bytes
  char reason[kDenialReasonBytes];  // "NOT_GRANTED"; ends with a NUL
  char component[kDenialComponentBytes];
  char target[kDenialTargetBytes];  // key, topic, function or sequence
  uint32_t flags;                   // kReportIsLearned
  uint8_t reserved[28];
};
static_assert(sizeof(DenialReport) == 512);

// Of messages that no attempt could deliver. Not in abi/reasons.inc: nobody is answered with it.
inline constexpr char kGaveUpReason[] = "GAVE_UP";
// Of calls that were granted: told of while the function is learned. Likewise.
inline constexpr char kGrantedReason[] = "GRANTED";
// Of a use that is told of for being learned; others are of denials.
inline constexpr uint32_t kReportIsLearned = 1;

}  // namespace rtsup::abi
