// Every manifest in good/ loads; every one in bad/ is refused with exactly the lines of the .txt
// beside it. RTSUP_REFRESH=1 writes those anew, for reading in the diff.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "manifest/disk_file_system.h"
#include "manifest/load.h"

namespace rtsup::manifest {
namespace {

namespace fs = std::filesystem;

const std::string kFolder = RTSUP_SOURCE_DIR "/tests/manifest/";

std::vector<std::string> fixtures(const char* folder) {
  std::vector<std::string> names;
  for (const std::string& file : DiskFileSystem().list(kFolder + folder)) {
    if (file.ends_with(".json")) {
      names.push_back(file.substr(0, file.size() - 5));
    }
  }
  return names;
}

// The mistakes as lines, the same wherever the tree lies.
std::string verdict(const std::string& path) {
  const LoadOutcome outcome = load_manifest(
      path, DiskFileSystem(), {.policy_folder = RTSUP_SOURCE_DIR "/policies", .digest = nullptr});
  EXPECT_EQ(outcome.manifest.has_value(), outcome.mistakes.empty());
  std::string text;
  for (const Mistake& mistake : outcome.mistakes) {
    text += to_line(mistake) + '\n';
  }
  const std::string tree = RTSUP_SOURCE_DIR;
  for (size_t at = text.find(tree); at != std::string::npos; at = text.find(tree, at)) {
    text.replace(at, tree.size(), "TREE");
  }
  return text;
}

std::string content(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

class GoodFixture : public ::testing::TestWithParam<std::string> {};
TEST_P(GoodFixture, Loads) { EXPECT_EQ(verdict(kFolder + "good/" + GetParam() + ".json"), ""); }
INSTANTIATE_TEST_SUITE_P(Manifests, GoodFixture, ::testing::ValuesIn(fixtures("good")),
                         [](const auto& fixture) { return fixture.param; });

class BadFixture : public ::testing::TestWithParam<std::string> {};
TEST_P(BadFixture, IsRefusedWithItsMessages) {
  const std::string expected = kFolder + "bad/" + GetParam() + ".txt";
  const std::string found = verdict(kFolder + "bad/" + GetParam() + ".json");
  EXPECT_NE(found, "");
  if (std::getenv("RTSUP_REFRESH") != nullptr) {  // NOLINT(concurrency-mt-unsafe): one thread
    std::ofstream(expected) << found;
  }
  EXPECT_EQ(found, content(expected));
}
INSTANTIATE_TEST_SUITE_P(Manifests, BadFixture, ::testing::ValuesIn(fixtures("bad")),
                         [](const auto& fixture) { return fixture.param; });

}  // namespace
}  // namespace rtsup::manifest
