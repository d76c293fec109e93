// Peers: how the offender's program is run in sandboxes of others, each at the best that it gives
// without a filter or profile of one's own.
// Owns:    the folder it is given, with a bundle for runc in it; nothing of it is left running.
// Errors:  why a peer can not run here is said in words, by missing().
// Threads: one at a time.
// Source:  bwrap(1); runc-spec(8); /usr/share/containers/seccomp.json: Podman's profile.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tests/support/command.h"

namespace rtsup::offenders {

inline constexpr unsigned kPeersUser = 65534;

class Peer {
 public:
  // `folder` can be entered by every user, and holds the offender's program as "offender".
  explicit Peer(std::string folder) : folder_(std::move(folder)) {}
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;
  virtual ~Peer() = default;

  [[nodiscard]] virtual std::string_view name() const = 0;
  // "bubblewrap 0.8.0"; empty when it, or its filter, is not installed.
  [[nodiscard]] virtual std::string version() const = 0;
  // Runs the program with this order on a terminal of its own: "done", an errno's name, "killed",
  // or everything that was said when it is none of these.
  [[nodiscard]] std::string carry_out(const std::string& order);

 protected:
  [[nodiscard]] virtual std::vector<std::string> enter(const std::string& order) = 0;
  virtual void clean_up() {}
  [[nodiscard]] const std::string& folder() const noexcept { return folder_; }

 private:
  std::string folder_;
};

class Bubblewrap final : public Peer {
 public:
  using Peer::Peer;
  [[nodiscard]] std::string_view name() const override { return "bubblewrap"; }
  [[nodiscard]] std::string version() const override;

 private:
  [[nodiscard]] std::vector<std::string> enter(const std::string& order) override;
};

class Runc final : public Peer {
 public:
  explicit Runc(std::string folder);
  ~Runc() override { clean_up(); }
  [[nodiscard]] std::string_view name() const override { return "runc"; }
  [[nodiscard]] std::string version() const override;

 private:
  [[nodiscard]] std::vector<std::string> enter(const std::string& order) override;
  void clean_up() override;

  std::string container_;
};

}  // namespace rtsup::offenders
