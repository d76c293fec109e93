// Deeds: every attack of tests/hostile/rogue, and what must come of it: with no filter at all, so
// that the channel alone holds, and under rtsup:native, whose filter stops some of them earlier.
#pragma once

#include <span>
#include <string_view>

namespace rtsup::test {

enum class End {
  kAnswered,  // it came to nothing: the session goes on, `detail` is what the rogue said of it
  kEnded,     // the base ended the session for the reason `detail`
  kEither,    // ended for some reason, or answered `detail`: a race decides
  kStopped,   // the filter stopped it at the system call `detail`
  kExits,     // the process ended itself with exit code 7
  kKilled,    // ... by SIGKILL
};

struct Verdict {
  End end;
  std::string_view detail;
};

struct Deed {
  std::string_view attack;
  Verdict alone;
  Verdict native;
};

constexpr Deed both(std::string_view attack, End end, std::string_view detail = {}) {
  return {attack, {end, detail}, {end, detail}};
}
constexpr Deed stopped(std::string_view attack, Verdict alone, std::string_view call) {
  return {attack, alone, {End::kStopped, call}};
}

inline constexpr Deed kFrameDeeds[] = {
    both("bad-offset", End::kEnded, "RANGE"),
    both("bad-length", End::kEnded, "RANGE"),
    both("bad-window", End::kEnded, "RANGE"),
    both("index-jump", End::kEnded, "INDEX_JUMP"),
    both("index-back", End::kEnded, "INDEX_JUMP"),
    both("head-jump", End::kEnded, "INDEX_JUMP"),
    both("forged-correlation", End::kEnded, "CORRELATION"),
    both("double-answer", End::kEnded, "CORRELATION"),
    both("replay", End::kEnded, "SEQUENCE"),
    both("bad-kind", End::kEnded, "KIND"),
    both("reserved-bytes", End::kEnded, "KIND"),
    both("bad-opcode", End::kEnded, "OPCODE"),
    both("forged-lease", End::kEnded, "LEASE"),
    both("header-rewrite", End::kAnswered, "still served"),
};

inline constexpr Deed kTableDeeds[] = {
    both("bad-flatbuffer", End::kEnded, "METADATA_INVALID"),
    both("long-flatbuffer", End::kEnded, "METADATA_SIZE"),
    both("shared-tables", End::kEnded, "METADATA_INVALID"),
    both("many-tables", End::kEnded, "METADATA_INVALID"),
    both("cyclic-tables", End::kEnded, "METADATA_INVALID"),
    both("huge-vector", End::kEnded, "METADATA_INVALID"),
    both("huge-string", End::kEnded, "METADATA_INVALID"),
    both("string-without-end", End::kEnded, "METADATA_INVALID"),
    both("vtable-outside", End::kEnded, "METADATA_INVALID"),
    both("other-table", End::kEnded, "METADATA_INVALID"),
};

inline constexpr Deed kMemoryDeeds[] = {
    stopped("punch-hole", {End::kAnswered, "punched"}, "madvise"),
    stopped("punch-by-descriptor", {End::kAnswered, "all refused"}, "fallocate"),
    stopped("truncate-regions", {End::kAnswered, "all refused"}, "ftruncate"),
    stopped("change-seals", {End::kAnswered, "all refused"}, "fcntl"),
    // Calls that malloc needs, too: what refuses them is the seals of the regions.
    both("remap-writable", End::kAnswered, "all refused"),
    stopped("reopen-writable", {End::kAnswered, "all refused"}, "openat"),
    stopped("futex-abuse", {End::kAnswered, "all refused"}, "futex"),
    both("robust-list", End::kExits),
};

inline constexpr Deed kDescriptorDeeds[] = {
    stopped("blocking-doorbell", {End::kAnswered, "cleared"}, "fcntl"),
    both("doorbell-storm", End::kEnded, "FLOOD"),
    both("doorbell-stolen", End::kAnswered, "still served"),
    stopped("descriptor-flood", {End::kAnswered, "nothing went through"}, "sendmsg"),
};

inline constexpr Deed kServiceDeeds[] = {
    both("unknown-opcode", End::kAnswered, "12"),
    both("operator-opcode", End::kAnswered, "07"),
    both("others-keys", End::kAnswered, "07 07"),
    both("forged-identity", End::kAnswered, "07"),
    both("forged-parent", End::kAnswered, "00"),
    both("window-flood", End::kAnswered, "08"),
    both("window-never-given", End::kEnded, "WINDOW"),
    both("window-of-holes", End::kEnded, "REGION_HOLE"),
    both("hoard-leases", End::kAnswered, "hoarding"),
};

// Under native there is no second thread; native-threads has one, and then the channel must hold.
inline constexpr Deed kThreadDeeds[] = {
    stopped("flip-payload", {End::kAnswered, "flipped"}, "clone"),
    stopped("flip-table", {End::kEither, "flipped"}, "clone"),
    stopped("flip-frames", {End::kEither, "flipped"}, "clone"),
    stopped("flip-header", {End::kEither, "flipped"}, "clone"),
};

inline constexpr Deed kEndingDeeds[] = {
    both("deaf-flood", End::kEnded, "FLOOD"),
    both("exit-mid-call", End::kExits),
    both("kill-mid-call", End::kKilled),
};

// Those that only a deadline of seconds tells from a slow worker.
inline constexpr Deed kSlowDeeds[] = {
    both("silence", End::kEnded, "SILENT"),
    // Asks without end but by the rules, and never comes to the answer that it owes.
    both("flood", End::kEnded, "SILENT"),
    both("hold-message", End::kEnded, "SILENT"),
    both("never-read", End::kEnded, "UNREAD"),
};

}  // namespace rtsup::test
