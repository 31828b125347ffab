#include "data/label_table.h"

#include <algorithm>
#include <unordered_map>

#include "data/label_rules.h"
#include "data/name_match.h"
#include "data/name_text.h"
#include "data/picture_source.h"
#include "edm2/core/error.h"
#include "edm2/io/atomic_file.h"
#include "edm2/io/json.h"
#include "io/unicode_text.h"

namespace edm2 {
namespace {

/// Names and labels from a file, with the lines where they stand.
struct Listing {
  std::string where;  // "'labels.csv'"
  bool table = false;
  LabelList entries;
  std::vector<size_t> lines;  // none for dataset.json

  std::string place(size_t entry) const {
    return lines.empty() ? "entry " + std::to_string(entry)
                         : "line " + std::to_string(lines[entry]);
  }
};

size_t width_of(const Table& table) {
  size_t width = 0;
  for (size_t i = 0; i < table.rows(); ++i) width = std::max(width, table.row(i).size());
  return width;
}

bool holds_numbers(const Table& table, size_t column, bool headline) {
  for (size_t row = headline ? 1 : 0; row < table.rows(); ++row)
    if (!table.number(table.cell(row, column))) return false;
  return true;
}

/// Of two columns, class numbers and their names, the one with the numbers; nothing if they do not
/// say the same.
std::optional<size_t> numbers_of(const Table& table, size_t a, size_t b) {
  if (!holds_numbers(table, a, /*headline=*/true)) std::swap(a, b);
  if (!holds_numbers(table, a, /*headline=*/true)) return std::nullopt;
  std::unordered_map<std::string_view, std::string_view> name_of, number_of;
  for (size_t row = 1; row < table.rows(); ++row) {
    const auto number = table.cell(row, a), name = table.cell(row, b);
    if (name_of.emplace(number, name).first->second != name ||
        number_of.emplace(name, number).first->second != number)
      return std::nullopt;
  }
  return a;
}

/// More cells than the headline names: a decimal comma, or a separator within a name.
void refuse_surplus_cells(const Table& table, size_t row, const LabelColumns& columns) {
  const auto cells = table.row(row);
  if (!columns.headline || cells.size() <= table.row(0).size()) return;
  const auto surplus = cells.subspan(table.row(0).size());
  if (std::all_of(surplus.begin(), surplus.end(), [](std::string_view c) { return c.empty(); }))
    return;
  throw Error("line " + std::to_string(table.line(row)) + " of " + table.name() + " has " +
              std::to_string(cells.size()) + " cells, the headline names " +
              std::to_string(table.row(0).size()) +
              " columns; put names and numbers that hold the separator into quotes");
}

Listing listing_of(const Table& table, const LabelColumns& columns, size_t name) {
  Listing listing{table.name(), true, {}, {}};
  const std::vector<size_t> labels = label_columns(table, columns, name);
  for (size_t row = columns.headline ? 1 : 0; row < table.rows(); ++row) {
    const std::string_view cell = table.cell(row, name);
    if (cell.empty()) continue;
    refuse_surplus_cells(table, row, columns);
    // A row that is too short may be of no picture, and has no label.
    const bool whole = table.row(row).size() > labels.back();
    listing.entries.push_back(
        {std::string(cell), whole ? label_in_row(table, row, labels) : Label()});
    listing.lines.push_back(table.line(row));
  }
  return listing;
}

NameMatch match_listing(const Listing& listing, std::span<const std::string_view> pictures) {
  return match_names(pictures, names_of(listing.entries), [&](size_t a, size_t b) {
    return listing.entries[a].label == listing.entries[b].label;
  });
}

/// The column by whose names most pictures are found, of equals by the very names: that of the
/// headline, the first one, or another that has not just numbers.
size_t column_of_names(const Table& table, const LabelColumns& columns,
                       std::span<const std::string_view> pictures) {
  constexpr size_t most_columns = 8;
  const size_t width = std::min(width_of(table), most_columns);
  size_t best = columns.name.value_or(0);
  std::pair<size_t, size_t> least = {SIZE_MAX, SIZE_MAX};  // missing, differing
  const auto look_at = [&](size_t column) {
    std::vector<std::string_view> names;
    for (size_t row = columns.headline ? 1 : 0; row < table.rows(); ++row)
      names.push_back(table.cell(row, column));
    const NameMatch match = match_names(pictures, names, [](size_t, size_t) { return true; });
    const std::pair found(match.missing, match.differing);
    if (found >= least) return;
    least = found;
    best = column;
  };
  look_at(best);
  if (columns.name && least.first == 0) return best;
  for (size_t column = 0; column < width && least > std::pair<size_t, size_t>(); ++column) {
    const bool is_label =
        std::find(columns.labels.begin(), columns.labels.end(), column) != columns.labels.end();
    if (!is_label && !holds_numbers(table, column, columns.headline)) look_at(column);
  }
  return best;
}

Listing read_table(const Table& table, std::span<const std::string_view> pictures) {
  if (table.rows() == 0) throw Error(table.name() + " is empty");
  if (width_of(table) < 2)
    throw Error(table.name() +
                " has one column; each picture needs a line with its name and its label, with a "
                "comma, a semicolon or a tab as separator between them");
  const LabelColumns columns = columns_by_headline(table);
  return listing_of(table, columns, column_of_names(table, columns, pictures));
}

Listing read_json_lines(const std::string& text, const std::string& where) {
  Listing listing{where, false, {}, {}};
  size_t number = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line(text.data() + begin, end - begin);
    begin = end + 1;
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string place = "line " + std::to_string(number) + " of " + where;
    auto object = parse_label_json(std::as_bytes(std::span(line)), place);
    if (!object.is_object()) throw Error(place + " is no JSON object with a name and a label");
    std::string name_key, label_key;
    for (const auto& [key, value] : object.items()) {
      if (is_name_word(key) && value.is_string() && (name_key.empty() || key == "file_name"))
        name_key = key;
      if (!is_label_word(key)) continue;
      if (!label_key.empty())
        throw Error(place + " has " + quoted_name(label_key) + " and " + quoted_name(key) +
                    ", and it is not certain which is the label");
      label_key = key;
    }
    if (name_key.empty()) throw Error(place + " names no file (\"file_name\")");
    listing.entries.push_back(
        {object[name_key].get<std::string>(), label_key.empty() ? Label() : object[label_key]});
    listing.lines.push_back(number);
  }
  return listing;
}

/// Entries that stand for no picture.
std::vector<size_t> unused_entries(const Listing& listing, const NameMatch& match) {
  std::vector<bool> used(listing.entries.size());
  for (const size_t entry : match.entry_of)
    if (entry != NameMatch::none) used[entry] = true;
  std::vector<size_t> unused;
  for (size_t i = 0; i < used.size(); ++i)
    if (!used[i]) unused.push_back(i);
  return unused;
}

void note_unused(const Listing& listing, const NameMatch& match, std::vector<std::string>& notes) {
  const std::vector<size_t> unused = unused_entries(listing, match);
  if (unused.empty()) return;
  const bool one = unused.size() == 1;
  notes.push_back(with_commas(unused.size()) + (one ? " line of " : " lines of ") + listing.where +
                  (one ? " names no picture or one again: "
                       : " name no pictures or some again, the first is ") +
                  listing.place(unused.front()) + " with " +
                  quoted_name(listing.entries[unused.front()].name));
}

[[noreturn]] void fail_missing(const Listing& listing, const NameMatch& match,
                               std::span<const std::string_view> pictures) {
  const std::vector<size_t> unused = unused_entries(listing, match);
  // The last: the first may be a headline.
  const std::string other = unused.empty() ? "" : listing.entries[unused.back()].name;
  throw Error(missing_labels(listing.where, match.missing, pictures.size(),
                             std::string(pictures[match.first_missing]), other) +
              "; each picture needs a line with its name and its label");
}

}  // namespace

