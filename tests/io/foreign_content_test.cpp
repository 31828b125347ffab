#include "io/foreign_content.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "support/paths.h"

namespace edm2 {
namespace {

using namespace std::string_literals;
using testing::HasSubstr;

std::string describe(const std::string& text) {
  return describe_content(std::as_bytes(std::span(text.data(), text.size())));
}

TEST(ForeignContent, IsNamedByItsBeginning) {
  const std::pair<std::string, std::string> cases[] = {
      {"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"},
      {"<!DOCTYPE html><html>", "web page"},
      {"\n  <HTML><head>", "web page"},
      {"\xef\xbb\xbf<!doctype HTML>", "web page"},
      {"<!-- saved --><html>", "web page"},
      {"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code>", "error message of a file server"},
      {"<?xml version=\"1.0\"?><svg/>", "XML"},
      {"\x1f\x8b\x08"s, "gzip"},
      {"\x28\xb5\x2f\xfd"s, "Zstandard"},
      {"PK\x03\x04"s, "zip archive"},
      {"\x93NUMPY\x01"s, "numpy array"},
      {"\0\x05\x16\x07\0"s, "AppleDouble"},
      {std::string(100, '\0'), "zero bytes"},
  };
  for (const auto& [text, words] : cases) EXPECT_THAT(describe(text), HasSubstr(words)) << text;
  for (const std::string& unknown : {""s, "x"s, "\x80\x04\x95"s, "{\"a\": 1}"s,
                                     std::string(8, '\0'), "version 1"s, "<3 pictures"s})
    EXPECT_EQ(describe(unknown), "") << unknown;
}

TEST(ForeignContent, OfFiles) {
  const test::TempDir folder;
  std::ofstream(folder / "empty");
  std::ofstream(folder / "page") << "<html>" << std::string(5000, 'x');
  EXPECT_EQ(describe_file(folder / "empty"), "empty");
  EXPECT_THAT(describe_file(folder / "page"), HasSubstr("web page"));
  EXPECT_EQ(describe_file(folder / "missing"), "");
  EXPECT_EQ(in_brackets("empty"), " (it is empty)");
  EXPECT_EQ(in_brackets(""), "");
}

}  // namespace
}  // namespace edm2
