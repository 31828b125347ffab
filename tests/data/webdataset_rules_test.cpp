// Rules of the WebDataset library (1.0) for samples in shards, and where ours differ on purpose.
// The format's own tests are TarShards.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "data/picture_source.h"
#include "edm2/core/error.h"
#include "edm2/io/tar.h"
#include "support/paths.h"

namespace edm2 {
namespace {

/// Names in an archive and contents.
using Members = std::vector<std::pair<std::string, std::string>>;

/// "name=label" of every item of a shard with these members.
std::string items_of_shard(const Members& members) {
  const test::TempDir dir;
  TarWriter tar(dir / "x.tar");
  for (const auto& [name, contents] : members) tar.add(name, contents);
  tar.finish();
  std::string text;
  const auto source = open_picture_source({.path = dir / "x.tar"});
  for (const auto& item : source->items())
    text += (text.empty() ? "" : " ") + item.name + "=" + item.label.dump();
  return text;
}

/// Files "p-NAME.tar" that a pattern stands for, each a shard with one picture; "missing" if one is
/// not there.
std::string shards_of_pattern(const std::vector<std::string>& files, const std::string& pattern) {
  const test::TempDir dir;
  for (const std::string& file : files) {
    TarWriter tar(dir / ("p-" + file + ".tar"));
    tar.add("0.png", "picture");
    tar.finish();
  }
  try {
    std::string text;
    for (const auto& path : expand_pattern(dir / ("p-" + pattern + ".tar"))) {
      const std::string stem = std::filesystem::path(path).stem().string();
      text += (text.empty() ? "" : " ") + stem.substr(2);
    }
    return text;
  } catch (const Error&) {
    return "missing";
  }
}

}  // namespace

TEST(WebDatasetRules, KeysEndAtTheFirstDotOfTheFileName) {
  struct Case {
    Members members;
    const char* items;
  };
  const Case cases[] = {
      // As in WebDataset.
      {{{"a/b.c/000.seg.png", ""}, {"a/b.c/000.cls", "3"}}, "a/b.c/000.seg.png=3"},
      {{{"a/000.png", ""}, {"a/000.cls", "1"}, {"b/000.png", ""}, {"b/000.cls", "2"}},
       "a/000.png=1 b/000.png=2"},
      {{{"a.b/c.d/1.png", ""}, {"a.b/c.d/1.cls", "4"}}, "a.b/c.d/1.png=4"},
      {{{"0.cls", "5"}, {"0.png", ""}}, "0.png=5"},  // the label in front
      {{{"0.txt", "9"}, {"0.png", ""}, {"0.cls", "6\n"}}, "0.png=6"},
      {{{"DIR/0001.PNG", ""}, {"DIR/0001.cls", "3"}}, "DIR/0001.PNG=3"},
      // There the key is "./000"; samples are the same.
      {{{"./000.png", ""}, {"./000.cls", "3"}}, "000.png=3"},
      {{{"./000.png", ""}, {"000.cls", "3"}}, "000.png=3"},
      // There the members of a sample must stand side by side, and these are four samples, two of
      // them without a picture; here a label belongs to its picture wherever it stands.
      {{{"0.png", ""}, {"1.png", ""}, {"0.cls", "3"}, {"1.cls", "4"}}, "0.png=3 1.png=4"},
      {{{"1.cls", "4"}, {"0.cls", "3"}, {"0.png", ""}, {"1.png", ""}}, "0.png=3 1.png=4"},
  };
  for (const Case& c : cases) EXPECT_EQ(items_of_shard(c.members), c.items);
}

/// There, a ValueError; here, no picture is taken for another's either.
TEST(WebDatasetRules, AKeyStandsForOnePicture) {
  EXPECT_THROW(items_of_shard({{"a.png", ""}, {"a.PNG", ""}}), Error);
  EXPECT_THROW(items_of_shard({{"d/a.png", ""}, {"./d/a.jpg", ""}}), Error);
  EXPECT_EQ(items_of_shard({{"a.png", ""}, {"a.png", ""}, {"b.png", ""}}), "b.png=null");
}

TEST(WebDatasetRules, BracesStandForNumbersAndNames) {
  const std::vector<std::string> numbered = {"000", "001", "002", "0", "1", "2", "3", "10"};
  EXPECT_EQ(shards_of_pattern(numbered, "{000..002}"), "000 001 002");
  EXPECT_EQ(shards_of_pattern(numbered, "{000..2}"), "000 001 002");  // as wide as the first
  EXPECT_EQ(shards_of_pattern(numbered, "{0..3}"), "0 1 2 3");
  EXPECT_EQ(shards_of_pattern(numbered, "{0,3,10}"), "0 10 3");  // sorted, there as written
  EXPECT_EQ(shards_of_pattern(numbered, "{0..4}"), "missing");   // there, at the first read
  EXPECT_EQ(shards_of_pattern({"a1", "a2", "b1", "b2"}, "{a,b}{1..2}"), "a1 a2 b1 b2");
  EXPECT_EQ(shards_of_pattern({"x", "xy"}, "x{,y}"), "x xy");
  EXPECT_EQ(shards_of_pattern(numbered, "{3..0}"), "0 1 2 3");
  EXPECT_EQ(shards_of_pattern(numbered, "{0..2..2}"), "0 2");
  EXPECT_EQ(shards_of_pattern(numbered, "{10..0..10}"), "0 10");
  EXPECT_EQ(shards_of_pattern(numbered, "{1..3..0}"), "1 2 3");
  EXPECT_EQ(shards_of_pattern({"-1", "0", "1"}, "{-1..1}"), "-1 0 1");
  EXPECT_EQ(shards_of_pattern({"a", "b", "c"}, "{a..c}"), "a b c");
  EXPECT_EQ(shards_of_pattern({"a", "b", "c"}, "{c..a..2}"), "a c");
  EXPECT_EQ(shards_of_pattern({"a", "b"}, "{a..bb}"), "missing");              // a list of one
  EXPECT_EQ(shards_of_pattern({"a", "b"}, "{0..99999999999999}"), "missing");  // too many
}

TEST(WebDatasetRules, ColonsJoinPatterns) {
  const test::TempDir dir;
  for (const char* name : {"b.tar", "a0.tar", "a1.tar"}) {
    TarWriter tar(dir / name);
    tar.add("0.png", "picture");
    tar.finish();
  }
  const std::string b = dir / "b.tar", a = dir / "a{0..1}.tar";
  EXPECT_EQ(expand_pattern(b + "::" + a),
            (std::vector<std::string>{b, dir / "a0.tar", dir / "a1.tar"}));
}

}  // namespace edm2
