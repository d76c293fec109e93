// UserNamespace: the base's one user namespace. Workers and the monitor live in it; nobody can make
// another inside.
// Owns:    a descriptor of the namespace, which keeps it alive without any process.
// Units:   ids inside are 0 to count()-1; 0 is the namespace's own root: as root a host id that
//          owns nothing, without root the user, so that what is bound into workers is opened with
//          that user's reach and no more.
// Errors:  kFailedPrecondition (no free uid range), kPermissionDenied (user namespaces are switched
//          off; newuidmap refused), kUserNamespaceMap.
// Threads: create() forks: only in a process with one thread.
// Source:  user_namespaces(7), subuid(5), newuidmap(1). Works as root (maps written directly) and
//          without (newuidmap with the user's range of /etc/subuid and /etc/subgid; otherwise the
//          user's own id alone, which is a named loss: single_id()).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "sys/fd.h"

namespace rtsup::sys {

struct UidRange {
  uint32_t first = 1879048192;  // 0x70000000: above what distributions and systemd give out, below
                                // container managers' automatic ranges
  uint32_t count = 65536;
  friend bool operator==(const UidRange&, const UidRange&) = default;
};

enum class IdMapping {
  kDirect,  // root wrote the maps
  kHelper,  // newuidmap and newgidmap did: 0 is the user, 1 and above the user's range
  kSingle,  // only the user's own id, as 0: all functions share it
};

class UserNamespace {
 public:
  UserNamespace() noexcept = default;
  // As root `wanted` is the range on the host; without, its count is the most that is taken of the
  // user's own range.
  static Result<UserNamespace> create(const UidRange& wanted = {});

  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  [[nodiscard]] IdMapping mapping() const noexcept { return mapping_; }
  [[nodiscard]] bool single_id() const noexcept { return mapping_ == IdMapping::kSingle; }
  // On the host, without the user's own: what functions get.
  [[nodiscard]] const UidRange& uids() const noexcept { return uids_; }
  [[nodiscard]] uint32_t count() const noexcept;
  // The host's uid for `inside`, which must be below count().
  [[nodiscard]] uint32_t host_uid(uint32_t inside) const noexcept;
  [[nodiscard]] uint32_t host_gid(uint32_t inside) const noexcept;
  // Gives a folder and what lies directly in it to `inside`, as uid and gid. Nothing with a single
  // id: the folder is the user's already. Errors: kChown. Forks where there is a range but no root.
  [[nodiscard]] Result<void> give_folder(const std::string& folder, uint32_t inside) const;

 private:
  UniqueFd fd_;
  IdMapping mapping_ = IdMapping::kSingle;
  UidRange uids_{.first = 0, .count = 0};
  UidRange gids_{.first = 0, .count = 0};
};

// The texts are those of /etc/passwd and /etc/subuid (or group and subgid). True when no line of
// either uses an id of `range`.
bool is_range_free(const UidRange& range, std::string_view accounts, std::string_view delegations);
// `wanted`, or the next range of the same size above it that is free. kFailedPrecondition when
// there is none below 2^31.
Result<UidRange> choose_range(const UidRange& wanted, std::string_view accounts,
                              std::string_view delegations);
// The largest range that `delegations` (subuid or subgid) gives the user, by name or number.
std::optional<UidRange> delegated_range(std::string_view delegations, std::string_view user,
                                        uint32_t uid);

}  // namespace rtsup::sys
