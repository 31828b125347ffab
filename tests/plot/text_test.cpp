#include "plot/text.h"

#include <gtest/gtest.h>

namespace edm2::plot {

TEST(FigureText, SetsSuperscriptsAndSubscripts) {
  const auto runs = parse_text("10^{-3} x_{i}!");
  ASSERT_EQ(runs.size(), 5u);
  EXPECT_EQ(runs[0].text, "10");
  EXPECT_EQ(runs[1].text, "-3");
  EXPECT_GT(runs[1].rise, 0);
  EXPECT_LT(runs[1].size, 1);
  EXPECT_EQ(runs[2].text, " x");
  EXPECT_LT(runs[3].rise, 0);
  EXPECT_EQ(runs[4].text, "!");
  EXPECT_EQ(parse_text("open ^{brace")[0].text, "open ^{brace");
  EXPECT_TRUE(parse_text("").empty());
}

TEST(FigureText, ReplacesWhatIsNotUtf8) {
  EXPECT_EQ(parse_text("a\xff"
                       "b\xc3")[0]
                .text,
            "a?b?");
  EXPECT_EQ(parse_text("\xed\xa0\x80")[0].text, "???");  // half of a surrogate pair
  EXPECT_EQ(parse_text("two\nlines\u03c3")[0].text, "two lines\u03c3");
}

}  // namespace edm2::plot
