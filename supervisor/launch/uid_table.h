// UidTable: which id inside the base's user namespace belongs to which function. A function keeps
// its id across restarts, because the table is kept in the state folder; an id is never given to
// another function.
// Owns:    plain values. Format of the file: docs/formats/run-folder.md.
// Units:   ids inside the namespace; kBrokerUid and kMonitorUid are fixed, functions follow from
//          kFirstFunctionUid.
// Errors:  kInvalidArgument: a file that is none of ours, or of a newer base; kResourceExhausted:
//          no id is left.
// Threads: one at a time.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "abi/base/result.h"

namespace rtsup::supervisor {

inline constexpr uint32_t kBrokerUid = 1;
inline constexpr uint32_t kMonitorUid = 2;
inline constexpr uint32_t kFirstFunctionUid = 100;

class UidTable {
 public:
  static Result<UidTable> parse(std::string_view text);
  [[nodiscard]] std::string format() const;

  // Gives every function an id; true when one was new. `count`: ids that the namespace has.
  Result<bool> assign(const std::vector<std::string>& functions, uint32_t count);
  [[nodiscard]] uint32_t uid(const std::string& function) const { return uids_.at(function); }

 private:
  std::map<std::string, uint32_t> uids_;
};

}  // namespace rtsup::supervisor
