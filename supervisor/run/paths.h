// Where things are: the programs and data of this installation, and the folders of instances.
// Everything is found relative to rtsup's own file, so that a build tree and a moved prefix work.
// Threads: reads the environment: before any thread is made.
#pragma once

#include <string>

#include "abi/base/result.h"

namespace rtsup::supervisor {

struct InstallPaths {
  std::string launcher;       // libexec/rtsup/rtsup-init
  std::string host;           // libexec/rtsup/rtsup-worker
  std::string broker;         // libexec/rtsup/rtsup-broker
  std::string monitor;        // libexec/rtsup/rtsup-monitor
  std::string library;        // .../librtsup.so.1
  std::string policy_folder;  // share/rtsup/policies
  std::string bench;          // libexec/rtsup/rtsup-bench-ipc; empty: an installation without it
};

// Errors: kNotFound: number says which is missing, in the order above, from 1.
Result<InstallPaths> find_install_paths();
// The same for a program at `program`, PREFIX/bin/NAME.
Result<InstallPaths> find_install_paths(const std::string& program);

// The folder that holds the run folders of all instances: $RTSUP_RUN_DIR, or /run/rtsup for root
// and $XDG_RUNTIME_DIR/rtsup for others (/tmp/rtsup-UID without one).
std::string run_root();
// $RTSUP_STATE_DIR, or /var/lib/rtsup for root and $XDG_STATE_HOME/rtsup (~/.local/state/rtsup) for
// others.
std::string state_root();

}  // namespace rtsup::supervisor
