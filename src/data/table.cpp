#include "data/table.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>

#include "edm2/core/error.h"
#include "io/code_pages.h"
#include "io/foreign_content.h"
#include "io/unicode_text.h"

namespace edm2 {
namespace {

constexpr size_t most_cells = size_t{1} << 26;
constexpr std::string_view separators = "\t;,|";  // of equals the first one counts
constexpr char by_line = '\1';                    // each line has a separator of its own

struct Cells {
  std::vector<std::string_view> cells;
  std::vector<size_t> begins, lines;
};

std::string_view without_blanks(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

bool is_line_end(char c) { return c == '\n' || c == '\r'; }

/// Cuts a text into cells, which point into it; quoted ones are unquoted in place.
class Splitter {
 public:
  Splitter(std::string& text, char separator, const std::string& name)
      : text_(text), wanted_(separator), name_(name) {}

  Cells run() {
    size_t line = 1;
    for (size_t i = 0; i < text_.size();) {
      cells_.begins.push_back(cells_.cells.size());
      cells_.lines.push_back(line);
      separator_ = wanted_ == by_line ? separator_of_line(i) : wanted_;
      while (!take_cell(i, line)) {
      }
      const size_t first = cells_.begins.back();
      if (cells_.cells.size() == first + 1 && cells_.cells[first].empty()) {  // an empty line
        cells_.cells.pop_back();
        cells_.begins.pop_back();
        cells_.lines.pop_back();
      }
      if (i < text_.size() && text_[i] == '\r' && i + 1 < text_.size() && text_[i + 1] == '\n') ++i;
      ++i;
      ++line;
    }
    cells_.begins.push_back(cells_.cells.size());
    return std::move(cells_);
  }

 private:
  char separator_of_line(size_t begin) const {
    const size_t end = std::min(text_.find_first_of("\r\n", begin), text_.size());
    const std::string_view line(text_.data() + begin, end - begin);
    for (const char separator : separators)
      if (line.find(separator) != std::string_view::npos) return separator;
    return '\0';
  }
  bool separates(char c) const { return c == separator_ || (separator_ == ' ' && c == '\t'); }
  bool is_blank(char c) const { return c == ' ' || (c == '\t' && !separates(c)); }

  /// From `i` up to the separator, which is passed, or the end of the line (true).
  bool take_cell(size_t& i, size_t& line) {
    if (separator_ == ' ')
      while (i < text_.size() && separates(text_[i])) ++i;  // several are one
    size_t begin = i;
    while (begin < text_.size() && is_blank(text_[begin])) ++begin;
    std::string_view cell;
    if (begin < text_.size() && text_[begin] == '"') {
      i = begin;
      cell = take_quoted(i, line);
    } else {
      while (i < text_.size() && !separates(text_[i]) && !is_line_end(text_[i])) ++i;
      cell = without_blanks(std::string_view(text_).substr(begin, std::max(i, begin) - begin));
    }
    if (cells_.cells.size() == most_cells)
      throw Error(name_ + " has more than " + std::to_string(most_cells) + " cells");
    const bool end = i >= text_.size() || is_line_end(text_[i]);
    // Blanks at the end of a line begin no cell.
    if (!(separator_ == ' ' && cell.empty() && end && cells_.cells.size() > cells_.begins.back()))
      cells_.cells.push_back(cell);
    if (!end) ++i;
    return end;
  }

  std::string_view take_quoted(size_t& i, size_t& line) {
    const size_t begin = i, first_line = line;
    size_t out = begin;
    bool quoted = true;
    for (++i; i < text_.size(); ++i) {
      const char c = text_[i];
      if (!quoted && (separates(c) || is_line_end(c))) break;
      if (c == '"') {
        if (quoted && i + 1 < text_.size() && text_[i + 1] == '"')
          ++i;
        else {
          quoted = !quoted;
          continue;
        }
      }
      line += c == '\n' ? 1 : 0;
      text_[out++] = c;
    }
    if (quoted)
      throw Error(name_ + " is no valid CSV file: a quote is not closed (it opens in line " +
                  std::to_string(first_line) + ")");
    return without_blanks(std::string_view(text_).substr(begin, out - begin));
  }

  std::string& text_;
  char wanted_, separator_ = '\0';
  const std::string& name_;
  Cells cells_;
};

struct Division {
  size_t lines = 0;   // how many have the commonest number of cells
  bool all = false;   // have it
  bool torn = false;  // a quote is not closed, as in a sample that ends within
};

/// How alike a separator divides the lines of a sample into two cells or more.
Division division_by(char separator, const std::string& sample, const std::string& name) {
  std::string scratch = sample;
  Cells cells;
  try {
    cells = Splitter(scratch, separator, name).run();
  } catch (const Error&) {
    return {.torn = true};
  }
  std::map<size_t, size_t> counts;
  const size_t rows = cells.lines.size();
  for (size_t row = 0; row < rows; ++row) ++counts[cells.begins[row + 1] - cells.begins[row]];
  Division division;
  for (const auto& [count, lines] : counts)
    if (count > 1 && lines > division.lines) division = {lines, lines == rows};
  return division;
}

char find_separator(const std::string& text, const std::string& name) {
  constexpr size_t sample_bytes = size_t{1} << 16;
  std::string sample = text.substr(0, sample_bytes);
  if (sample.size() < text.size()) {
    const size_t end = sample.find_last_of("\r\n");
    if (end != std::string::npos) sample.resize(end);
  }
  char best = '\0', torn = '\0';
  Division most;
  for (const char separator : separators) {
    const Division division = division_by(separator, sample, name);
    if (division.torn && torn == '\0') torn = separator;
    if (division.lines <= most.lines) continue;
    most = division;
    best = separator;
  }
  if (!most.all && most.lines > 0 && division_by(by_line, sample, name).all) return by_line;
  if (most.lines == 0 && torn != '\0') return torn;
  if (most.lines == 0 && division_by(' ', sample, name).all) return ' ';
  return best;
}

/// "sep=;" in the first line, by which Excel is told; the line goes.
char take_separator_line(std::string& text) {
  const std::string_view begin = std::string_view(text).substr(0, std::min<size_t>(text.size(), 7));
  const size_t quote = begin.starts_with('"') ? 1 : 0;
  if (begin.substr(quote).size() < 5 || !begin.substr(quote).starts_with("sep=")) return '\0';
  const char separator = begin[quote + 4];
  const size_t end = std::min(text.find_first_of("\r\n"), text.size());
  if (end != quote + 5 + quote || separators.find(separator) == std::string_view::npos) return '\0';
  text.erase(0, end);
  return separator;
}

/// "0,5": a number, were its comma a point.
bool has_decimal_comma(std::string_view cell) {
  const size_t comma = cell.find(',');
  if (comma == std::string_view::npos || cell.find('.') != std::string_view::npos) return false;
  std::string text(cell.substr(0, 64));
  text[std::min(comma, text.size() - 1)] = '.';
  return cell.size() <= 64 && finite_number(text).has_value();
}

constexpr std::string_view name_words[] = {
    "name",      "names",     "file",     "files",      "filename",   "filenames",
    "file_name", "file name", "filepath", "file_path",  "path",       "paths",
    "image",     "images",    "image_id", "image_name", "image_path", "image_file",
    "imagename", "img",       "img_name", "img_path",   "picture",    "pictures",
    "photo",     "id",        "key",      "fname",      "imageid",    "image id"};
constexpr std::string_view label_words[] = {
    "label",       "labels",      "class",     "classes",      "target", "targets",
    "category",    "class_id",    "classid",   "class_name",   "y",      "classname",
    "class_label", "class_index", "label_id",  "category_id",  "cls",    "class id",
    "class name",  "label_name",  "class_idx", "category_name"};

template <size_t N>
bool is_one_of(std::string_view word, const std::string_view (&words)[N]) {
  const std::string lower = caseless_text(std::string(word));
  return std::find(std::begin(words), std::end(words), lower) != std::end(words);
}

}  // namespace

std::optional<double> finite_number(std::string_view text) {
  if (text.starts_with('+') && text.size() > 1 && text[1] != '-') text.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value))
    return std::nullopt;
  return value;
}

