#include "broker/testing/crash_vfs.h"

#include <sqlite3.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "abi/base/check.h"

namespace rtsup::broker::testing {

// What sqlite3 sees of an open file; the real file follows it in the same allocation.
struct CrashFile {
  sqlite3_file base;
  CrashVfs* vfs;
  const char* path;  // nullptr: a temporary file, which no crash needs to survive
};

struct CrashVfsMethods {
  static CrashFile& file(sqlite3_file* f) { return *reinterpret_cast<CrashFile*>(f); }
  static sqlite3_file* real(sqlite3_file* f) {
    return reinterpret_cast<sqlite3_file*>(reinterpret_cast<CrashFile*>(f) + 1);
  }
  static CrashVfs& self(sqlite3_vfs* vfs) { return *static_cast<CrashVfs*>(vfs->pAppData); }
  static sqlite3_vfs* real_vfs() { return sqlite3_vfs_find("unix"); }

  static int close(sqlite3_file* f) { return real(f)->pMethods->xClose(real(f)); }
  static int read(sqlite3_file* f, void* out, int size, sqlite3_int64 offset) {
    return real(f)->pMethods->xRead(real(f), out, size, offset);
  }
  static int write(sqlite3_file* f, const void* bytes, int size, sqlite3_int64 offset) {
    CrashVfs& vfs = *file(f).vfs;
    {
      const std::lock_guard lock(vfs.mutex_);
      if (vfs.write_code_ != SQLITE_OK) {
        return vfs.write_code_;
      }
      if (file(f).path != nullptr) {
        const auto* from = static_cast<const unsigned char*>(bytes);
        vfs.files_[file(f).path].unsynced.push_back({offset, false, {from, from + size}});
      }
    }
    return real(f)->pMethods->xWrite(real(f), bytes, size, offset);
  }
  static int truncate(sqlite3_file* f, sqlite3_int64 size) {
    CrashVfs& vfs = *file(f).vfs;
    if (file(f).path != nullptr) {
      const std::lock_guard lock(vfs.mutex_);
      vfs.files_[file(f).path].unsynced.push_back({size, true, {}});
    }
    return real(f)->pMethods->xTruncate(real(f), size);
  }
  static int sync(sqlite3_file* f, int) {
    CrashVfs& vfs = *file(f).vfs;
    std::unique_lock lock(vfs.mutex_);
    ++vfs.syncs_;
    if (vfs.hold_) {
      ++vfs.held_;
      vfs.changed_.notify_all();
      vfs.changed_.wait(lock, [&vfs] { return !vfs.hold_; });
      --vfs.held_;
    }
    if (vfs.sync_code_ != SQLITE_OK) {
      return vfs.sync_code_;
    }
    if (file(f).path != nullptr && !vfs.lie_) {
      auto& model = vfs.files_[file(f).path];
      for (const auto& change : model.unsynced) {
        CrashVfs::apply(model.synced, change);
      }
      model.unsynced.clear();
      model.exists_after_crash = true;
    }
    return SQLITE_OK;  // the real file needs no sync: nothing here survives by it
  }
  static int file_size(sqlite3_file* f, sqlite3_int64* size) {
    return real(f)->pMethods->xFileSize(real(f), size);
  }
  static int lock(sqlite3_file* f, int level) { return real(f)->pMethods->xLock(real(f), level); }
  static int unlock(sqlite3_file* f, int level) {
    return real(f)->pMethods->xUnlock(real(f), level);
  }
  static int check_lock(sqlite3_file* f, int* out) {
    return real(f)->pMethods->xCheckReservedLock(real(f), out);
  }
  static int control(sqlite3_file* f, int op, void* argument) {
    return real(f)->pMethods->xFileControl(real(f), op, argument);
  }
  static int sector_size(sqlite3_file*) { return 512; }
  static int characteristics(sqlite3_file*) {
    return 0;
  }  // promises nothing: no atomic writes, no safe overwrite
  static int shm_map(sqlite3_file* f, int page, int size, int extend, void volatile** out) {
    return real(f)->pMethods->xShmMap(real(f), page, size, extend, out);
  }
  static int shm_lock(sqlite3_file* f, int offset, int n, int flags) {
    return real(f)->pMethods->xShmLock(real(f), offset, n, flags);
  }
  static void shm_barrier(sqlite3_file* f) { real(f)->pMethods->xShmBarrier(real(f)); }
  static int shm_unmap(sqlite3_file* f, int remove) {
    return real(f)->pMethods->xShmUnmap(real(f), remove);
  }

