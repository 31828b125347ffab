// Reading the CSV files of sweeps.
#include <charconv>
#include <limits>
#include <sstream>

#include "edm2/core/error.h"
#include "edm2/core/words.h"
#include "edm2/io/atomic_file.h"
#include "edm2/metrics/score_plot.h"

namespace edm2 {
namespace {

std::string trimmed(const std::string& text) {
  const size_t begin = text.find_first_not_of(" \t\r\"");
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(" \t\r\"") - begin + 1);
}

std::vector<std::string> fields_of(const std::string& line) {
  std::vector<std::string> fields;
  for (const std::string& field : split(line, ',')) fields.push_back(trimmed(field));
  return fields;
}

double to_number(const std::string& text) {
  if (text.empty()) return std::numeric_limits<double>::quiet_NaN();
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    throw Error("'" + text.substr(0, 40) + "' is no number");
  return value;
}

void read_row(const std::string& line, ScoreTable& table) {
  const auto fields = fields_of(line);
  if (fields.size() != table.columns.size())
    throw Error("there are " + std::to_string(fields.size()) + " fields under " +
                std::to_string(table.columns.size()) + " names");
  std::vector<double> row;
  for (const std::string& field : fields) row.push_back(to_number(field));
  table.rows.push_back(std::move(row));
}

}  // namespace

std::optional<size_t> ScoreTable::find(const std::string& column) const {
  for (size_t i = 0; i < columns.size(); ++i)
    if (columns[i] == column) return i;
  return std::nullopt;
}

ScoreTable load_score_table(const std::filesystem::path& path) {
  std::string text = read_text_file(path);
  constexpr const char* byte_order_mark = "\xef\xbb\xbf";
  if (text.starts_with(byte_order_mark)) text.erase(0, 3);
  ScoreTable table;
  std::istringstream lines(text);
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    if (trimmed(line).empty()) continue;
    try {
      if (table.columns.empty())
        table.columns = fields_of(line);
      else
        read_row(line, table);
    } catch (const Error& error) {
      throw Error(path.string() + ", line " + std::to_string(number) + ": " + error.what());
    }
  }
  if (table.rows.empty())
    throw Error("'" + path.string() + "' is no table of scores: it has no lines of numbers");
  // Sweeps call their files alike; their folders tell them apart.
  const std::filesystem::path folder = std::filesystem::absolute(path).parent_path().filename();
  table.name = path.stem() == "sweep" && !folder.empty() ? folder.string() : path.stem().string();
  return table;
}

}  // namespace edm2
