// The description as text.
#include <algorithm>
#include <cmath>

#include "analysis/info_parts.h"
#include "edm2/core/format_number.h"
#include "edm2/core/printable.h"

namespace edm2 {
namespace {

std::string with_separators(int64_t number) {
  std::string digits = std::to_string(number < 0 ? -number : number);
  for (auto at = static_cast<int64_t>(digits.size()) - 3; at > 0; at -= 3)
    digits.insert(static_cast<size_t>(at), ",");
  return (number < 0 ? "-" : "") + digits;
}

std::string size_text(uint64_t bytes) {
  const std::string exact = with_separators(static_cast<int64_t>(bytes));
  if (bytes < 1024) return exact;
  double value = static_cast<double>(bytes);
  const char* unit = "";
  for (const char* larger : {"KiB", "MiB", "GiB", "TiB"}) {
    if (value < 1024) break;
    value /= 1024;
    unit = larger;
  }
  return exact + format_number(" (%.1f ", value) + unit + ")";
}

std::string value_text(const std::string& key, const InfoJson& value) {
  if (value.is_null()) return "none";
  if (value.is_string()) return printable(value.get<std::string>());
  if (value.is_number_unsigned() && key == "bytes") return size_text(value.get<uint64_t>());
  if (value.is_number_integer()) return with_separators(value.get<int64_t>());
  if (value.is_number_float()) {
    const auto number = value.get<double>();
    return format_number(std::abs(number) < 1e5 ? "%.6g" : "%.12g", number);
  }
  if (value.is_array()) {
    std::string text;
    for (const InfoJson& element : value)
      text += (text.empty() ? "" : ", ") + value_text("", element);
    return "[" + text + "]";
  }
  return value.dump();
}

std::string table_text(const std::string& indent, const InfoJson& rows) {
  std::vector<std::vector<std::string>> cells(1);
  for (const auto& [key, value] : rows.front().items()) cells[0].push_back(key);
  for (const InfoJson& row : rows) {
    cells.emplace_back();
    for (const std::string& key : cells[0])
      cells.back().push_back(row.contains(key) ? value_text(key, row.at(key)) : "");
  }
  std::vector<size_t> widths(cells[0].size(), 0);
  for (const auto& row : cells)
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  std::string text;
  for (const auto& row : cells) {
    std::string line = indent;
    for (size_t i = 0; i < row.size(); ++i)
      line += row[i] + std::string(widths[i] - row[i].size() + 2, ' ');
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + '\n';
  }
  return text;
}

bool is_table(const InfoJson& value) {
  return value.is_array() && !value.empty() &&
         std::all_of(value.begin(), value.end(), [](const auto& row) { return row.is_object(); });
}

// Every element on a line of its own: sentences.
bool is_text_list(const std::string& key, const InfoJson& value) {
  return value.is_array() && key == "notes";
}

/// Where the original's code for a setting stands, beside what the setting is: nothing to read.
bool is_python_name(const std::string& key, const InfoJson& value, const InfoJson& object) {
  return (key == "class_name" || key == "func_name") && object.size() > 1 && value.is_string() &&
         value.get_ref<const std::string&>().starts_with("training.");
}

void append(std::string& text, const std::string& indent, const InfoJson& object) {
  size_t width = 0;
  for (const auto& [key, value] : object.items())
    if (!value.is_object() && !is_table(value)) width = std::max(width, printable(key).size());
  for (const auto& [raw_key, value] : object.items()) {
    const std::string key = printable(raw_key);
    if (is_python_name(key, value, object)) continue;
    if (value.is_object() && !value.empty()) {
      text += indent + key + '\n';
      append(text, indent + "  ", value);
    } else if (is_table(value)) {
      text += indent + key + '\n' + table_text(indent + "  ", value);
    } else if (is_text_list(key, value)) {
      text += indent + key + '\n';
      for (const InfoJson& line : value) text += indent + "  " + value_text("", line) + '\n';
    } else {
      const std::string shown = value.is_object() ? "none" : value_text(key, value);
      text += indent + key + std::string(width - key.size() + 2, ' ') + shown + '\n';
    }
  }
}

}  // namespace

std::string file_info_text(const InfoJson& info) {
  std::string text;
  append(text, "", info);
  return text;
}

}  // namespace edm2
