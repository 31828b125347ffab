#include "data/table.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "edm2/core/error.h"

namespace edm2 {
namespace {

/// "line:cell|cell" for each row.
std::string cells_of(const std::string& text) {
  std::string result;
  try {
    const Table table(text, "'t.csv'");
    for (size_t i = 0; i < table.rows(); ++i) {
      result += (result.empty() ? "" : " / ") + std::to_string(table.line(i)) + ":";
      bool first = true;
      for (const auto cell : table.row(i)) {
        result += (first ? "" : "|") + std::string(cell);
        first = false;
      }
    }
  } catch (const Error& error) {
    return error.what();
  }
  return result;
}

std::string utf16(const std::string& ascii, bool big_endian) {
  std::string text = big_endian ? "\xfe\xff" : "\xff\xfe";
  for (const char c : ascii) {
    if (big_endian) text += '\0';
    text += c;
    if (!big_endian) text += '\0';
  }
  return text;
}

}  // namespace

TEST(Table, WhatProgramsAndPeopleWrite) {
  using namespace std::string_literals;
  const std::pair<std::string, std::string> cases[] = {
      {"a,1\nb,2\n", "1:a|1 / 2:b|2"},
      {"a,1\r\nb,2", "1:a|1 / 2:b|2"},
      {"a,1\rb,2\r", "1:a|1 / 2:b|2"},
      {"\xef\xbb\xbf"
       "a,1\n",
       "1:a|1"},
      {utf16("a;1\r\nb;2\r\n", false), "1:a|1 / 2:b|2"},
      {utf16("a\t1\nb\t2\n", true), "1:a|1 / 2:b|2"},
      {"a;1\nb;2\n", "1:a|1 / 2:b|2"},
      {"a,x;1\nb;2\n", "1:a,x|1 / 2:b|2"},
      {"a\t1,5\nb\t2,5\n", "1:a|1,5 / 2:b|2,5"},
      {"a|1\nb|2\n", "1:a|1 / 2:b|2"},
      {"a 1\nb  2 \n", "1:a|1 / 2:b|2"},
      {"sep=;\na;1,2\nb;2,3\n", "2:a|1,2 / 3:b|2,3"},
      {" a , 1 \n\tb\t,\t2\n", "1:a|1 / 2:b|2"},
      {"\"a,b\",\"1\"\"2\"\n", "1:a,b|1\"2"},
      {"\"a\nb\",1\nc,2\n", "1:a\nb|1 / 3:c|2"},
      {"a\"b,1\n", "1:a\"b|1"},
      {"\n\na,1\n\n\nb,2\n\n", "3:a|1 / 6:b|2"},
      {"a,1,\nb,2,\n", "1:a|1 / 2:b|2"},
      {"a,1,,,\nb,2\n", "1:a|1 / 2:b|2"},
      {"a,\nb,2\n", "1:a| / 2:b|2"},
      {"2\n0\n1", "1:2 / 2:0 / 3:1"},
      {"1,2\n3;4\n", "1:1|2 / 2:3|4"},
      {"", ""},
      {"\n\n", ""},
      {"PAR1.png,1\n", "1:PAR1.png|1"},
      {"a,\"1\nb,2\n", "'t.csv' is no valid CSV file: a quote is not closed (it opens in line 1)"},
      {"a,1\nb\0,2\n"s, "'t.csv' is no table: line 2 has a zero byte"},
      {"a,1\nb,\"", "'t.csv' is no valid CSV file: a quote is not closed (it opens in line 2)"},
      {"a;1\nb, \"c;2\n", "1:a|1 / 2:b, \"c|2"},
  };
  for (const auto& [text, expected] : cases) EXPECT_EQ(cells_of(text), expected) << text;
}

TEST(Table, NumbersWithCommas) {
  const Table german("a;0,5;1\nb;12,25;2\n", "'t.csv'"), english("a,0.5\nb,+2e3\n", "'t.csv'");
  EXPECT_EQ(german.number("0,5"), 0.5);
  EXPECT_EQ(german.number("1"), 1);
  EXPECT_EQ(german.value("12,25"), "12.25");
  EXPECT_EQ(german.number("a"), std::nullopt);
  EXPECT_EQ(english.number("+2e3"), 2000);
  EXPECT_EQ(english.number("0,5"), std::nullopt);
  EXPECT_EQ(english.number("inf"), std::nullopt);
  EXPECT_EQ(english.number(""), std::nullopt);
  EXPECT_NE(cells_of("a;1,000\nb;2,000\n").find("one of thousands"), std::string::npos);
  EXPECT_EQ(cells_of("a;0,125\nb;0,250\n"), "1:a|0,125 / 2:b|0,250");
  EXPECT_NE(cells_of("a;0,5\nb;0.5\n").find("with decimal points"), std::string::npos);
}

TEST(Table, ColumnsByTheirNames) {
  const auto columns = [](const std::string& text) {
    const Table table(text, "'t.csv'");
    const LabelColumns found = columns_by_headline(table);
    std::string result = found.headline ? "headline" : "none";
    if (found.name) result += " name " + std::to_string(*found.name);
    for (const size_t label : found.labels) result += " label " + std::to_string(label);
    return result;
  };
  EXPECT_EQ(columns("Filename,CLASS\na,1\n"), "headline name 0 label 1");
  EXPECT_EQ(columns("\"\",label,file_name\n0,1,a\n"), "headline name 2 label 1");
  EXPECT_EQ(columns("image,x,y0\na,1,2\n"), "headline name 0");
  EXPECT_EQ(columns("label\n2\n"), "headline label 0");
  EXPECT_EQ(columns("a.png,label\nb.png,1\n"), "headline label 1");
  EXPECT_EQ(columns("foo,bar\na,1\n"), "none");
  EXPECT_EQ(columns("image,1\nb,2\n"), "none");
  const Table counted("0,a\n1,b\n2,c\n", "'t.csv'");
  EXPECT_TRUE(counts_rows(counted, 0, false));
  EXPECT_FALSE(counts_rows(counted, 1, false));
}

// Any text is a table or an error.
RC_GTEST_PROP(TableProperty, AnyBytesEnd, ()) {
  const auto characters = *rc::gen::container<std::string>(rc::gen::element(
      'a', '1', ',', ';', '\t', '"', '\n', '\r', ' ', '|', '.', '-', '\0', '\xff', '\xfe'));
  try {
    const Table table(characters, "'t.csv'");
    for (size_t i = 0; i < table.rows(); ++i) {
      RC_ASSERT(!table.row(i).empty());
      for (const auto cell : table.row(i)) RC_ASSERT(cell.size() <= 4 * characters.size());
    }
    columns_by_headline(table);
    counts_rows(table, 0, false);
  } catch (const Error&) {
  }
}

// What is written with quotes comes back.
RC_GTEST_PROP(TableProperty, QuotedCellsComeBack, ()) {
  const auto text = rc::gen::container<std::string>(
      rc::gen::element('a', 'b', ',', ';', '\t', '"', '\n', ' ', 'x', 'y'));
  const auto rows = *rc::gen::container<std::vector<std::string>>(5, text);
  std::string csv;
  for (const std::string& cell : rows) {
    csv += "\"x";
    for (const char c : cell) csv += c == '"' ? "\"\"" : std::string(1, c);
    csv += "x\",\"7\"\n";
  }
  const Table table("sep=,\n" + csv, "'t.csv'");
  RC_ASSERT(table.rows() == rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    RC_ASSERT(std::string(table.row(i)[0]) == "x" + rows[i] + "x");
    RC_ASSERT(table.row(i)[1] == "7");
  }
}

}  // namespace edm2