std::vector<size_t> label_columns(const Table& table, const LabelColumns& columns,
                                  std::optional<size_t> name) {
  std::vector<size_t> labels = columns.labels;
  std::erase_if(labels, [&](size_t column) { return column == name; });
  if (labels.size() == 2)
    if (const auto numbers = numbers_of(table, labels[0], labels[1])) return {*numbers};
  if (labels.size() > 1)
    throw Error(table.name() + " has several columns that may be the labels, " +
                quoted_name(table.row(0)[labels[0]]) + " and " +
                quoted_name(table.row(0)[labels[1]]) + "; keep one of them");
  if (labels.size() == 1) return labels;
  for (size_t column = 0; column < width_of(table); ++column)
    if (column != name) labels.push_back(column);
  if (labels.empty()) throw Error(table.name() + " has no column for labels");
  const auto counts = [&](size_t column) {
    return name && column < *name && counts_rows(table, column, columns.headline);
  };
  std::vector<size_t> others = labels;
  std::erase_if(others, counts);
  if (others.empty())
    throw Error(table.name() + " has no column for labels: column " +
                std::to_string(labels[0] + 1) + " counts the lines");
  return others;
}

Label label_in_row(const Table& table, size_t row, std::span<const size_t> columns) {
  const auto cells = table.row(row);
  if (columns.empty() || columns.back() >= cells.size())
    throw Error("line " + std::to_string(table.line(row)) + " of " + table.name() + " has " +
                std::to_string(cells.size()) + (cells.size() == 1 ? " cell" : " cells") +
                ", other lines have more");
  if (columns.size() == 1) {
    const std::string_view cell = cells[columns[0]];
    return cell.empty() ? Label() : Label(table.value(cell));
  }
  Label label = Label::array();
  for (const size_t column : columns) label.push_back(table.value(cells[column]));
  return label;
}

