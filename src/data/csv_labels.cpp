// Labels from a table: the name of a picture, and its class or vector.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>

#include "data/picture_source.h"
#include "edm2/core/error.h"
#include "edm2/io/atomic_file.h"

namespace edm2 {
namespace {

using Row = std::vector<std::string>;

/// Comma-separated values with quotes, as RFC 4180 has them; empty lines are left out.
std::vector<Row> parse_csv(std::string_view text, const std::string& path) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  std::vector<Row> rows;
  Row row;
  std::string cell;
  bool quoted = false;
  const auto end_row = [&] {
    row.push_back(std::move(cell));
    cell.clear();
    if (row.size() > 1 || !row[0].empty()) rows.push_back(std::move(row));
    row.clear();
  };
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted && c == '"' && i + 1 < text.size() && text[i + 1] == '"') {
      cell += text[++i];
    } else if (c == '"' && (quoted || cell.empty())) {
      quoted = !quoted;
    } else if (quoted || (c != ',' && c != '\n' && c != '\r')) {
      cell += c;
    } else if (c == ',') {
      row.push_back(std::move(cell));
      cell.clear();
    } else if (c == '\n') {
      end_row();
    }
  }
  if (quoted) throw Error("'" + path + "' is no valid CSV file: a quote is not closed");
  if (!cell.empty() || !row.empty()) end_row();
  return rows;
}

std::string without_extension(const std::string& name) {
  const size_t dot = name.rfind('.'), slash = name.rfind('/');
  const size_t start = slash == std::string::npos ? 0 : slash + 1;
  return dot == std::string::npos || dot <= start ? name : name.substr(0, dot);
}

std::string last_part(const std::string& name) { return name.substr(name.rfind('/') + 1); }

/// Pictures by what a table may call them: the path, or the file's name if only one has it, each
/// with or without extension.
class NameIndex {
 public:
  explicit NameIndex(const std::vector<PictureSource::Item>& items) {
    for (size_t i = 0; i < items.size(); ++i) {
      const std::string& name = items[i].name;
      for (const std::string& alias : std::set<std::string>{
               name, without_extension(name), last_part(name), without_extension(last_part(name))})
        if (const auto [place, added] = index_.emplace(alias, i); !added) place->second = none;
    }
    for (size_t i = 0; i < items.size(); ++i) index_[items[i].name] = i;
  }
  std::optional<size_t> find(std::string name) const {
    std::replace(name.begin(), name.end(), '\\', '/');
    if (name.starts_with("./")) name.erase(0, 2);
    const auto found = index_.find(name);
    if (found == index_.end() || found->second == none) return std::nullopt;
    return found->second;
  }

 private:
  static constexpr size_t none = SIZE_MAX;
  std::unordered_map<std::string, size_t> index_;
};

template <class Number>
std::optional<Number> parse_number(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<Label> vector_label(const Row& row) {
  Label label = Label::array();
  for (size_t i = 1; i < row.size(); ++i) {
    const auto value = parse_number<double>(row[i]);
    if (!value || !std::isfinite(*value)) return std::nullopt;
    label.push_back(*value);
  }
  return label;
}

}  // namespace

void label_by_csv(std::vector<PictureSource::Item>& items, const std::string& path) {
  constexpr size_t most_bytes = size_t{1} << 30;
  const auto rows = parse_csv(read_text_file(path, most_bytes), path);
  const NameIndex index(items);
  std::unordered_map<size_t, const Row*> row_of;
  for (const Row& row : rows)
    if (const auto item = index.find(row[0])) row_of[*item] = &row;  // others: a headline, say
  bool all_classes = true, all_vectors = true;
  std::map<std::string, int64_t> class_names;
  for (size_t i = 0; i < items.size(); ++i) {
    const auto row = row_of.find(i);
    if (row == row_of.end() || row->second->size() < 2)
      throw Error("'" + path + "' has no label for '" + items[i].name +
                  "'; each picture needs a line with its name and its label");
    const Row& cells = *row->second;
    all_classes = all_classes && cells.size() == 2 && parse_number<uint32_t>(cells[1]).has_value();
    all_vectors = all_vectors && vector_label(cells).has_value();
    class_names[cells[1]] = 0;
    if (!all_classes && !all_vectors && cells.size() > 2)
      throw Error("'" + path + "' gives '" + items[i].name +
                  "' several values that are not all numbers");
  }
  int64_t next = 0;
  for (auto& [name, rank] : class_names) rank = next++;
  for (const auto& [i, row] : row_of) {
    if (all_classes)
      items[i].label = *parse_number<uint32_t>((*row)[1]);
    else if (all_vectors)
      items[i].label = *vector_label(*row);
    else
      items[i].label = class_names[(*row)[1]];
  }
}

}  // namespace edm2
