#include "edm2/core/printable.h"

#include <gtest/gtest.h>

namespace edm2 {

TEST(Printable, KeepsTextAndEscapesTheRest) {
  const std::pair<std::string, std::string> cases[] = {
      {"a b/1.png", "a b/1.png"},
      {"\u00e4\u4e16\U0001f600", "\u00e4\u4e16\U0001f600"},
      {"\x1b[31mred\x07", "\\x1b[31mred\\x07"},
      {"line\nbreak\t\x7f", "line\\x0abreak\\x09\\x7f"},
      {"\xc2\x9b"
       "31m",
       "\\xc2\\x9b"
       "31m"},  // a control character of 8 bits
      {"\xff\xc3", "\\xff\\xc3"},
      {"\xe4\xb8", "\\xe4\\xb8"},
      {std::string("\0", 1), "\\x00"},
      {"a\u202egnp.exe", "a\\xe2\\x80\\xaegnp.exe"},
      {"\u061c", "\\xd8\\x9c"},
      {"\u200e\u200f", "\\xe2\\x80\\x8e\\xe2\\x80\\x8f"},
      {"\u202a", "\\xe2\\x80\\xaa"},
      {"\u2066\u2069", "\\xe2\\x81\\xa6\\xe2\\x81\\xa9"},
      {"\u200d\u2029\u202f\u2065\u206a\u05d0\u0627", "\u200d\u2029\u202f\u2065\u206a\u05d0\u0627"},
      {"\u00a0", "\u00a0"},
  };
  for (const auto& [text, wanted] : cases) EXPECT_EQ(printable(text), wanted);
}

TEST(Printable, LinesKeepTheirEnds) {
  EXPECT_EQ(printable_lines("a\x1b\nb\r\n"), "a\\x1b\nb\\x0d\n");
  EXPECT_EQ(printable_lines(""), "");
}

TEST(Printable, CutsTheMiddleOut) {
  EXPECT_EQ(printable_within("0123456789", 10), "0123456789");
  EXPECT_EQ(printable_within("0123456789", 4), "01...89");
  EXPECT_EQ(printable_within("0\u00e4\u00e4\u00e4\u00e4"
                             "9",
                             4),
            "0...9");
}

}  // namespace edm2
