#include "sys/spawn.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>

#include "abi/base/check.h"
#include "sys/child_exec.h"
#include "sys/file.h"
#include "sys/signal.h"

namespace rtsup::sys {
namespace {

constexpr size_t kStackBytes =
    64 * 1024;  // child_exec uses a few hundred bytes; signals are blocked
constexpr size_t kGuardBytes = 4096;

// The child's stack, with a page below it that faults instead of letting an overflow reach the
// parent's memory.
class ChildStack {
 public:
  static Result<ChildStack> create() noexcept {
    void* const address = ::mmap(nullptr, kGuardBytes + kStackBytes, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (address == MAP_FAILED) {
      return sys_error(Step::kMmap);
    }
    ChildStack stack(static_cast<std::byte*>(address));
    if (::mprotect(address, kGuardBytes, PROT_NONE) < 0) {
      return sys_error(Step::kMmap);
    }
    return stack;
  }
  ChildStack(ChildStack&& other) noexcept : address_(std::exchange(other.address_, nullptr)) {}
  ChildStack& operator=(ChildStack&&) = delete;
  ChildStack(const ChildStack&) = delete;
  ChildStack& operator=(const ChildStack&) = delete;
  ~ChildStack() {
    if (address_ != nullptr) {
      RTSUP_CHECK(::munmap(address_, kGuardBytes + kStackBytes) == 0);
    }
  }
  [[nodiscard]] std::span<std::byte> bytes() const noexcept {
    return {address_ + kGuardBytes, kStackBytes};
  }

 private:
  explicit ChildStack(std::byte* address) noexcept : address_(address) {}
  std::byte* address_;
};

std::vector<const char*> pointers_to(const std::vector<std::string>& texts) {
  std::vector<const char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (const std::string& text : texts) {
    pointers.push_back(text.c_str());
  }
  pointers.push_back(nullptr);
  return pointers;
}

// `fd` at a number above the standard streams, where the child's dup3 can not run over it.
Result<UniqueFd> above_streams(int fd) noexcept { return duplicate(fd, 3); }

}  // namespace

Result<Pidfd> spawn(const SpawnRequest& request) {
  const std::vector<const char*> argv = pointers_to(request.arguments);
  const std::vector<const char*> envp = pointers_to(request.environment);
  RTSUP_ASSIGN(const UniqueFd executable, above_streams(request.executable));
  RTSUP_ASSIGN(const UniqueFd opened_null, open_file("/dev/null", O_RDWR));
  RTSUP_ASSIGN(const UniqueFd null_device, above_streams(opened_null.get()));
  RTSUP_ASSIGN(const ChildStack stack, ChildStack::create());
  ChildExec child{.executable = executable.get(),
                  .argv = argv.data(),
                  .envp = envp.data(),
                  .inherited = request.inherited,
                  .null_device = null_device.get()};
  ClonedChild cloned;
  {
    // A handler that ran in the child would run on the parent's memory.
    RTSUP_ASSIGN(const ScopedSigmask mask, ScopedSigmask::block_all());
    cloned = clone_and_exec(child, request.cgroup, stack.bytes());
  }
  if (cloned.pid < 0) {
    return sys_error_of(Step::kClone, static_cast<int>(-cloned.pid));
  }
  Pidfd pidfd = Pidfd::adopt(UniqueFd(cloned.pidfd), static_cast<pid_t>(cloned.pid));
  if (child.failed_step != 0) {
    RTSUP_TRY(pidfd.wait());
    return sys_error_of(static_cast<Step>(child.failed_step), child.failed_errno);
  }
  return pidfd;
}

}  // namespace rtsup::sys
