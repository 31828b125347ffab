/// Tables as text: what spreadsheets, pandas and people write.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace edm2 {

/// Rows of cells. The text may be UTF-8, UTF-16 or UTF-32, with lines that end as on any system.
/// Cells are separated by ',', ';', tab or '|', whichever divides all lines alike (blanks, if none
/// does), may be quoted as RFC 4180 has it, and lose blanks around them if they are not. Empty
/// lines are left out, and columns at the end that are empty everywhere.
class Table {
 public:
  /// `name` begins messages: "'labels.csv'". Throws Error: not text, a quote that is not closed,
  /// numbers whose commas may be decimal or of thousands, more cells than memory should hold.
  Table(std::string bytes, const std::string& name);
  Table(const Table&) = delete;  // cells point into the text
  Table& operator=(const Table&) = delete;

  size_t rows() const { return begins_.size() - 1; }
  std::span<const std::string_view> row(size_t row) const;
  /// "" where the row is shorter.
  std::string_view cell(size_t row, size_t column) const;
  /// Of the file, from 1, where the row begins.
  size_t line(size_t row) const { return lines_[row]; }
  /// ',', ';', '\t', '|' or ' '; '\0' if lines have one cell or differ in their separators.
  char separator() const { return separator_; }
  const std::string& name() const { return name_; }

  /// The number in a cell; nothing for other text, infinity and the like. Where the table's numbers
  /// have decimal commas (never where ',' separates), "0,5" is one.
  std::optional<double> number(std::string_view cell) const;
  /// The cell, with a decimal point in place of such a comma.
  std::string value(std::string_view cell) const;

 private:
  void drop_empty_columns();
  void find_decimal_commas();

  std::string name_, text_;
  std::vector<std::string_view> cells_;  // into text_
  std::vector<size_t> begins_, lines_;   // of rows
  char separator_ = '\0';
  bool decimal_commas_ = false;
};

/// The number that the whole text is, "+1" and "1e3" among them; nothing for other text and for
/// what is not finite.
std::optional<double> finite_number(std::string_view text);

/// Words by which columns, or the keys of JSON objects, are known, in capitals or not.
bool is_name_word(std::string_view word);
bool is_label_word(std::string_view word);

/// What the columns of a table of labels are.
struct LabelColumns {
  bool headline = false;       ///< the first row names columns
  std::optional<size_t> name;  ///< named so in the headline: file, path, image, ...
  std::vector<size_t> labels;  ///< named so in the headline: label, class, target, ...
};
LabelColumns columns_by_headline(const Table& table);
/// The column counts the rows from 0 or 1 (below the headline), as pandas writes them in front.
bool counts_rows(const Table& table, size_t column, bool headline);

}  // namespace edm2