bool is_name_word(std::string_view word) { return is_one_of(word, name_words); }
bool is_label_word(std::string_view word) { return is_one_of(word, label_words); }

Table::Table(std::string bytes, const std::string& name) : name_(name) {
  text_ = utf8_text(bytes);
  const auto begin =
      std::as_bytes(std::span(bytes.data(), std::min(bytes.size(), content_beginning)));
  const std::string content = in_brackets(describe_content(begin));
  const std::string first_line = text_.substr(0, text_.find_first_of("\r\n"));
  if (!content.empty() && first_line.find_first_of(separators) == std::string::npos)
    throw Error(name_ + " is no table" + content);
  if (const size_t zero = text_.find('\0'); zero != std::string::npos) {
    const auto line =
        std::count(text_.begin(), text_.begin() + static_cast<std::ptrdiff_t>(zero), '\n') + 1;
    throw Error(name_ + " is no table: line " + std::to_string(line) + " has a zero byte" +
                content);
  }
  bytes.clear();
  const char told = take_separator_line(text_);
  const char separator = told != '\0' ? told : find_separator(text_, name_);
  Cells cells = Splitter(text_, separator, name_).run();
  cells_ = std::move(cells.cells);
  begins_ = std::move(cells.begins);
  lines_ = std::move(cells.lines);
  separator_ = separator == by_line ? '\0' : separator;
  drop_empty_columns();
  find_decimal_commas();
}

