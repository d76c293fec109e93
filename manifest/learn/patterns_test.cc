#include "manifest/learn/patterns.h"

#include <gmock/gmock.h>

namespace rtsup::manifest {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> from(const std::vector<std::string>& names) {
  std::set<SeenName> seen;
  for (const std::string& name : names) {
    seen.insert({.text = name});
  }
  return patterns_of(seen).list;
}

TEST(PatternsTest, SeveralNamesOfAFolderAreThatFolder) {
  EXPECT_THAT(from({"cart/1", "cart/2"}), ElementsAre("cart/*"));
  EXPECT_THAT(from({"user:ada:cart", "user:ada:name", "user:bob:cart"}),
              ElementsAre("user:ada:*", "user:bob:cart"));
}

TEST(PatternsTest, OneNameIsItself) {
  EXPECT_THAT(from({"cart/1", "stock/apple"}), ElementsAre("cart/1", "stock/apple"));
}

TEST(PatternsTest, NamesWithoutAFolderStayNames) {
  EXPECT_THAT(from({"a", "b", "c"}), ElementsAre("a", "b", "c"));
}

// A policy would read a star at the end as everything that begins so.
TEST(PatternsTest, StarsOfTheFunctionsOwnOpenNothing) {
  EXPECT_THAT(from({"*"}), IsEmpty());
  EXPECT_THAT(from({"admin*"}), IsEmpty());
  EXPECT_THAT(from({"cart/*"}), ElementsAre("cart/*"));
}

TEST(PatternsTest, OddBytesAreNotCopied) {
  EXPECT_THAT(from({"cart/\033[2J"}), ElementsAre("cart/*"));
  EXPECT_THAT(from({"\xff\xfe", "a\nb", std::string("x\0y", 3), "\xe2\x80\xae", ""}), IsEmpty());
}

TEST(PatternsTest, NamesThatAreCutAreTheirFolder) {
  const auto patterns = patterns_of({{.text = "cart/" + std::string(300, 'x'), .is_cut = true},
                                     {.text = std::string(300, 'y'), .is_cut = true}});
  EXPECT_THAT(patterns.list, ElementsAre("cart/*"));
  EXPECT_EQ(patterns.left_out, 1U);
}

TEST(PatternsTest, ThereIsAnEnd) {
  std::vector<std::string> names;
  names.reserve(5000);
  for (int i = 0; i < 5000; ++i) {
    names.push_back("name" + std::to_string(i));
  }
  EXPECT_EQ(from(names).size(), kPatternsMax);
}

TEST(PatternsTest, WhatStandsForWhat) {
  EXPECT_TRUE(stands_for("cart/*", {.text = "cart/1"}));
  EXPECT_TRUE(stands_for("*", {.text = "x", .is_cut = true}));
  EXPECT_TRUE(stands_for("cart", {.text = "cart"}));
  EXPECT_FALSE(stands_for("cart", {.text = "cart", .is_cut = true}));
  EXPECT_FALSE(stands_for("cart/*", {.text = "card/1"}));
}

}  // namespace
}  // namespace rtsup::manifest
