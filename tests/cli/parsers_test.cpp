#include "cli/parsers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "edm2/core/error.h"

namespace edm2::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// "2: message" for a usage error, "1: message" for another error, "" if there is none.
template <class Function>
std::string error_of(const Function& function) {
  try {
    function();
  } catch (const UsageError& error) {
    return std::string("2: ") + error.what();
  } catch (const Error& error) {
    return std::string("1: ") + error.what();
  }
  return "";
}

}  // namespace

TEST(Parsers, Int) {
  EXPECT_EQ(parse_int("0"), 0);
  EXPECT_EQ(parse_int("-5"), -5);
  EXPECT_EQ(parse_int("+7"), 7);
  EXPECT_EQ(parse_int(" 1_000 "), 1000);
  EXPECT_EQ(parse_int("007"), 7);
  EXPECT_EQ(parse_int("-9223372036854775808"), INT64_MIN);
  for (const char* text : {"", " ", "-", "+", "+-1", "--1", "1.5", "a", "1a", "0x10", "_1", "1_",
                           "1__0", "1 0", "9223372036854775808"})
    EXPECT_THAT(error_of([&] { parse_int(text); }), HasSubstr("2: '" + std::string(text) + "'"));
  EXPECT_EQ(error_of([] { parse_int("1.5"); }), "2: '1.5' is not a valid integer.");
}

TEST(Parsers, IntRange) {
  EXPECT_EQ(parse_int("1", at_least(int64_t{1})), 1);
  EXPECT_EQ(error_of([] { parse_int("0", at_least(int64_t{1})); }),
            "2: 0 is not in the range x>=1.");
  const IntRange both{.min = 0, .max = 9, .min_open = true};
  EXPECT_EQ(error_of([&] { parse_int("0", both); }), "2: 0 is not in the range 0<x<=9.");
  EXPECT_EQ(parse_int("9", both), 9);
  EXPECT_EQ(error_of([&] { parse_int("10", both); }), "2: 10 is not in the range 0<x<=9.");
}

TEST(Parsers, Float) {
  EXPECT_EQ(parse_float("1.5"), 1.5);
  EXPECT_EQ(parse_float(" -1e-3 "), -1e-3);
  EXPECT_EQ(parse_float("+.5"), 0.5);
  EXPECT_EQ(parse_float("5."), 5);
  EXPECT_EQ(parse_float("1_0.5"), 10.5);
  EXPECT_EQ(parse_float("inf"), INFINITY);
  EXPECT_EQ(parse_float("-Infinity"), -INFINITY);
  EXPECT_TRUE(std::isnan(parse_float("NaN")));
  EXPECT_EQ(parse_float("1e400"), INFINITY);
  EXPECT_EQ(parse_float("1e-400"), 0);
  for (const char* text : {"", "x", "1.5x", "0x1p3", "nan(1)", "1,5", "--1", "+-1", "e5", "1_.5"})
    EXPECT_THAT(error_of([&] { parse_float(text); }), HasSubstr("is not a valid float"));
}

TEST(Parsers, FloatRange) {
  EXPECT_EQ(parse_float("0.002", greater_than(0)), 0.002);
  EXPECT_EQ(error_of([] { parse_float("0", greater_than(0)); }), "2: 0 is not in the range x>0.");
  EXPECT_EQ(parse_float("inf", at_least(0.0)), INFINITY);
  EXPECT_EQ(error_of([] { parse_float("nan", at_least(0.0)); }),
            "2: nan is not in the range x>=0.");
  const FloatRange unit{.min = 0, .max = 1};
  EXPECT_EQ(parse_float("1", unit), 1);
  EXPECT_EQ(error_of([&] { parse_float("1.25", unit); }), "2: 1.25 is not in the range 0<=x<=1.");
}

TEST(Parsers, Bool) {
  for (const char* text : {"1", "true", "T", "Yes", "y", "ON", " on "})
    EXPECT_TRUE(parse_bool(text)) << text;
  for (const char* text : {"0", "false", "F", "No", "n", "OFF"})
    EXPECT_FALSE(parse_bool(text)) << text;
  EXPECT_EQ(error_of([] { parse_bool("maybe"); }), "2: 'maybe' is not a valid boolean.");
  EXPECT_EQ(error_of([] { parse_bool(""); }), "2: '' is not a valid boolean.");
}

TEST(Parsers, Nimg) {
  EXPECT_EQ(parse_nimg("2048"), 2048);
  EXPECT_EQ(parse_nimg("64Ki"), 65536);
  EXPECT_EQ(parse_nimg("8Mi"), 8 << 20);
  EXPECT_EQ(parse_nimg("2Gi"), int64_t{1} << 31);
  EXPECT_EQ(parse_nimg("-1Ki"), -1024);
  for (const char* text : {"", "Ki", "1.5Mi", "1ki", "1M", "1KiB", "9223372036854775807Ki"})
    EXPECT_THAT(error_of([&] { parse_nimg(text); }), HasSubstr("2: '")) << text;
  EXPECT_EQ(error_of([] { parse_nimg("-1Ki", at_least(int64_t{0})); }),
            "2: -1024 is not in the range x>=0.");
}

