// BrokerProcess: rtsup-broker as the supervisor starts it, descriptors 3 to 5 and its shipped
// filter, with a test that plays the supervisor.
// Owns:    the process, ended with the object at the latest; the supervisor's end of the link.
// Errors:  failures of the test.
// Threads: one at a time.
#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <memory>
#include <string>

#include "abi/link.h"
#include "sdk/regions.h"
#include "sys/cgroup.h"
#include "sys/fd.h"
#include "sys/memory.h"

namespace rtsup::test {

// Puts this process, which has one thread, into the group.
void join(const sys::Cgroup& group);

// The broker's own filter, compiled.
sys::SealedMemfd broker_filter();

class BrokerProcess {
 public:
  // `plan` and `filter` stay the caller's; `group`: what the process joins before it begins.
  BrokerProcess(const std::string& state_folder, int plan, int filter,
                const sys::Cgroup* group = nullptr);
  ~BrokerProcess();
  BrokerProcess(const BrokerProcess&) = delete;
  BrokerProcess& operator=(const BrokerProcess&) = delete;

  // The next record of the link but kJoined, which comes at any time; waits for it.
  abi::LinkReport next();
  void tell(abi::LinkCommandVerb verb, uint32_t session, uint64_t number = 0);

  struct Guest {
    uint32_t session = 0;
    uint32_t function = 0;
    abi::PrincipalKind kind = abi::PrincipalKind::kFunction;
  };
  // Announces a session; the worker's end of its socket.
  sys::UniqueFd introduce(const Guest& guest);
  // The same, and attaches it in this process.
  sdk::Regions attach(const Guest& guest);

  // Waits for its end; the status as waitpid() has it.
  int wait_exit();
  // The same, if it ends within so long; -1 otherwise.
  int wait_exit_for(int milliseconds);
  void hang_up() { link_.reset(); }
  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] bool is_alive() const;
  // What it holds: open descriptors, and mappings of memory files.
  struct Holdings {
    size_t descriptors = 0;
    size_t mappings = 0;
    bool operator==(const Holdings&) const = default;
  };
  [[nodiscard]] Holdings holdings() const;

 private:
  pid_t pid_ = -1;
  sys::UniqueFd link_;
};

}  // namespace rtsup::test
