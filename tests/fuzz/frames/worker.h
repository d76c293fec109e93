// Worker: the hostile end of a session, driven by a Script: it publishes frames that are right,
//         wrong in one place, or noise, and turns every index and flag that it can write.
// Owns:    its hold on the memory that the base gave it. The script is borrowed for each call.
// Errors:  none: whatever it is told, it does.
// Threads: one.
#pragma once

#include <array>
#include <span>

#include "abi/layout.h"
#include "tests/fuzz/frames/fake_kernel.h"
#include "tests/fuzz/frames/model.h"
#include "tests/fuzz/script.h"

namespace rtsup::fuzz {

class Worker {
 public:
  Worker() noexcept = default;
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Takes the attach message.
  void attach();
  // Takes the messages that came since, and tells the model of their windows.
  void take_messages(Model& model);
  // The acknowledgement. The epoch, when it is right, and whether the major is.
  struct Acknowledgement {
    bool is_epoch_right = false;
    uint16_t major = 0;
  };
  Acknowledgement acknowledge(Script& script, bool is_honest);

  // Puts frames into the ring, and mostly publishes them.
  void publish_request(Script& script);
  void publish_answer(Script& script, const Model& model);
  void publish_noise(Script& script);
  // Turns an index, a sleep flag or the word of a lease.
  void turn_index(Script& script);
  void turn_lease(Script& script);
  void turn_sleep(Script& script) { up().asleep.store(script.byte() & 1U); }
  void write_bytes(Script& script);
  // Takes up the base's frames and gives their leases back, as an honest worker does.
  void consume();

  [[nodiscard]] std::span<std::byte> up_bytes() const noexcept { return up_; }
  [[nodiscard]] std::span<std::byte> down_bytes() const noexcept { return down_; }
  // It may have named more frames taken up than there are, or a lease that it does not hold.
  [[nodiscard]] bool has_lied_of_head() const noexcept { return has_lied_of_head_; }
  [[nodiscard]] bool has_lied_of_lease() const noexcept { return has_lied_of_lease_; }

 private:
  struct Window {
    std::byte* address = nullptr;
    size_t bytes = 0;
  };
  [[nodiscard]] abi::UpHeader& up() const noexcept {
    return *reinterpret_cast<abi::UpHeader*>(up_.data());
  }
  [[nodiscard]] const abi::DownHeader& down() const noexcept {
    return *reinterpret_cast<const abi::DownHeader*>(down_.data());
  }
  void put_table(Script& script, std::span<const std::byte> table, abi::Frame& frame);
  void put_payload(Script& script, abi::Frame& frame);
  void write(uint32_t offset, std::span<const std::byte> bytes);
  void publish(abi::Frame& frame, Script& script);

  std::span<std::byte> up_;
  std::span<std::byte> down_;
  std::array<Window, abi::kWindowsMax + 1> windows_;  // by number
  uint64_t epoch_ = 0;
  uint64_t tail_ = 0;
  uint64_t consumed_ = 0;
  bool has_lied_of_head_ = false;
  bool has_lied_of_lease_ = false;
};

}  // namespace rtsup::fuzz
