#include "generate/label_source.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "data/label_file.h"
#include "data/label_rules.h"
#include "data/label_table.h"
#include "data/name_text.h"
#include "edm2/core/error.h"
#include "edm2/core/platform.h"
#include "edm2/data/dataset.h"
#include "edm2/data/file_source.h"
#include "edm2/io/atomic_file.h"
#include "edm2/io/json.h"
#include "edm2/io/npz.h"
#include "edm2/io/zip.h"
#include "io/code_pages.h"
#include "io/foreign_content.h"

namespace edm2 {
namespace fs = std::filesystem;
namespace {

/// `seed` modulo `count`, never negative.
int64_t row_of(int64_t seed, int64_t count) { return (seed % count + count) % count; }

/// Labels one by one, all of one length.
class Rows {
 public:
  explicit Rows(int64_t label_dim) : label_dim_(label_dim) {}

  void add(const std::vector<float>& label) {
    if (static_cast<int64_t>(label.size()) != label_dim_)
      throw Error("label " + std::to_string(static_cast<int64_t>(values_.size()) / label_dim_) +
                  " has " + std::to_string(label.size()) + " numbers, the network takes " +
                  std::to_string(label_dim_));
    values_.insert(values_.end(), label.begin(), label.end());
  }
  void add_class(int64_t index) {
    if (index < 0 || index >= label_dim_)
      throw Error("the class " + std::to_string(index) + " is none of the network's " +
                  std::to_string(label_dim_));
    std::vector<float> label(static_cast<size_t>(label_dim_));
    label[static_cast<size_t>(index)] = 1;
    add(label);
  }
  Tensor take() const {
    if (values_.empty()) throw Error("there are no labels in it");
    return at::tensor(values_).reshape({-1, label_dim_});
  }

 private:
  int64_t label_dim_;
  std::vector<float> values_;
};

/// Settled labels one by one.
Tensor rows_from_labels(const std::vector<Label>& labels, int64_t label_dim) {
  Rows rows(label_dim);
  for (const Label& label : labels) {
    if (label.is_null()) throw Error("a label is neither a list of numbers nor a class");
    if (label.is_array())
      rows.add(label.get<std::vector<float>>());
    else
      rows.add_class(label.get<int64_t>());
  }
  return rows.take();
}

/// A plain list of numbers: the classes of the seeds, or one vector for all pictures.
struct NumberList {
  std::vector<double> values;
  bool integers = false;  // by their type

