#include "edm2/io/json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "edm2/core/error.h"

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

}  // namespace
}  // namespace edm2
