#include "generate/label_source.h"

#include <ATen/ATen.h>

#include <charconv>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <vector>

#include "edm2/core/error.h"
#include "edm2/core/platform.h"
#include "edm2/data/dataset.h"
#include "edm2/data/file_source.h"
#include "edm2/io/atomic_file.h"
#include "edm2/io/json.h"
#include "edm2/io/npz.h"

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
    if (static_cast<int64_t>(label.size()) != label_dim_) fail_length(label.size());
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
  [[noreturn]] void fail_length(size_t length) const {
    const auto number = static_cast<int64_t>(values_.size()) / label_dim_;
    throw Error("label " + std::to_string(number) + " has " + std::to_string(length) +
                " numbers, the network takes " + std::to_string(label_dim_));
  }

  int64_t label_dim_;
  std::vector<float> values_;
};

std::vector<float> numbers(const nlohmann::json& list) {
  std::vector<float> values;
  for (const auto& value : list) {
    if (!value.is_number()) throw Error("a label holds something that is not a number");
    values.push_back(value.get<float>());
  }
  return values;
}

Tensor rows_from_json(const nlohmann::json& root, int64_t label_dim) {
  Rows rows(label_dim);
  const bool is_dataset = root.is_object() && root.contains("labels");
  const nlohmann::json& list = is_dataset ? root["labels"] : root;
  if (!list.is_array())
    throw Error("it is neither a list of labels nor a dataset.json with labels");
  if (!is_dataset && !list.empty() && list[0].is_number()) {
    rows.add(numbers(list));
    return rows.take();
  }
  for (const auto& entry : list) {
    const bool named = is_dataset && entry.is_array() && entry.size() == 2;
    const nlohmann::json& label = named ? entry[1] : entry;
    if (label.is_number_integer())
      rows.add_class(label.get<int64_t>());
    else if (label.is_array())
      rows.add(numbers(label));
    else
      throw Error("a label is neither a list of numbers nor a class");
  }
  return rows.take();
}

std::vector<float> parse_line(std::string_view line) {
  std::vector<float> values;
  while (!line.empty()) {
    const size_t end = std::min(line.find_first_of(",;\t"), line.size());
    std::string_view cell = line.substr(0, end);
    while (cell.starts_with(' ') || cell.starts_with('+')) cell.remove_prefix(1);
    while (cell.ends_with(' ')) cell.remove_suffix(1);
    float value = 0;
    const auto [rest, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
    if (error != std::errc() || rest != cell.data() + cell.size())
      throw Error("'" + std::string(cell.substr(0, 40)) + "' is not a number");
    values.push_back(value);
    line.remove_prefix(std::min(end + 1, line.size()));
  }
  return values;
}

Tensor rows_from_csv(const std::string& text, int64_t label_dim) {
  Rows rows(label_dim);
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.ends_with('\r')) line.pop_back();
    if (!line.empty()) rows.add(parse_line(line));
  }
  return rows.take();
}

Tensor rows_from_array(const fs::path& path, int64_t label_dim) {
  const MappedFile file(path);
  Tensor array = read_npy(file.bytes(), path.string()).to(at::kFloat);
  if (array.dim() == 1) array = array.unsqueeze(0);
  if (array.dim() != 2 || array.numel() == 0) throw Error("the array is not one of label vectors");
  if (array.size(1) != label_dim)
    throw Error("its labels have " + std::to_string(array.size(1)) +
                " numbers, the network takes " + std::to_string(label_dim));
  return array;
}

LabelOfSeed labels_of_dataset(const fs::path& path, int64_t label_dim) {
  const auto dataset = std::make_shared<ImageDataset>(ImageDatasetOptions{.path = path});
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

LabelOfSeed load_labels(const fs::path& path, int64_t label_dim) {
  try {
    const std::string extension = lower_extension(path.string());
    if (fs::is_directory(path) || extension == ".zip") return labels_of_dataset(path, label_dim);
    Tensor rows;
    if (extension == ".npy")
      rows = rows_from_array(path, label_dim);
    else if (extension == ".json")
      rows = rows_from_json(parse_json(read_text_file(path)), label_dim);
    else if (extension == ".csv")
      rows = rows_from_csv(read_text_file(path), label_dim);
    else
      throw Error("labels are read from .npy, .csv and .json files and from datasets");
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