std::span<const std::string_view> Table::row(size_t row) const {
  return std::span(cells_).subspan(begins_[row], begins_[row + 1] - begins_[row]);
}

std::string_view Table::cell(size_t row, size_t column) const {
  const auto cells = this->row(row);
  return column < cells.size() ? cells[column] : std::string_view();
}

void Table::drop_empty_columns() {
  size_t widest = 0;  // without what is empty at its end
  size_t columns = 0;
  for (size_t i = 0; i < rows(); ++i) {
    const auto cells = row(i);
    size_t width = cells.size();
    columns = std::max(columns, width);
    while (width > 0 && cells[width - 1].empty()) --width;
    widest = std::max(widest, width);
  }
  if (widest == columns) return;
  std::vector<std::string_view> kept;
  std::vector<size_t> begins, lines;
  for (size_t i = 0; i < rows(); ++i) {
    const auto cells = row(i).first(std::min(row(i).size(), widest));
    if (cells.empty()) continue;
    begins.push_back(kept.size());
    lines.push_back(lines_[i]);
    kept.insert(kept.end(), cells.begin(), cells.end());
  }
  begins.push_back(kept.size());
  cells_ = std::move(kept);
  begins_ = std::move(begins);
  lines_ = std::move(lines);
}

void Table::find_decimal_commas() {
  if (separator_ == ',' || separator_ == '\0') return;
  const auto comma = std::find_if(cells_.begin(), cells_.end(), has_decimal_comma);
  if (comma == cells_.end()) return;
  bool thousands = true;
  for (const std::string_view cell : cells_) {
    if (cell.find('.') != std::string_view::npos && finite_number(cell))
      throw Error(name_ + " has numbers with decimal commas and with decimal points, such as '" +
                  std::string(*comma) + "' and '" + std::string(cell) + "'; write all alike");
    if (has_decimal_comma(cell))
      thousands = thousands && cell.size() - cell.find(',') == 4 &&
                  !cell.substr(cell.find_first_of("0123456789")).starts_with('0');
  }
  if (thousands)
    throw Error(name_ + " has numbers such as '" + std::string(*comma) +
                "', whose comma may be a decimal one or one of thousands; write a decimal point, "
                "or no comma");
  decimal_commas_ = true;
}

std::optional<double> Table::number(std::string_view cell) const {
  return finite_number(value(cell));
}

std::string Table::value(std::string_view cell) const {
  std::string text(cell);
  if (decimal_commas_ && has_decimal_comma(cell)) std::replace(text.begin(), text.end(), ',', '.');
  return text;
}

LabelColumns columns_by_headline(const Table& table) {
  LabelColumns columns;
  if (table.rows() == 0) return columns;
  const auto first = table.row(0);
  for (size_t i = 0; i < first.size(); ++i) {
    if (table.number(first[i])) return {};  // no headline
    if (is_label_word(first[i]))
      columns.labels.push_back(i);
    else if (is_name_word(first[i]) && !columns.name)
      columns.name = i;
  }
  columns.headline = columns.name || !columns.labels.empty();
  return columns;
}

bool counts_rows(const Table& table, size_t column, bool headline) {
  const size_t first = headline ? 1 : 0;
  if (table.rows() < first + 2) return false;
  std::optional<double> before;
  for (size_t i = first; i < table.rows(); ++i) {
    const auto number = table.number(table.cell(i, column));
    if (!number || (before ? *number != *before + 1 : *number != 0 && *number != 1)) return false;
    before = number;
  }
  return true;
}

}  // namespace edm2
