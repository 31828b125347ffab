/// Lists of labels in files beside a dataset: tables, lines of JSON objects, dataset.json.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/label_file.h"
#include "data/table.h"

namespace edm2 {

/// Which columns of a table hold the labels, if `name` holds the names (nothing: there are none).
/// One by its headline, or all others that do not just count the rows. Throws Error if there is
/// none, or none that is certain.
std::vector<size_t> label_columns(const Table& table, const LabelColumns& columns,
                                  std::optional<size_t> name);

/// The label in a row, not settled: a text, a list of texts if there are several columns, or null
/// if the cell is empty. Throws Error if the row is too short.
Label label_in_row(const Table& table, size_t row, std::span<const size_t> columns);

}  // namespace edm2
