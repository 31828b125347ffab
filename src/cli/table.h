/// Columns of text for terminals.
#pragma once

#include <string>
#include <vector>

namespace edm2::cli {

/// Columns as wide as their longest entry, two blanks apart. Entries whose header begins with '>'
/// stand to the right.
class Table {
 public:
  explicit Table(std::vector<std::string> header);
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  /// Lines with "\n", the header first.
  std::string text() const;

 private:
  std::vector<bool> to_the_right_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace edm2::cli