  bool is_whole() const {
    return std::all_of(values.begin(), values.end(),
                       [](double value) { return value == std::floor(value); });
  }
  bool is_one_hot() const {
    const auto count = [&](double wanted) {
      return std::count(values.begin(), values.end(), wanted);
    };
    return count(1) == 1 && count(0) == std::ssize(values) - 1;
  }
  bool are_classes(int64_t label_dim) const {
    return is_whole() && std::all_of(values.begin(), values.end(), [&](double value) {
             return value >= 0 && value < static_cast<double>(label_dim);
           });
  }
};

Tensor rows_from_list(const NumberList& list, int64_t label_dim, std::vector<std::string>& notes) {
  if (list.values.empty()) throw Error("there are no labels in it");
  const bool fits = std::ssize(list.values) == label_dim;
  const bool classes = list.are_classes(label_dim);
  const std::string count = "the list of " + std::to_string(list.values.size()) + " numbers ";
  Rows rows(label_dim);
  if (label_dim == 1) {
    for (const double value : list.values) rows.add({static_cast<float>(value)});
    return rows.take();
  }
  if (classes && !(fits && list.is_one_hot() && !list.integers)) {
    if (fits)
      notes.push_back(count +
                      "is taken as classes, one for each seed; a vector for all pictures "
                      "stands in double brackets, [[...]], or in a line of a table");
    for (const double value : list.values) rows.add_class(static_cast<int64_t>(value));
    return rows.take();
  }
  if (!fits && list.is_whole() && !classes)
    for (const double value : list.values)  // says which is none
      rows.add_class(static_cast<int64_t>(std::clamp(value, -1.0, 1e15)));
  if (fits && list.is_whole())
    notes.push_back(count + "is taken as one vector for all pictures, because " +
                    (classes ? "it is one-hot; classes are written without decimal points"
                             : "not all of them are classes"));
  rows.add({list.values.begin(), list.values.end()});
  return rows.take();
}

bool is_pair(const nlohmann::json& entry) {
  return entry.is_array() && entry.size() == 2 && entry[0].is_string();
}

Tensor rows_from_json(nlohmann::json root, const std::string& where, int64_t label_dim,
                      std::vector<std::string>& notes) {
  const bool is_dataset = root.is_object() && root.contains("labels");
  nlohmann::json& list = is_dataset ? root["labels"] : root;
  std::vector<Label> labels;
  if (is_dataset &&
      (list.is_object() || (list.is_array() && std::any_of(list.begin(), list.end(), is_pair)))) {
    LabelList entries = label_list_of(std::move(root), where).value_or(LabelList());
    for (auto& [name, label] : entries) labels.push_back(std::move(label));
  } else if (!list.is_array()) {
    throw Error("it is neither a list of labels nor a dataset.json with labels");
  } else if (std::all_of(list.begin(), list.end(), [](const auto& v) { return v.is_number(); })) {
    NumberList numbers{{}, true};
    for (const auto& value : list) {
      numbers.values.push_back(value.template get<double>());
      numbers.integers = numbers.integers && value.is_number_integer();
    }
    return rows_from_list(numbers, label_dim, notes);
  } else {
    for (auto& label : list) labels.push_back(std::move(label));
  }
  const auto name_of = [](size_t i) { return "entry " + std::to_string(i); };
  settle_labels(labels, {.where = where, .name_of = name_of}, notes);
  return rows_from_labels(labels, label_dim);
}

double number_in(const Table& table, std::string_view cell) {
  if (const auto number = table.number(cell)) return *number;
  double value = 0;
  const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
  const bool number = error == std::errc() && end == cell.data() + cell.size();
  throw Error(quoted_name(cell.substr(0, 40)) + (number ? " is not finite" : " is not a number"));
}

/// Which columns hold labels: those of the headline, or all but names and numbers of the rows.
std::vector<size_t> columns_with_labels(const Table& table, const LabelColumns& columns,
                                        int64_t label_dim) {
  const auto first = table.row(0);
  if (columns.headline) return label_columns(table, columns, columns.name);
  const bool named = first.size() > 1 && !table.number(first[0]);
  const bool counted = std::ssize(first) == label_dim + 1 && counts_rows(table, 0, false);
  std::vector<size_t> labels;
  for (size_t column = named || counted ? 1 : 0; column < first.size(); ++column)
    labels.push_back(column);
  return labels;
}

/// Lines count by their order, so a column of seeds must not say otherwise.
void refuse_seeds_in_another_order(const Table& table) {
  const auto headline = table.row(0);
  const auto column = std::find_if(headline.begin(), headline.end(), [](std::string_view cell) {
    const std::string word = caseless_text(std::string(cell));
    return word == "seed" || word == "seeds";
  });
  if (column == headline.end()) return;
  const auto place = static_cast<size_t>(column - headline.begin());
  for (size_t i = 1; i < table.rows(); ++i) {
    const auto cells = table.row(i);
    const auto seed = place < cells.size() ? table.number(cells[place]) : std::nullopt;
    if (seed == static_cast<double>(i - 1)) continue;
    throw Error("line " + std::to_string(table.line(i)) + " is of the seed " +
                quoted_name(place < cells.size() ? cells[place] : "") +
                ", but lines are taken by their order, the first for seed 0; sort them so, with a "
                "line for each seed");
  }
}

Tensor rows_from_table(const Table& table, int64_t label_dim, std::vector<std::string>& notes) {
  if (table.rows() == 0) throw Error("there are no labels in it");
  const LabelColumns columns = columns_by_headline(table);
  const size_t begin = columns.headline ? 1 : 0;
  if (columns.headline) refuse_seeds_in_another_order(table);
  if (begin == table.rows()) throw Error("there are no labels in it");
  const std::vector<size_t> wanted = columns_with_labels(table, columns, label_dim);
  Rows rows(label_dim);
  for (size_t i = begin; i < table.rows(); ++i) {
    const auto cells = table.row(i);
    std::vector<double> values;
    for (const size_t column : wanted)
      if (column < cells.size()) values.push_back(number_in(table, cells[column]));
    const bool is_class = wanted.size() == 1 && values.size() == 1 && label_dim != 1 &&
                          values[0] == std::floor(values[0]);
    if (is_class)
      rows.add_class(static_cast<int64_t>(std::clamp(values[0], -1.0, 1e15)));
    else
      rows.add({values.begin(), values.end()});
  }
  if (table.rows() - begin == 1 && wanted.size() > 1) {
    NumberList only;
    for (const size_t column : wanted)
      only.values.push_back(number_in(table, table.row(begin)[column]));
    if (only.is_whole())
      notes.push_back("the line of " + std::to_string(wanted.size()) +
                      " numbers is taken as one vector for all pictures; classes stand in lines of "
                      "their own");
  }
  return rows.take();
}

Tensor rows_from_array(const fs::path& path, int64_t label_dim, std::vector<std::string>& notes) {
  const MappedFile file(path);
  const Tensor array = read_npy(file.bytes(), path.string());
  const bool column = array.dim() == 2 && array.size(1) == 1 && label_dim != 1;
  if ((array.dim() == 1 || column) && array.numel() > 0) {
    const Tensor values = array.to(at::kDouble).contiguous();
    const auto* data = values.const_data_ptr<double>();
    const bool numbers = c10::isIntegralType(array.scalar_type(), /*includeBool=*/false);
    NumberList list{{data, data + values.numel()}, numbers || column};
    if (column && !list.is_whole())
      throw Error("its labels have 1 number, the network takes " + std::to_string(label_dim));
    return rows_from_list(list, label_dim, notes);
  }
  if (array.dim() != 2 || array.numel() == 0) throw Error("the array is not one of label vectors");
  if (array.size(1) != label_dim)
    throw Error("its labels have " + std::to_string(array.size(1)) +
                " numbers, the network takes " + std::to_string(label_dim));
  return array.to(at::kFloat);
}

LabelOfSeed labels_of_dataset(const fs::path& path, int64_t label_dim,
                              std::vector<std::string>& notes) {
  const auto dataset =
      std::make_shared<ImageDataset>(ImageDatasetOptions{.path = path, .look_ahead = false});
  notes.insert(notes.end(), dataset->notes().begin(), dataset->notes().end());
  if (dataset->label_kind() == LabelKind::none) throw Error("the dataset has no labels");
  // A dataset may lack the last classes of the network, but its vectors must be of that length.
  const int64_t own = dataset->label_dim();
  if (own > label_dim || (dataset->label_kind() == LabelKind::vectors && own != label_dim))
    throw Error("the dataset's labels have " + std::to_string(own) +
                " numbers, the network takes " + std::to_string(label_dim));
  return [dataset, own, label_dim](int64_t seed) {
    const Tensor label = dataset->label(row_of(seed, dataset->size()));
    return at::cat({label, at::zeros({label_dim - own})});
  };
}

}  // namespace

LabelOfSeed label_rows(Tensor rows) {
  return [rows = std::move(rows)](int64_t seed) { return rows[row_of(seed, rows.size(0))]; };
}

LabelOfSeed load_labels(const fs::path& path, int64_t label_dim, std::vector<std::string>& notes) {
  try {
    const std::string extension = lower_extension(path.string());
    const std::string where = "'" + path.string() + "'";
    if (fs::is_directory(path) || extension == ".zip")
      return labels_of_dataset(path, label_dim, notes);
    Tensor rows;
    if (extension == ".npy")
      rows = rows_from_array(path, label_dim, notes);
    else if (extension == ".json")
      rows = rows_from_json(parse_json_file(read_text_file(path), where), where, label_dim, notes);
    else if (extension == ".csv" || extension == ".tsv")
      rows = rows_from_table(Table(read_text_file(path), where), label_dim, notes);
    else if (!fs::exists(path))
      throw Error("there is no such file");
    else if (is_zip_file(path))
      return labels_of_dataset(path, label_dim, notes);
    else
      throw Error("labels are read from .npy, .csv and .json files and from datasets" +
                  in_brackets(describe_file(path)));
    if (!at::isfinite(rows).all().item<bool>())
      throw Error("there are numbers in it that are not finite");
    return label_rows(rows);
  } catch (const Error& error) {
    const std::string message = error.what();
    const bool named = message.find(path.string()) != std::string::npos;
    throw Error("--labels: " + (named ? message : "'" + path.string() + "': " + message));
  }
}

}  // namespace edm2
