#include "fields.h"

#include <gtest/gtest.h>

namespace shop {
namespace {

TEST(FieldsTest, ReadsTextsAndNumbers) {
  const auto fields = Fields::parse(R"( {"user": "ada", "add":"apple" , "count": 2} )");
  ASSERT_TRUE(fields);
  EXPECT_EQ(fields->text("user"), "ada");
  EXPECT_EQ(fields->text("add"), "apple");
  EXPECT_EQ(fields->number("count"), 2);
  EXPECT_EQ(fields->text("count"), "");
  EXPECT_EQ(fields->number("user"), std::nullopt);
}

TEST(FieldsTest, AnEmptyObjectHasNothing) {
  const auto fields = Fields::parse("{}");
  ASSERT_TRUE(fields);
  EXPECT_EQ(fields->text("user"), "");
}

TEST(FieldsTest, RefusesWhatCouldNotBeWrittenBackUnescaped) {
  EXPECT_FALSE(Fields::parse(R"({"user": "a\"b"})"));
  EXPECT_FALSE(Fields::parse(R"({"user": "a b"})"));
  EXPECT_FALSE(Fields::parse(R"({"user": ""})"));
  EXPECT_FALSE(Fields::parse("{\"user\": \"" + std::string(33, 'a') + "\"}"));
}

TEST(FieldsTest, RefusesWhatIsNoFlatObject) {
  EXPECT_FALSE(Fields::parse(""));
  EXPECT_FALSE(Fields::parse("{},"));
  EXPECT_FALSE(Fields::parse(R"({"a": 1,})"));
  EXPECT_FALSE(Fields::parse(R"({"a": {"b": 1}})"));
  EXPECT_FALSE(Fields::parse(R"({"a": 1)"));
  EXPECT_FALSE(Fields::parse(R"({"a": 1} x)"));
  EXPECT_FALSE(Fields::parse(R"({"a": -1})"));
  EXPECT_FALSE(Fields::parse(R"({"a": 1234567890})"));
}

}  // namespace
}  // namespace shop
