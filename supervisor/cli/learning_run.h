// LearningRun: a function is learned while its traffic, or a command, runs: begins it, keeps it
// going, watches what is used and ends it.
// Owns:    nothing after it returns: the function is held to its policy again.
// Units:   learning is asked for in spans of half a minute, so that it ends by itself when this
//          process does not come to that.
// Errors:  ClientFailure: the exit code and the sentence.
// Threads: one.
#pragma once

#include <string>
#include <variant>

#include "manifest/learn/learned.h"
#include "supervisor/cli/client.h"

namespace rtsup::cli {

struct LearningOptions {
  std::string function;
  uint64_t span_ns = 0;   // how long; with a command at most
  std::string command{};  // of the shell; empty = only the time counts
};

struct LearningOutcome {
  manifest::LearnedPeaks peaks;
  int command_status = 0;  // as of waitpid(2); 0 without a command
  bool was_late = false;   // the command had not ended in time, and was ended
};

std::variant<LearningOutcome, ClientFailure> run_learning(const supervisor::RunPaths& paths,
                                                          const LearningOptions& options);

}  // namespace rtsup::cli