void label_by_file(std::vector<PictureSource::Item>& items, const std::string& path,
                   std::vector<std::string>& notes) {
  constexpr size_t most_bytes = size_t{1} << 30;
  const std::vector<std::string_view> pictures = names_of(items);
  const std::string where = "'" + path + "'", extension = lower_extension(path);
  std::string text = read_text_file(path, most_bytes);
  Listing listing{where, false, {}, {}};
  if (extension == ".json") {
    auto list = label_list_of(parse_label_json(std::as_bytes(std::span(text)), where), where);
    if (!list) throw Error(where + " lists no labels");
    listing.entries = std::move(*list);
  } else if (extension == ".jsonl" || extension == ".ndjson") {
    listing = read_json_lines(utf8_text(text), where);
  } else {
    const Table table(std::move(text), where);
    listing = read_table(table, pictures);
  }
  const NameMatch match = match_listing(listing, pictures);
  if (match.contradiction) {
    const auto [a, b] = *match.contradiction;
    throw Error(where + " gives different labels to " + quoted_name(listing.entries[a].name) +
                " in " + listing.place(a) + " and to " + quoted_name(listing.entries[b].name) +
                " in " + listing.place(b) + "; leave one of them");
  }
  if (match.missing > 0) fail_missing(listing, match, pictures);
  note_differing_names(where, match, pictures, names_of(listing.entries), notes);
  note_unused(listing, match, notes);
  for (size_t i = 0; i < items.size(); ++i) {
    items[i].label = listing.entries[match.entry_of[i]].label;
    if (items[i].label.is_null())
      throw Error(where + " has no label for " + quoted_name(pictures[i]) + ": it is missing in " +
                  listing.place(match.entry_of[i]));
  }
  const auto name_of = [&](size_t i) {
    return quoted_name(pictures[i]) + " (" + listing.place(match.entry_of[i]) + ")";
  };
  settle_labels(items, {.where = where, .table = listing.table, .name_of = name_of}, notes);
}

}  // namespace edm2
