#include "cli/table.h"

#include <algorithm>

namespace edm2::cli {

Table::Table(std::vector<std::string> header) {
  for (std::string& name : header) {
    to_the_right_.push_back(name.starts_with('>'));
    if (to_the_right_.back()) name.erase(0, 1);
  }
  rows_.push_back(std::move(header));
}

std::string Table::text() const {
  std::vector<size_t> widths(to_the_right_.size());
  for (const auto& row : rows_)
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  std::string text;
  for (const auto& row : rows_) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string blanks(widths[i] - row[i].size(), ' ');
      line += (i > 0 ? "  " : "") + (to_the_right_[i] ? blanks + row[i] : row[i] + blanks);
    }
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return text;
}

}  // namespace edm2::cli
