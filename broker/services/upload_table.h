// UploadTable: which sessions are sending which values in parts, and what of them has come.
// Owns:    the rows. Each stays where it is until it is closed and nothing of it is under way.
// Units:   at most kUploadsMax rows a session that are not closed.
// Threads: the shard's only.
#pragma once

#include <bitset>
#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "abi/base/ids.h"
#include "broker/components/etag.h"
#include "broker/components/state_streams.h"
#include "broker/core/memory_budget.h"

namespace rtsup::broker {

struct Upload {
  enum class State : uint8_t { kBeginning, kOpen, kCommitting, kClosed };

  SessionId session;
  uint64_t token = 0;
  ComponentIndex component;
  std::string key;  // as it is stored
  StreamStore* store = nullptr;
  uint64_t id = 0;  // the store's
  uint64_t size = 0;
  State state = State::kBeginning;
  uint32_t under_way = 0;             // calls that the store has
  uint64_t heard_ns = 0;              // when it was named last
  std::bitset<kUploadPartsMax> sent;  // parts that are there or under way
  size_t came = 0;                    // parts that are there
  MemoryCharge charge;
};

class UploadTable {
 public:
  // nullptr: the session has too many.
  Upload* add(SessionId session);
  // nullptr: none, closed, or of another session, component or key.
  Upload* find(SessionId session, uint64_t token, ComponentIndex component, std::string_view key);
  // Nothing is found of it any more; gone at once, or with release() of the last call under way.
  void close(Upload& upload) noexcept;
  void release(Upload& upload) noexcept;
  [[nodiscard]] bool empty() const noexcept { return rows_.empty(); }
  [[nodiscard]] size_t size() const noexcept { return rows_.size(); }

  // Each that is not closed; `visit` may close it.
  template <typename Visit>
  void each_of(SessionId session, const Visit& visit) {
    visit_range(rows_.lower_bound({session.value, 0}),
                rows_.upper_bound({session.value, UINT64_MAX}), visit);
  }
  template <typename Visit>
  void each(const Visit& visit) {
    visit_range(rows_.begin(), rows_.end(), visit);
  }

 private:
  using Rows = std::map<std::pair<uint32_t, uint64_t>, Upload>;
  template <typename Visit>
  void visit_range(Rows::iterator from, Rows::iterator to, const Visit& visit) {
    while (from != to) {
      Upload& upload = (from++)->second;
      if (upload.state != Upload::State::kClosed) {
        visit(upload);
      }
    }
  }
  void erase_if_over(Upload& upload) noexcept;

  Rows rows_;
  EtagSource tokens_;  // a keyed hash: nobody can guess another one's
};

}  // namespace rtsup::broker
