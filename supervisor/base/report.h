// format_report: the answer to `ps`: what a base is and how its parts are
// (docs/formats/control.md).
// Threads: the supervisor's one. Reads /proc and cgroup files.
#pragma once

#include <string>

#include "supervisor/base/boundaries.h"
#include "supervisor/base/upgrade.h"
#include "supervisor/base/workers.h"

namespace rtsup::supervisor {

struct ReportInputs {
  const LaunchContext& context;
  const BoundaryVerdict& boundaries;
  const Daemons& daemons;
  const Workers& workers;
  const Lifecycle& lifecycle;
  Time started;
  uint64_t violation_count = 0;
};

// The answer to `upgrade` when it is done; likewise.
std::string format_upgraded(const UpgradeOutcome& outcome);
// One line of JSON with its end.
std::string format_report(const ReportInputs& inputs);
// The packed Error that comes with LinkReportVerb::kRefused: Status, Step and errno.
std::string describe_refusal(uint64_t number);

}  // namespace rtsup::supervisor
