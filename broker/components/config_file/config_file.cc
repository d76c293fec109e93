#include "broker/components/config_file/config_file.h"

#include <utility>

#include "abi/base/check.h"
#include "sys/file.h"

namespace rtsup::broker {
namespace {

constexpr mode_t kMode = 0600;

}  // namespace

Result<ConfigChanges> ConfigFile::read(const std::string& path) {
  const auto text = sys::read_file(path, ConfigFile::kBytesMax);
  if (!text) {
    return text.error().status == Status::kNotFound ? Result<ConfigChanges>(ConfigChanges())
                                                    : Result<ConfigChanges>(text.error());
  }
  return parse_changes(*text);
}

Result<std::unique_ptr<ConfigFile>> ConfigFile::open(std::string path, Post& post) {
  RTSUP_ASSIGN(ConfigChanges changes, read(path));
  std::unique_ptr<ConfigFile> file(new ConfigFile(std::move(path), std::move(changes), post));
  file->thread_ = std::thread([raw = file.get()] { raw->run(); });
  return file;
}

ConfigFile::ConfigFile(std::string path, ConfigChanges changes, Post& post)
    : path_(std::move(path)), changes_(std::move(changes)), post_(post) {}

ConfigFile::~ConfigFile() { close(); }

Result<ConfigChanges> ConfigFile::read_again() const { return read(path_); }

void ConfigFile::save(std::string text, Done done) {
  {
    const std::lock_guard lock(mutex_);
    RTSUP_CHECK(!job_ && text.size() <= kBytesMax);
    job_ = Job{.text = std::move(text), .done = std::move(done)};
  }
  changed_.notify_one();
}

void ConfigFile::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stopped_ || job_; });
    if (!job_) {
      return;
    }
    // The job stays where it is: nobody touches it until it is over.
    lock.unlock();
    const Result<void> outcome = sys::replace_file(path_, job_->text, kMode);
    lock.lock();
    Done done = std::move(job_->done);
    job_.reset();
    post_.post([done = std::move(done), outcome] { done(outcome); });
  }
}

void ConfigFile::close() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) {
    thread_.join();
  }
}

}  // namespace rtsup::broker
