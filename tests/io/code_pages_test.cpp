#include "io/code_pages.h"

#include <gtest/gtest.h>

namespace edm2 {

TEST(CodePages, BytesAndTexts) {
  EXPECT_EQ(from_code_page("a\x82\xe1", CodePage::ibm437), "a\u00e9\u00df");
  EXPECT_EQ(from_code_page("\xb5\xd5", CodePage::ibm850), "\u00c1\u0131");
  EXPECT_EQ(from_code_page("\x80\xe9\x81", CodePage::windows1252), "\u20ac\u00e9\u0081");
  for (const CodePage page : {CodePage::ibm437, CodePage::ibm850, CodePage::windows1252}) {
    std::string all;
    for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
    EXPECT_EQ(to_code_page(from_code_page(all, page), page), all);
    EXPECT_EQ(to_code_page("\u4e2d", page), std::nullopt);
    EXPECT_EQ(to_code_page("\xff", page), std::nullopt);
  }
}

TEST(CodePages, FormsOfUnicode) {
  EXPECT_TRUE(is_utf8("a\u00e9\u4e2d\U0001f600"));
  EXPECT_FALSE(is_utf8("\xe9.png"));
  EXPECT_FALSE(is_utf8("\xc0\xaf"));  // an overlong '/'
  EXPECT_EQ(composed_text("e\u0301a"), "\u00e9a");
  EXPECT_EQ(composed_text("\xff"), "\xff");
  EXPECT_EQ(caseless_text("\u00c9A"), "\u00e9a");
  EXPECT_EQ(caseless_text("E\u0301"), "\u00e9");
  EXPECT_EQ(caseless_text("AZ09@["), "az09@[");
}

}  // namespace edm2
