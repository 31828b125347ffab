#include "edm2/io/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "edm2/core/error.h"
#include "io/unicode_text.h"

namespace edm2 {
namespace {

TEST(Json, ParsesOneValue) {
  EXPECT_EQ(parse_json(R"( {"b": [1, 2.5, null], "a": "x"} )"),
            (nlohmann::json{{"a", "x"}, {"b", {1, 2.5, nullptr}}}));
  EXPECT_EQ(parse_ordered_json(R"({"b": 1, "a": 2})").dump(), R"({"b":1,"a":2})");
}

TEST(Json, RefusesTheMalformedAndTheDeep) {
  for (const char* wrong : {"", "{", "[1,]", "nul", "1 2", "{\"a\" 1}", "NaN", "\xff"})
    EXPECT_THROW(parse_json(wrong), Error) << wrong;
  const auto nested = [](size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  EXPECT_NO_THROW(parse_json(nested(30)));
  EXPECT_THROW(parse_json(nested(40)), Error);
  EXPECT_THROW(parse_json(nested(10'000'000)), Error);
  EXPECT_THROW(parse_ordered_json(std::string(10'000'000, '[')), Error);
}

std::string message_of(std::string_view text) {
  try {
    parse_json_file(text, "'x.json'");
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Json, ErrorsSayWhere) {
  EXPECT_EQ(message_of("{\"a\": [\n1,\n]}"),
            "'x.json' is not valid JSON: line 3, column 1: a comma stands before ']'");
  EXPECT_EQ(message_of("[1, 2"),
            "'x.json' is not valid JSON: line 1, column 6: the text ends too early");
  EXPECT_EQ(message_of(""),
            "'x.json' is not valid JSON: line 1, column 1: the text ends too early");
  EXPECT_EQ(message_of("{\n  'a': 1}"), "'x.json' is not valid JSON: line 2, column 3");
  EXPECT_EQ(message_of("[1e999]"), "'x.json' is not valid JSON: a number is out of range");
  EXPECT_THAT(message_of("<!DOCTYPE html><html></html>"), testing::HasSubstr("a web page (HTML)"));
}

TEST(Json, ReadsTheEncodingsThatPythonReads) {
  const nlohmann::json expected = {{"a", "\u00e9\U0001F600"}};
  const std::u16string wide = u"{\"a\": \"\u00e9\U0001F600\"}";
  const std::u32string widest = U"{\"a\": \"\u00e9\U0001F600\"}";
  const auto bytes = [](const auto& text, bool swap, bool mark) {
    std::string result;
    const auto add = [&](auto unit) {
      std::string one(reinterpret_cast<const char*>(&unit), sizeof unit);
      if (swap) std::reverse(one.begin(), one.end());
      result += one;
    };
    if (mark) add(static_cast<typename std::decay_t<decltype(text)>::value_type>(0xfeff));
    for (const auto unit : text) add(unit);
    return result;
  };
  EXPECT_EQ(parse_json_file("\xef\xbb\xbf{\"a\": \"\xc3\xa9\xf0\x9f\x98\x80\"}", "x"), expected);
  for (const bool swap : {false, true})
    for (const bool mark : {false, true}) {
      EXPECT_EQ(parse_json_file(bytes(wide, swap, mark), "x"), expected) << swap << mark;
      EXPECT_EQ(parse_json_file(bytes(widest, swap, mark), "x"), expected) << swap << mark;
    }
  // Half a character, and half a unit at the end, end nothing but themselves.
  EXPECT_EQ(utf8_text(bytes(std::u16string(u"[]\xd800"), false, true)), "[]\xef\xbf\xbd");
  EXPECT_EQ(utf8_text(bytes(std::u16string(u"[]"), false, true) + "x"), "[]\xef\xbf\xbd");
}

TEST(Json, PythonsNumbersAreNull) {
  EXPECT_EQ(
      parse_json_file(R"({"NaN": [NaN, -Infinity, Infinity, -1], "b": "\"NaN \\", "c": NaN})", "x"),
      (nlohmann::json{
          {"NaN", {nullptr, nullptr, nullptr, -1}}, {"b", "\"NaN \\"}, {"c", nullptr}}));
  EXPECT_THROW(parse_json("[NaN]"), Error);
  for (const char* wrong : {"[Nan]", "[NaNa]", "[Inf]", "\"", "\"\\"})
    EXPECT_THROW(parse_json_file(wrong, "x"), Error) << wrong;
}

}  // namespace
TEST(Json, AKeyThatStandsTwiceIsNamed) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"a": 1})", ""},
      {R"({"a": 1, "b": {"a": 2}, "c": [{"a": 3}, {"a": 4}]})", ""},
      {R"({"a": "a:a:a"})", ""},
      {R"({"a": 1, "b": 2, "a": 3, "b": 4})", "a"},
      {R"({"x": [{"b": 1, "\u0062": NaN}]})", "b"},
  };
  for (const auto& [text, wanted] : cases) {
    std::string repeated;
    EXPECT_EQ(parse_json_file(std::string_view(text), "x", &repeated),
              parse_json_file(std::string_view(text), "x"));
    EXPECT_EQ(repeated, wanted) << text;
  }
  std::string repeated;
  EXPECT_THROW(parse_json_file(std::string_view(R"({"a": 1, "a": 2)"), "x", &repeated), Error);
}

}  // namespace edm2
