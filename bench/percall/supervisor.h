// Supervisor: a broker on a thread of this process, with a plan of one caller and eight
// subscribers, and the supervisor's end of its link.
// Owns:    the broker, its thread and its state folder.
// Errors:  end the program with a message.
// Threads: one at a time.
#pragma once

#include <memory>
#include <string>
#include <thread>

#include "abi/link.h"
#include "broker/link/broker.h"

namespace rtsup::bench {

inline constexpr uint32_t kSubscribers = 8;

void check(bool holds, const char* what);

enum class Waiting {
  kSleep,  // between calls, everybody
  kSpin,   // as a base may that has the CPUs for it
};

class Supervisor {
 public:
  explicit Supervisor(Waiting waiting);
  ~Supervisor();
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  // Ends the program here: taking a broker apart costs what its tables happen to hold.
  [[noreturn]] void abandon();

  // The worker's end of a new session's socket.
  sys::UniqueFd introduce(uint32_t session, uint32_t function);

 private:
  void remove_folder() const;
  abi::LinkReport next();

  std::string folder_;
  sys::UniqueFd link_;
  sys::UniqueFd brokers_end_;
  std::unique_ptr<broker::Broker> broker_;
  std::thread thread_;
};

}  // namespace rtsup::bench
