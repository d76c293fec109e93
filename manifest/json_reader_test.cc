#include "manifest/json_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace rtsup::manifest {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::unique_ptr<Document> read(const std::string& text, Mistakes& mistakes) {
  return read_json("m.json", "m.json", text, mistakes);
}

std::vector<std::string> lines_of(const std::string& text) {
  Mistakes mistakes;
  (void)read(text, mistakes);
  std::vector<std::string> lines;
  for (const Mistake& mistake : mistakes.take()) {
    lines.push_back(to_line(mistake));
  }
  return lines;
}

std::string place(const Node* node) {
  return node == nullptr ? "absent"
                         : std::to_string(node->at.line) + ':' + std::to_string(node->at.column);
}

TEST(JsonReaderTest, EveryValueAndKeyHasItsPlace) {
  Mistakes mistakes;
  const auto document = read(
      "// head\n{ \"a\\\"\\\\\": [1, -2.5e3,true],\n  /* c */ \"b\": \"x\\\\\" ,\n"
      "  \"c\": {\"d\":null}, \"e\": 7/* after */, \"f\":\nfalse }",
      mistakes);
  ASSERT_NE(document, nullptr);
  const Node& root = document->root;
  EXPECT_EQ(place(&root), "2:1");
  ASSERT_EQ(root.members.size(), 5U);
  EXPECT_EQ(root.members[0].name, "a\"\\");
  EXPECT_EQ(root.members[0].at.column, 3U);
  const Node& list = root.members[0].value;
  EXPECT_EQ(place(&list), "2:12");
  EXPECT_EQ(place(&list.items[0]), "2:13");
  EXPECT_EQ(place(&list.items[1]), "2:16");
  EXPECT_EQ(place(&list.items[2]), "2:23");
  EXPECT_EQ(list.items[2].pointer, "/a\"\\/2");
  EXPECT_EQ(place(root.find("b")), "3:16");
  EXPECT_EQ(place(root.find("c")->find("d")), "4:13");
  EXPECT_EQ(root.find("c")->find("d")->pointer, "/c/d");
  EXPECT_EQ(place(root.find("e")), "4:25");
  EXPECT_EQ(place(root.find("f")), "5:1");
}

TEST(JsonReaderTest, NumberAtTheEndOfTheTextHasItsPlace) {
  Mistakes mistakes;
  const auto document = read(" 12", mistakes);
  ASSERT_NE(document, nullptr);
  EXPECT_EQ(place(&document->root), "1:2");
  EXPECT_EQ(document->root.integer, 12);
}

TEST(JsonReaderTest, EveryDoubleKeyIsAMistakeAndTheFirstCounts) {
  Mistakes mistakes;
  const auto document = read("{\"a\":1,\n\"a\":2,\"b\":{\"c\":1,\"c\":2}}", mistakes);
  ASSERT_NE(document, nullptr);
  EXPECT_EQ(document->root.find("a")->integer, 1);
  std::vector<std::string> lines;
  for (const Mistake& mistake : mistakes.take()) {
    lines.push_back(to_line(mistake));
  }
  EXPECT_THAT(lines, ElementsAre("m.json:2:1: /a: the key \"a\" stands twice; first in line 1",
                                 "m.json:2:18: /b/c: the key \"c\" stands twice; first in line 2"));
}

TEST(JsonReaderTest, SyntaxErrorSaysWhere) {
  EXPECT_THAT(lines_of("{\n  \"a\": 1,\n}"), ElementsAre(HasSubstr("m.json:3:1: syntax error")));
  EXPECT_THAT(lines_of(""), ElementsAre(HasSubstr("m.json:1:1: syntax error")));
  EXPECT_THAT(lines_of("{} x"), ElementsAre(HasSubstr("m.json:1:4: syntax error")));
  EXPECT_THAT(lines_of("\"\xff\""), ElementsAre(HasSubstr("ill-formed UTF-8 byte")));
}

TEST(JsonReaderTest, DepthIsLimited) {
  EXPECT_TRUE(lines_of(std::string(24, '[') + std::string(24, ']')).empty());
  EXPECT_THAT(lines_of(std::string(25, '[') + std::string(25, ']')),
              ElementsAre("m.json:1:25: nested deeper than 24 levels"));
}

TEST(JsonReaderTest, SizesAreLimited) {
  EXPECT_THAT(lines_of("\"" + std::string(4097, 'a') + "\""),
              ElementsAre(HasSubstr("a string longer than 4096 bytes")));
  std::string many = "[0";
  for (int i = 0; i < 65536; ++i) {
    many += ",0";
  }
  EXPECT_THAT(lines_of(many + "]"), ElementsAre(HasSubstr("more than 65536 values")));
  EXPECT_THAT(lines_of("\"a\\u0000b\""), ElementsAre(HasSubstr("zero byte")));
}

TEST(JsonReaderTest, MessagesEscapeWhatTerminalsObey) {
  EXPECT_THAT(lines_of("{\"\\u001b[31m\":1,\"\\u001b[31m\":2}"),
              ElementsAre(HasSubstr("the key \"\\x1b[31m\" stands twice")));
}

}  // namespace
}  // namespace rtsup::manifest
