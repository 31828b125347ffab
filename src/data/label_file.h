// dataset.json: the labels of a dataset.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "edm2/data/file_source.h"

namespace edm2 {

/// An integer (class index), an array of numbers (vector), or null (none).
using Label = nlohmann::json;
using LabelList = std::vector<std::pair<std::string, Label>>;

/// `labels` of the dataset.json at the root, or nothing if there is no such file or it says null.
/// `path` is for messages. Throws Error if the file is not what it should be.
std::optional<LabelList> read_label_file(const FileSource& source, const std::string& path);

/// The whole dataset.json at the root, a JSON object, or nothing if there is no such file. Throws
/// Error if it is something else.
std::optional<nlohmann::json> read_label_json(const FileSource& source, const std::string& path);

/// The text of a dataset.json with these labels, as Python's json.dumps spaces it.
std::string label_file_text(const std::optional<LabelList>& labels);

}  // namespace edm2
