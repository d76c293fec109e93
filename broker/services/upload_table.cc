#include "broker/services/upload_table.h"

namespace rtsup::broker {

Upload* UploadTable::add(SessionId session) {
  size_t open = 0;
  each_of(session, [&open](const Upload&) { ++open; });
  if (open >= kUploadsMax) {
    return nullptr;
  }
  const uint64_t token = tokens_.next();
  Upload& upload = rows_[{session.value, token}];
  upload.session = session;
  upload.token = token;
  return &upload;
}

Upload* UploadTable::find(SessionId session, uint64_t token, ComponentIndex component,
                          std::string_view key) {
  const auto found = rows_.find({session.value, token});
  if (found == rows_.end()) {
    return nullptr;
  }
  Upload& upload = found->second;
  const bool is_named = upload.component == component && upload.key == key;
  return upload.state == Upload::State::kOpen && is_named ? &upload : nullptr;
}

void UploadTable::close(Upload& upload) noexcept {
  upload.state = Upload::State::kClosed;
  erase_if_over(upload);
}

void UploadTable::release(Upload& upload) noexcept {
  --upload.under_way;
  erase_if_over(upload);
}

void UploadTable::erase_if_over(Upload& upload) noexcept {
  if (upload.state == Upload::State::kClosed && upload.under_way == 0) {
    rows_.erase({upload.session.value, upload.token});
  }
}

}  // namespace rtsup::broker
