#include "broker/components/config_file/config_file.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "broker/testing/fake_loop.h"
#include "broker/testing/temp_folder.h"
#include "sys/file.h"

namespace rtsup::broker {
namespace {

using testing::FakeLoop;
using testing::TempFolder;

TEST(ConfigChangesTest, TextAndBack) {
  const ConfigChanges changes = {
      {"cart",
       {{"a.b/c-d_e", "two words, 100 %\nand a line"}, {"empty", ""}, {"utf8", "gr\xc3\xbc"}}},
      {"pricing", {{"rate", "0.5"}}}};
  const std::string text = format_changes(changes);
  EXPECT_EQ(text,
            "rtsup-config 1\n"
            "cart a.b/c-d_e two%20words,%20100%20%25%0Aand%20a%20line\n"
            "cart empty \n"
            "cart utf8 gr\xc3\xbc\n"
            "pricing rate 0.5\n");
  EXPECT_EQ(parse_changes(text).value(), changes);
}

TEST(ConfigChangesTest, WhatIsNoneSaysWhere) {
  const auto line_of = [](const char* text) { return parse_changes(text).error().number; };
  EXPECT_EQ(line_of(""), 1);
  EXPECT_EQ(line_of("rtsup-config x\n"), 1);
  EXPECT_EQ(line_of("rtsup-config 1\ncart a 1\ncart a 2\n"), 3);
  EXPECT_EQ(line_of("rtsup-config 1\ncart a 1"), 2);
  EXPECT_EQ(line_of("rtsup-config 1\ncart a %2\n"), 2);
  EXPECT_EQ(line_of("rtsup-config 1\ncart a %zz\n"), 2);
  EXPECT_EQ(line_of("rtsup-config 1\n../x a 1\n"), 2);
  EXPECT_EQ(line_of("rtsup-config 1\ncart .a 1\n"), 2);
  EXPECT_EQ(parse_changes("rtsup-config 1\ncart\n").error().status, Status::kDataLoss);
}

TEST(ConfigChangesTest, ANewerVersionIsRefused) {
  const auto refused = parse_changes("rtsup-config 2\nwhatever\n");
  EXPECT_EQ(refused.error().status, Status::kFailedPrecondition);
  EXPECT_EQ(refused.error().number, 2);
}

TEST(ConfigFileTest, WhatIsSavedIsThereTheNextTime) {
  const TempFolder folder;
  FakeLoop loop;
  const ConfigChanges changes = {{"cart", {{"limit", "7"}}}};
  {
    const auto file = ConfigFile::open(folder.file("config"), loop).value();
    EXPECT_TRUE(file->changes().empty());
    bool done = false;
    file->save(format_changes(changes), [&done](const Result<void>& outcome) {
      EXPECT_TRUE(outcome);
      done = true;
    });
    ASSERT_TRUE(loop.run_until([&done] { return done; }));
  }
  EXPECT_EQ(ConfigFile::open(folder.file("config"), loop).value()->changes(), changes);
}

TEST(ConfigFileTest, AFailureIsSaidAndTheNextSaveWorks) {
  const TempFolder folder;
  FakeLoop loop;
  std::filesystem::create_directory(folder.file("state"));
  const auto file = ConfigFile::open(folder.file("state/config"), loop).value();
  std::filesystem::remove(folder.file("state"));
  std::optional<bool> went;
  const auto save = [&] {
    went.reset();
    file->save(format_changes({}), [&went](const Result<void>& done) { went = done.has_value(); });
    return loop.run_until([&went] { return went.has_value(); }) && *went;
  };
  EXPECT_FALSE(save());
  std::filesystem::create_directory(folder.file("state"));
  EXPECT_TRUE(save());
}

TEST(ConfigFileTest, ADamagedFileIsRefused) {
  const TempFolder folder;
  FakeLoop loop;
  ASSERT_TRUE(sys::replace_file(folder.file("config"), "nonsense", 0600));
  const auto refused = ConfigFile::open(folder.file("config"), loop);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().step, Step::kConfigFile);
}

}  // namespace
}  // namespace rtsup::broker