TEST(Parsers, Duration) {
  EXPECT_EQ(parse_duration("90s"), 90);
  EXPECT_EQ(parse_duration("3h50m"), 13800);
  EXPECT_EQ(parse_duration("1d12h"), 129600);
  EXPECT_EQ(parse_duration("0.5s"), 0.5);
  EXPECT_EQ(parse_duration("1.5h"), 5400);
  EXPECT_EQ(parse_duration(" 03:50:00 "), 13800);
  EXPECT_EQ(parse_duration("1-00:00:05"), 86405);
  for (const char* text : {"", "90", "0s", "-5s", "5m3h", "50:00", "3:70:00", "1.2.3s", "s", "3 h",
                           "99999999999999999999d"})
    EXPECT_THROW(parse_duration(text), UsageError) << text;
}

TEST(Parsers, IntList) {
  EXPECT_THAT(parse_int_list("1,2,5-10"), ElementsAre(1, 2, 5, 6, 7, 8, 9, 10));
  EXPECT_THAT(parse_int_list("16-19"), ElementsAre(16, 17, 18, 19));
  EXPECT_THAT(parse_int_list("7-7"), ElementsAre(7));
  EXPECT_THAT(parse_int_list("-5"), ElementsAre(-5));
  EXPECT_THAT(parse_int_list("3, -5 ,3"), ElementsAre(3, -5, 3));
  for (const char* text :
       {"", "a", "1,", ",1", "1-", "1-b", "-1-2", "1-2-3", "1--2", "1.5", "1, 2-3"})
    EXPECT_THAT(error_of([&] { parse_int_list(text); }), HasSubstr("2: '")) << text;
  EXPECT_EQ(error_of([] { parse_int_list("1,10..20"); }),
            "2: '10..20' is not a valid integer, nor a range such as 5-10.");
  // The original makes an empty list of these, draws nothing and says nothing.
  for (const char* text : {"9-0", "1,2,9-0", "9-0,4", "1-0"})
    EXPECT_THAT(error_of([&] { parse_int_list(text); }), HasSubstr("is a range without values"));
  EXPECT_EQ(error_of([] { parse_int_list("3,9-0"); }),
            "2: '9-0' is a range without values; write '0-9'.");
  EXPECT_THAT(error_of([] { parse_int_list("0-9999999999999"); }), HasSubstr("more than"));
  EXPECT_THAT(error_of([] { parse_int_list("0-99999999999999999999"); }), HasSubstr("64 bits"));
}

TEST(Parsers, CommaLists) {
  EXPECT_THAT(parse_ints("1,2, 2"), ElementsAre(1, 2, 2));
  EXPECT_THAT(parse_floats("0.05,0.10"), ElementsAre(0.05, 0.10));
  EXPECT_THAT(error_of([] { parse_ints("1-3"); }), HasSubstr("2: '1-3'"));
  EXPECT_THAT(error_of([] { parse_ints(""); }), HasSubstr("2: ''"));
  EXPECT_EQ(error_of([] { parse_ints("1,0", at_least(int64_t{1})); }),
            "2: 0 is not in the range x>=1.");
  EXPECT_THAT(error_of([] { parse_floats("0.1,x"); }), HasSubstr("2: 'x'"));
}

TEST(Parsers, StdList) {
  EXPECT_THAT(parse_std_list("0.10,0.05,0.10"), ElementsAre(0.05, 0.10));
  EXPECT_THAT(parse_std_list("0.05,0.10,...,0.25"),
              ElementsAre(0.05, 0.10, testing::DoubleNear(0.15, 1e-15),
                          testing::DoubleNear(0.20, 1e-15), 0.25));
  EXPECT_THAT(parse_std_list("0.25,0.20,...,0.10").size(), 4u);
  const std::vector<std::pair<const char*, const char*>> errors = {
      {"...,0.1", "1: '...' must be preceded by at least two floats"},
      {"0.1,...,0.2", "1: '...' must be preceded by at least two floats"},
      {"0.1,0.11,...,...,0.2", "1: '...' must be followed by at least one float"},
      {"0.1,0.11,...", "1: '...' must be followed by at least one float"},
      {"0.1,0.1,...,0.2", "1: The floats preceding '...' must not be equal"},
      {"0.1,0.15,...,0.15", "1: '...' must correspond to a non-empty interval"},
      {"0.1,0.15,...,0.05", "1: '...' must correspond to a non-empty interval"},
      {"0.1,0.15,...,0.27", "1: '...' must correspond to an evenly spaced interval"},
      {"0.1,0.15,...,inf", "1: '...' must correspond to an evenly spaced interval"},
      {"0.289", "1: Relative standard deviation must be positive and less than 0.289"},
      {"0", "1: Relative standard deviation must be positive and less than 0.289"},
      {"nan", "1: Relative standard deviation must be positive and less than 0.289"},
      {"0.1,x", "2: 'x' is not a valid float."},
  };
  for (const auto& [text, message] : errors)
    EXPECT_EQ(error_of([&] { parse_std_list(text); }), message) << text;
}

}  // namespace edm2::cli
