// One side of a peer whose library would not stand beside others in the driver: gRPC, iceoryx and
// Cap'n Proto keep threads and process-wide state. Each is a program with two sides:
//
//   PROGRAM serve|call MODE FOLDER BYTES CPU
//
// "serve" answers at an address inside FOLDER until it is killed. "call" says "ready" once it was
// answered; then each line "CALLS" on its standard input makes so many calls and is answered with
// a report as text (bench/ipc/caller_report.h), as the measuring function in bench/function does.
// Errors:  anything that fails ends the program with a message on standard error.
#pragma once

#include <functional>
#include <string>

namespace rtsup::bench {

struct Side {
  std::string mode;    // how it waits, where a program has several ways
  std::string folder;  // of this pair alone
  size_t bytes = 0;    // of the value that is asked for
  int cpu = 0;
};

// One round trip.
using Ask = std::function<void()>;

// main(): pins the process before either side starts a thread.
int run_side(int argc, char** argv, void (*serve)(const Side&), Ask (*connect)(const Side&));

}  // namespace rtsup::bench
