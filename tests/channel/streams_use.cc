#include "tests/channel/streams_use.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <rtsup/state_parts.hpp>
#include <string>

namespace rtsup::test {

void write_and_read_more_than_a_payload() {
  const State store("store");
  constexpr uint64_t kBytes = (uint64_t{64} << 20) + (3 << 20) + 17;
  const auto byte_at = [](uint64_t at) { return static_cast<std::byte>(at * 31 >> 12); };
  const auto written = write_value(store, "film", kBytes,
                                   [&](std::span<std::byte> into, uint64_t offset) {
                                     for (size_t i = 0; i < into.size(); ++i) {
                                       into[i] = byte_at(offset + i);
                                     }
                                     return Status();
                                   },
                                   {.content_type = "video/mp4"});
  ASSERT_TRUE(written.ok()) << written.status().reason();
  EXPECT_EQ(store.get("film").status().reason(), "ANSWER_TOO_LARGE");
  uint64_t expected = 0;
  uint64_t wrong = 0;
  const auto read = read_value(
      store, "film", [&](std::span<const std::byte> bytes, uint64_t offset, uint64_t whole) {
        wrong += offset != expected || whole != kBytes ? 1 : 0;
        for (size_t i = 0; i < bytes.size(); i += 61) {
          wrong += bytes[i] != byte_at(offset + i) ? 1 : 0;
        }
        expected = offset + bytes.size();
        return Status();
      });
  ASSERT_TRUE(read.ok()) << read.status().reason();
  EXPECT_EQ(expected, kBytes);
  EXPECT_EQ(wrong, 0U);
  EXPECT_EQ(read->content_type(), "video/mp4");
  EXPECT_EQ(read->etag(), *written);
}

void end_as_the_callback_says() {
  const State store("store");
  std::string into;
  EXPECT_FALSE(read_value(store, "absent", into)->found());
  ASSERT_TRUE(store.set("small", "0123456789").ok());
  ASSERT_TRUE(read_value(store, "small", into).ok());
  EXPECT_EQ(into, "0123456789");
  const auto stop = [](auto...) { return Status(RTSUP_CANCELLED, "ENOUGH"); };
  EXPECT_EQ(read_value(store, "small", stop).status().reason(), "ENOUGH");
  for (int i = 0; i < 10; ++i) {  // none of them stays open
    EXPECT_EQ(write_value(store, "small", 3 << 20, stop).status().reason(), "ENOUGH");
  }
  const auto thrown =
      write_value(store, "small", 5, [](auto...) -> Status { throw std::string("x"); });
  EXPECT_EQ(thrown.status().reason(), "CALLBACK_THREW");
  EXPECT_EQ(write_value(store, "small", 5 << 20, stop, {.etag = "other"}).status().code(),
            RTSUP_CANCELLED);
  EXPECT_EQ(store.get("small")->text(), "0123456789");
  const auto fill = [](std::span<std::byte> bytes, uint64_t) {
    std::fill(bytes.begin(), bytes.end(), std::byte{'x'});
    return Status();
  };
  EXPECT_EQ(write_value(store, "small", 3, fill, {.first_write = true}).status().reason(),
            "KEY_EXISTS");
  EXPECT_TRUE(write_value(store, "small", 0, fill).ok());
  EXPECT_TRUE(store.get("small")->bytes().empty());
}

// By the C calls on one part.
void send_and_read_part_after_part() {
  const rtsup_string component = RTSUP_LITERAL("store");
  const rtsup_string key = RTSUP_LITERAL("parts");
  auto upload = RTSUP_INIT(rtsup_upload);
  ASSERT_EQ(rtsup_state_upload_begin(component, key, (1U << 20) + 3, nullptr, &upload, nullptr),
            RTSUP_OK);
  ASSERT_EQ(upload.part_bytes, 1U << 20);
  EXPECT_EQ(rtsup_state_upload_part(&upload, 1U << 20, {"end", 3}, nullptr, nullptr), RTSUP_OK);
  EXPECT_EQ(rtsup_state_upload_commit(&upload, nullptr, nullptr, nullptr),
            RTSUP_FAILED_PRECONDITION);
  const std::string first(1U << 20, 'f');
  EXPECT_EQ(rtsup_state_upload_part(&upload, 0, {first.data(), first.size()}, nullptr, nullptr),
            RTSUP_OK);
  EXPECT_EQ(rtsup_state_upload_commit(&upload, nullptr, nullptr, nullptr), RTSUP_OK);
  EXPECT_EQ(rtsup_state_upload_abort(&upload, nullptr, nullptr), RTSUP_OK);
  auto range = RTSUP_INIT(rtsup_range);
  range.offset = 1U << 20;
  range.length = 100;
  auto answer = RTSUP_INIT(rtsup_answer);
  EXPECT_EQ(rtsup_state_read_part(component, key, &range, nullptr, &answer), RTSUP_OK);
  EXPECT_EQ(range.whole, (1U << 20) + 3U);
  EXPECT_EQ(std::string(static_cast<const char*>(answer.data.data), answer.data.length), "end");
  rtsup_answer_release(&answer);
  range.etag = RTSUP_LITERAL("0000000000000001");
  EXPECT_EQ(rtsup_state_read_part(component, key, &range, nullptr, nullptr), RTSUP_ABORTED);
  EXPECT_EQ(rtsup_state_upload_begin(component, key, 1, nullptr, nullptr, nullptr),
            RTSUP_INVALID_ARGUMENT);
}

}  // namespace rtsup::test