  static int open(sqlite3_vfs* vfs, const char* path, sqlite3_file* f, int flags, int* out) {
    static const sqlite3_io_methods methods = {2,
                                               close,
                                               read,
                                               write,
                                               truncate,
                                               sync,
                                               file_size,
                                               lock,
                                               unlock,
                                               check_lock,
                                               control,
                                               sector_size,
                                               characteristics,
                                               shm_map,
                                               shm_lock,
                                               shm_barrier,
                                               shm_unmap,
                                               nullptr,
                                               nullptr};
    f->pMethods = nullptr;
    file(f).vfs = &self(vfs);
    file(f).path = (flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL)) != 0
                       ? path
                       : nullptr;
    const int code = real_vfs()->xOpen(real_vfs(), path, real(f), flags, out);
    if (code == SQLITE_OK) {
      f->pMethods = &methods;
      file(f).vfs->adopt(file(f).path);
    } else if (real(f)->pMethods != nullptr) {
      real(f)->pMethods->xClose(real(f));
    }
    return code;
  }
  static int remove(sqlite3_vfs* vfs, const char* path, int sync_folder) {
    {
      const std::lock_guard lock(self(vfs).mutex_);
      self(vfs).files_.erase(path);
    }
    return real_vfs()->xDelete(real_vfs(), path, sync_folder);
  }
};

CrashVfs::CrashVfs(std::string name) : name_(std::move(name)) {
  sqlite3_initialize();
  vfs_ = std::make_unique<sqlite3_vfs>(*sqlite3_vfs_find("unix"));
  vfs_->pNext = nullptr;
  vfs_->zName = name_.c_str();
  vfs_->pAppData = this;
  vfs_->szOsFile += static_cast<int>(sizeof(CrashFile));
  vfs_->xOpen = CrashVfsMethods::open;
  vfs_->xDelete = CrashVfsMethods::remove;
  // The rest reads nothing of its first argument but what was copied.
  RTSUP_CHECK(sqlite3_vfs_register(vfs_.get(), 0) == SQLITE_OK);
}

CrashVfs::~CrashVfs() { sqlite3_vfs_unregister(vfs_.get()); }

void CrashVfs::apply(std::vector<unsigned char>& image, const Change& change) {
  const auto offset = static_cast<size_t>(change.offset);
  if (change.truncation) {
    image.resize(std::min(offset, image.size()));
    return;
  }
  image.resize(std::max(image.size(), offset + change.bytes.size()));
  std::copy(change.bytes.begin(), change.bytes.end(), image.begin() + change.offset);
}

// What is there when a file is opened first has been on the disk for long.
void CrashVfs::adopt(const char* path) {
  const std::lock_guard lock(mutex_);
  if (path == nullptr || files_.count(path) != 0) {
    return;
  }
  std::ifstream in(path, std::ios::binary);
  FileModel& model = files_[path];
  model.synced.assign(std::istreambuf_iterator<char>(in), {});
  model.exists_after_crash = !model.synced.empty();
}

void CrashVfs::crash_into(const std::string& from, const std::string& to, std::mt19937_64& random) {
  constexpr size_t kSector = 512;
  const std::lock_guard lock(mutex_);
  for (const auto& [path, model] : files_) {
    if (!path.starts_with(from) || (!model.exists_after_crash && random() % 2 == 0)) {
      continue;
    }
    std::vector<unsigned char> image = model.synced;
    for (const Change& change : model.unsynced) {
      const uint64_t fate = random() % 3;
      if (fate == 0) {
        continue;
      }
      if (fate == 1 || change.truncation) {
        apply(image, change);
        continue;
      }
      for (size_t at = 0; at < change.bytes.size(); at += kSector) {
        const size_t size = std::min(kSector, change.bytes.size() - at);
        const auto start = change.bytes.begin() + static_cast<ptrdiff_t>(at);
        if (random() % 2 == 0) {
          apply(image, {change.offset + static_cast<int64_t>(at),
                        false,
                        {start, start + static_cast<ptrdiff_t>(size)}});
        }
      }
    }
    std::ofstream out(to + path.substr(from.size()), std::ios::binary);
    out.write(reinterpret_cast<const char*>(image.data()),
              static_cast<std::streamsize>(image.size()));
    RTSUP_CHECK(out.good());
  }
}

void CrashVfs::hold_syncs() {
  const std::lock_guard lock(mutex_);
  hold_ = true;
}
void CrashVfs::wait_until_held() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return held_ > 0; });
}
void CrashVfs::release_syncs() {
  const std::lock_guard lock(mutex_);
  hold_ = false;
  changed_.notify_all();
}
void CrashVfs::fail_writes(int code) {
  const std::lock_guard lock(mutex_);
  write_code_ = code;
}
void CrashVfs::fail_syncs(int code) {
  const std::lock_guard lock(mutex_);
  sync_code_ = code;
}
void CrashVfs::lie_about_syncs() {
  const std::lock_guard lock(mutex_);
  lie_ = true;
}
uint64_t CrashVfs::sync_count() {
  const std::lock_guard lock(mutex_);
  return syncs_;
}

}  // namespace rtsup::broker::testing
