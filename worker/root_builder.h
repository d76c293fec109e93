// The new root, as a plan describes it. Rows of the lockdown table; see lockdown.h.
#pragma once

#include "worker/lockdown.h"

namespace rtsup::worker {

// Opens every source of the host as a detached tree and compares it with what was checked. As root
// this happens outside of the user namespace, since in there nothing of root's own can be reached.
// Does nothing (and is tried again in the new mount namespace) without the privilege.
Result<void> open_sources(Lockdown& lockdown) noexcept;
Result<void> open_sources_inside(Lockdown& lockdown) noexcept;
Result<void> enter_new_root(Lockdown& lockdown) noexcept;
// After the old root is gone, so that no target can lead back into it.
Result<void> build_root(Lockdown& lockdown) noexcept;
// In a copy of a zygote, whose root is there: only what can be written must be its own.
Result<void> renew_scratch(Lockdown& lockdown) noexcept;
Result<void> close_root(Lockdown& lockdown) noexcept;

}  // namespace rtsup::worker
