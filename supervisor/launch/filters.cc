#include "supervisor/launch/filters.h"

#include <linux/audit.h>
#include <linux/seccomp.h>

#include "manifest/filter_evaluator.h"

namespace rtsup::supervisor {

Result<std::span<const sock_filter>> FilterCache::get(const std::string& key,
                                                      const abi::FilterSpec& spec,
                                                      sys::DefaultAction default_action) {
  if (const auto known = programs_.find(key); known != programs_.end()) {
    return std::span<const sock_filter>(known->second);
  }
  RTSUP_ASSIGN(sys::FilterProgram program, sys::compile_filter(spec, default_action));
  // The compiler is not trusted: its output is run against the rules before anything is confined by
  // it.
  const manifest::FilterTarget target{
      .audit_arch = AUDIT_ARCH_X86_64,
      .newest_call = sys::newest_call(),
      .default_action = default_action == sys::DefaultAction::kNotify ? SECCOMP_RET_USER_NOTIF
                                                                      : SECCOMP_RET_KILL_PROCESS};
  if (const auto difference = manifest::verify_filter(program, spec, target)) {
    difference_ = manifest::to_text(*difference);
    return Error{.status = Status::kFailedPrecondition,
                 .step = Step::kSeccompVerify,
                 .number = difference->data.nr};
  }
  return std::span<const sock_filter>(programs_.emplace(key, std::move(program)).first->second);
}

}  // namespace rtsup::supervisor
