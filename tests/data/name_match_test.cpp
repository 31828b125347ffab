#include "data/name_match.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <set>

#include "data/name_text.h"
#include "io/code_pages.h"

namespace edm2 {
namespace {

using Texts = std::vector<std::string>;

std::vector<std::string_view> views(const Texts& texts) { return {texts.begin(), texts.end()}; }

NameMatch match(const Texts& pictures, const Texts& listed, bool same = false) {
  return match_names(views(pictures), views(listed), [&](size_t, size_t) { return same; });
}

/// "0 1 -": the entry of each picture.
std::string entries(const NameMatch& match) {
  std::string text;
  for (const size_t entry : match.entry_of)
    text += (text.empty() ? "" : " ") +
            (entry == NameMatch::none ? std::string("-") : std::to_string(entry));
  return text;
}

}  // namespace

TEST(NameMatch, NamesThatMeanTheSame) {
  struct Case {
    const char* what;
    Texts pictures, listed;
    const char* entries;
    const char* difference;
  };
  const Case cases[] = {
      {"equal", {"a/1.png", "a/2.png"}, {"a/1.png", "a/2.png"}, "0 1", ""},
      {"another order and more", {"1.png", "2.png"}, {"3.png", "2.png", "1.png"}, "2 1", ""},
      {"separators", {"a/1.png", "b/1.png"}, {"a\\1.png", "b\\1.png"}, "0 1", "'\\' or './'"},
      {"separators in the archive",
       {"a\\1.png", "b\\1.png"},
       {"a/1.png", "b/1.png"},
       "0 1",
       "'\\'"},
      {"this folder", {"a/1.png", "2.png"}, {"./a/1.png", ".\\2.png"}, "0 1", "'./'"},
      {"a slash in front", {"a/1.png", "2.png"}, {"/a/1.png", "//2.png"}, "0 1", "'./'"},
      {"folder in the list", {"a/1.png", "2.png"}, {"x/y/a/1.png", "x/y/2.png"}, "0 1", "'x/y'"},
      {"another computer's path",
       {"a/1.png", "b/1.png"},
       {"C:\\me\\a\\1.png", "C:\\me\\b\\1.png"},
       "0 1",
       "'C:/me'"},
      {"folder of the archive", {"x/y/1.png", "x/y/2.png"}, {"y/1.png", "y/2.png"}, "0 1", "'x'"},
      {"file names alone", {"a/1.png", "b/2.png"}, {"2.png", "1.png"}, "1 0", "folders"},
      {"extension", {"a.png", "b.png"}, {"a.jpg", "b.JPEG"}, "0 1", "extension"},
      {"no extension", {"a.b.png", "b.png"}, {"a.b", "b"}, "0 1", "extension"},
      {"capitals", {"A.PNG", "b.png"}, {"a.png", "B.png"}, "0 1", "capitals"},
      {"sharp s", {"STRASSE.png"}, {"stra\u00dfe.png"}, "0", "capitals"},
      {"capitals and extension", {"A.PNG", "b.png"}, {"a.jpg", "B"}, "0 1", "capitals and another"},
      {"decomposed",
       {"e\u0301.png", "u\u0308.png"},
       {"\u00e9.png", "\u00fc.png"},
       "0 1",
       "Unicode"},
      {"composed", {"\u00e9.png"}, {"e\u0301.png"}, "0", "Unicode"},
      {"Korean", {"\u1112\u1161\u11ab.png"}, {"\ud55c.png"}, "0", "Unicode"},
      {"UTF-8 read as code page 437", {"\u00e9.png"}, {"\u251c\u2310.png"}, "0", "code page"},
      {"the other way round", {"\u251c\u2310.png"}, {"\u00e9.png"}, "0", "code page"},
      {"UTF-8 read as Windows'", {"\u00e9.png"}, {"\u00c3\u00a9.png"}, "0", "code page"},
      {"Windows' read as 437", {"\u0398.png"}, {"\u00e9.png"}, "0", "code page"},
      {"folder and separators and capitals",
       {"Cat/1.png", "Dog/1.png"},
       {"data\\cat\\1.PNG", "data\\dog\\1.PNG"},
       "0 1",
       "'\\' or './', the folder 'data' in front"},
      {"most are equal",
       {"1.png", "2.png", "3.PNG"},
       {"1.png", "2.png", "3.png"},
       "0 1 2",
       "capitals"},
      {"the list of both halves",
       {"1.png", "2.png"},
       {"train/1.png", "train/2.png", "test/3.png"},
       "0 1",
       "'train'"},
  };
  for (const Case& c : cases) {
    const NameMatch found = match(c.pictures, c.listed);
    EXPECT_EQ(entries(found), c.entries) << c.what;
    EXPECT_EQ(found.missing, 0u) << c.what;
    EXPECT_FALSE(found.contradiction) << c.what;
    if (*c.difference == '\0')
      EXPECT_EQ(found.difference, "") << c.what;
    else
      EXPECT_NE(found.difference.find(c.difference), std::string::npos)
          << c.what << ": " << found.difference;
  }
}

TEST(NameMatch, NamesThatMayMeanAnything) {
  struct Case {
    const char* what;
    Texts pictures, listed;
    size_t missing;
    bool contradiction;
  };
  const Case cases[] = {
      {"others", {"1.png", "2.png"}, {"x.png", "y.png"}, 2, false},
      {"one lacks", {"1.png", "2.png"}, {"1.png"}, 1, false},
      {"nothing listed", {"1.png"}, {}, 1, false},
      {"other folders", {"a/1.png", "a/2.png"}, {"b/1.png", "b/2.png"}, 2, false},
      {"file names that two have", {"a/1.png", "b/1.png"}, {"1.png", "2.png"}, 2, false},
      {"two pictures for one name", {"1.png", "1.jpg"}, {"1", "2"}, 2, false},
      {"both halves have it", {"1.png"}, {"train/1.png", "test/1.png"}, 0, true},
      {"two spellings", {"\u00e9.PNG"}, {"\u00e9.png", "e\u0301.png"}, 0, true},
      {"twice", {"1.png"}, {"1.png", "1.png"}, 0, true},
  };
  for (const Case& c : cases) {
    const NameMatch found = match(c.pictures, c.listed);
    EXPECT_EQ(found.missing, c.missing) << c.what << ": " << entries(found);
    EXPECT_EQ(found.contradiction.has_value(), c.contradiction) << c.what;
    EXPECT_FALSE(match(c.pictures, c.listed, /*same=*/true).contradiction) << c.what;
  }
}

TEST(NameMatch, NamesInMessages) {
  EXPECT_EQ(quoted_name("a b.png"), "'a b.png'");
  EXPECT_EQ(quoted_name("\x1b[2J\n"), "'\\x1b[2J\\x0a'");
  EXPECT_EQ(quoted_name("\u00e9\u009b"), "'\u00e9\\x9b'");
  EXPECT_EQ(quoted_name("\xe9.png"), "'\\xe9.png'");
  EXPECT_EQ(quoted_name(std::string(201, 'y')), "'" + std::string(200, 'y') + "...'");
  EXPECT_EQ(quoted_name(std::string(199, 'y') + "\u00e9"), "'" + std::string(199, 'y') + "...'");
  EXPECT_EQ(with_commas(17), "17");
  EXPECT_EQ(with_commas(50000), "50,000");
  EXPECT_EQ(with_commas(1234567), "1,234,567");
}

// Whatever is done to the names: each picture gets its own entry, or is counted as missing, or the
// contradiction is told.
TEST(NameMatch, AWayThatMergesPicturesIsNotTaken) {
  // Without extensions "a/x" is two pictures, and "E.jpg" must not become "b/E" instead.
  EXPECT_EQ(entries(match({"E.jpg", "a/x.PNG", "a/x.jpg", "b/E.PNG"},
                          {"E.webp", "a/x.webp", "a/x.webp", "b/E.webp"})),
            "- - - -");
}

RC_GTEST_PROP(NameMatchProperty, RenamedListsAreMatchedOrTold, ()) {
  const Texts folders = {"", "a/", "b/", "a/c/", "\u00e9/"};
  const Texts stems = {"1", "2", "x y", "\u00fc", "E", "e", "n.b"};
  const Texts extensions = {".png", ".jpg", ".PNG"};
  std::set<std::string> names;
  const int count = *rc::gen::inRange(1, 12);
  for (int i = 0; i < count; ++i)
    names.insert(*rc::gen::elementOf(folders) + *rc::gen::elementOf(stems) +
                 *rc::gen::elementOf(extensions));
  const Texts pictures(names.begin(), names.end());
  const int rule = *rc::gen::inRange(0, 8);
  Texts listed;
  for (std::string name : pictures) {
    switch (rule) {
      case 1:
        std::replace(name.begin(), name.end(), '/', '\\');
        break;
      case 2:
        name = "./" + name;
        break;
      case 3:
        name = "x/" + name;
        break;
      case 4:
        name = name.substr(0, name.size() - 4) + ".webp";
        break;
      case 5:
        name = caseless_text(name);
        break;
      case 6:
        name = from_code_page(name, CodePage::ibm437);
        break;
      case 7:
        name = name.substr(name.rfind('/') + 1);
        break;
      default:
        break;
    }
    listed.push_back(name);
  }
  const NameMatch found = match(pictures, listed);
  if (found.contradiction) return;  // told
  for (size_t i = 0; i < pictures.size(); ++i)
    RC_ASSERT(found.entry_of[i] == i || found.entry_of[i] == NameMatch::none);
  const auto missing = static_cast<size_t>(
      std::count(found.entry_of.begin(), found.entry_of.end(), NameMatch::none));
  RC_ASSERT(found.missing == missing);
  if (rule <= 3) {
    RC_ASSERT(missing == 0u);
  }
  if (listed != pictures && missing == 0) {
    RC_ASSERT(!found.difference.empty());
  }
}

}  // namespace edm2
