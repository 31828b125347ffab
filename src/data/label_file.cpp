#include "data/label_file.h"

#include <algorithm>

#include "edm2/core/error.h"

namespace edm2 {
namespace {

bool is_label(const nlohmann::json& label) {
  if (label.is_null() || label.is_number_integer()) return true;
  return label.is_array() && !label.empty() &&
         std::all_of(label.begin(), label.end(),
                     [](const auto& value) { return value.is_number(); });
}

/// One line, non-ASCII characters escaped, ", " between values.
std::string json_text(const nlohmann::json& value) {
  if (!value.is_array()) return value.dump(-1, ' ', true);
  std::string text = "[";
  for (const auto& item : value) text += (text.size() > 1 ? ", " : "") + json_text(item);
  return text + "]";
}

}  // namespace

std::optional<nlohmann::json> read_label_json(const FileSource& source, const std::string& path) {
  if (!source.contains("dataset.json")) return std::nullopt;
  const auto bytes = source.read("dataset.json");
  const auto* text = reinterpret_cast<const char*>(bytes.data());
  auto root = nlohmann::json::parse(text, text + bytes.size(), nullptr, /*allow_exceptions=*/false);
  if (root.is_discarded()) throw Error("dataset.json in '" + path + "' is not valid JSON");
  if (!root.is_object()) throw Error("dataset.json in '" + path + "' has no key \"labels\"");
  return root;
}

std::optional<LabelList> read_label_file(const FileSource& source, const std::string& path) {
  const auto fail = [&](const std::string& what) {
    throw Error("dataset.json in '" + path + "' " + what);
  };
  const auto root = read_label_json(source, path);
  if (!root) return std::nullopt;
  if (!root->contains("labels")) fail("has no key \"labels\"");
  const nlohmann::json& labels = (*root)["labels"];
  if (labels.is_null()) return std::nullopt;
  if (!labels.is_array()) fail("must hold a list of [name, label] pairs under \"labels\"");

  LabelList list;
  list.reserve(labels.size());
  for (const auto& pair : labels) {
    if (!pair.is_array() || pair.size() != 2 || !pair[0].is_string())
      fail("must hold a list of [name, label] pairs; entry " + std::to_string(list.size()) +
           " is not one");
    if (!is_label(pair[1]))
      fail("gives '" + pair[0].get<std::string>() +
           "' a label that is neither an integer nor a list of numbers");
    list.emplace_back(pair[0].get<std::string>(), pair[1]);
  }
  return list;
}

std::string label_file_text(const std::optional<LabelList>& labels) {
  if (!labels) return R"({"labels": null})";
  std::string text = R"({"labels": [)";
  for (size_t i = 0; i < labels->size(); ++i) {
    if (i > 0) text += ", ";
    text += "[" + json_text((*labels)[i].first) + ", " + json_text((*labels)[i].second) + "]";
  }
  return text + "]}";
}

}  // namespace edm2
