#include "data/label_file.h"

#include <algorithm>
#include <set>

#include "data/label_rules.h"
#include "data/name_match.h"
#include "data/name_text.h"
#include "edm2/core/error.h"
#include "edm2/io/json.h"
#include "io/code_pages.h"

namespace edm2 {
namespace {

constexpr std::string_view label_file_name = "dataset.json";

/// One line, non-ASCII characters escaped, ", " between values.
std::string json_text(const nlohmann::json& value) {
  if (!value.is_array()) return value.dump(-1, ' ', true);
  std::string text = "[";
  for (const auto& item : value) text += (text.size() > 1 ? ", " : "") + json_text(item);
  return text + "]";
}

/// How many characters the folder in front of the file's name has, '/' included.
size_t folder_size(const std::string& name) {
  return name.find_last_of("/\\") + 1;
}  // npos + 1 = 0

/// The pictures of the folder and below are all that there are.
bool holds_all_pictures(const std::string& folder, const FileSource& source) {
  return std::all_of(source.names().begin(), source.names().end(), [&](const std::string& name) {
    return name.starts_with(folder) || !(has_image_extension(name) || name.ends_with(".npy"));
  });
}

LabelList object_entries(nlohmann::json& object) {
  LabelList list;
  list.reserve(object.size());
  for (auto& [name, label] : object.items()) list.push_back({name, std::move(label)});
  return list;
}

}  // namespace

std::vector<std::string_view> names_of(const LabelList& items) {
  std::vector<std::string_view> names;
  names.reserve(items.size());
  for (const LabelledItem& item : items) names.push_back(item.name);
  return names;
}

bool is_label_file(const std::string& name) {
  return ascii_lower(std::string_view(name).substr(folder_size(name))) == label_file_name;
}

std::string find_label_file(const FileSource& source, std::vector<std::string>& notes) {
  if (source.contains(std::string(label_file_name))) return std::string(label_file_name);
  std::vector<std::string> found, elsewhere;
  for (const std::string& name : source.names())
    if (is_label_file(name))
      (holds_all_pictures(name.substr(0, folder_size(name)), source) ? found : elsewhere)
          .push_back(name);
  if (found.size() > 1)
    throw Error("there are " + quoted_name(found[0]) + " and " + quoted_name(found[1]) +
                ", and it is not certain which has the labels; remove one");
  if (found.size() == 1) {
    notes.push_back("the labels are read from " + quoted_name(found[0]));
    return found[0];
  }
  if (!elsewhere.empty())
    notes.push_back(
        quoted_name(elsewhere[0]) +
        (elsewhere.size() > 1 ? " and " + with_commas(elsewhere.size() - 1) + " more are" : " is") +
        " not read, because not all pictures lie in that folder; labels are read from "
        "a dataset.json beside all of them");
  return "";
}

nlohmann::json parse_label_json(std::span<const std::byte> bytes, const std::string& where) {
  std::string repeated;
  nlohmann::json root = parse_json_file(bytes, where, &repeated);
  if (!repeated.empty())
    throw Error(where + " has the key " + quoted_name(repeated) +
                " twice in one object, and it is not certain which counts; leave one of them");
  return root;
}

std::optional<nlohmann::json> read_label_json(const FileSource& source, const std::string& path) {
  std::vector<std::string> ignored;
  const std::string name = find_label_file(source, ignored);
  if (name.empty()) return std::nullopt;
  auto root = parse_label_json(source.read(name), "dataset.json in '" + path + "'");
  if (!root.is_object()) throw Error("dataset.json in '" + path + "' has no key \"labels\"");
  return root;
}

std::optional<LabelList> label_list_of(nlohmann::json root, const std::string& where) {
  const auto fail = [&](const std::string& what) { throw Error(where + " " + what); };
  if (!root.is_object() || !root.contains("labels")) fail("has no key \"labels\"");
  nlohmann::json& labels = root["labels"];
  if (labels.is_null()) return std::nullopt;
  if (labels.is_object()) return object_entries(labels);
  if (!labels.is_array()) fail("must hold a list of [name, label] pairs under \"labels\"");
  LabelList list;
  list.reserve(labels.size());
  for (auto& pair : labels) {
    if (!pair.is_array() || pair.size() != 2 || !pair[0].is_string())
      fail("must hold a list of [name, label] pairs; entry " + std::to_string(list.size()) +
           " is not one");
    list.push_back({std::move(pair[0].get_ref<std::string&>()), std::move(pair[1])});
  }
  return list;
}

void labels_from_list(LabelList list, std::span<const std::string_view> pictures,
                      FileLabels& result) {
  result.listed = true;
  if (!list.empty()) result.some_name = list.front().name;
  const std::vector<std::string_view> names = names_of(list);
  const NameMatch match = match_names(
      pictures, names, [&](size_t a, size_t b) { return list[a].label == list[b].label; });
  if (match.contradiction) {
    const auto [a, b] = *match.contradiction;
    if (names[a] != names[b])
      throw Error(result.where + " has " + quoted_name(names[a]) + " and " + quoted_name(names[b]) +
                  " with different labels, and it is not certain which of them is a picture's; "
                  "give the names as they are in the dataset");
    result.notes.push_back(result.where + " gives " + quoted_name(names[a]) +
                           " different labels in two entries; the last one counts");
  }
  note_differing_names(result.where, match, pictures, names, result.notes);
  result.labels.assign(pictures.size(), nullptr);
  for (size_t i = 0; i < pictures.size(); ++i)
    if (match.entry_of[i] != NameMatch::none) {
      // An entry stands for one picture alone.
      result.labels[i] = std::move(list[match.entry_of[i]].label);
    }
  const LabelPlace place{.where = result.where,
                         .name_of = [&](size_t i) { return quoted_name(pictures[i]); }};
  settle_labels(result.labels, place, result.notes);
}

FileLabels labels_from_file(const FileSource& source, const std::string& path,
                            std::span<const std::string_view> pictures) {
  FileLabels result;
  result.where = "dataset.json in '" + path + "'";
  result.exists = !find_label_file(source, result.notes).empty();
  auto root = read_label_json(source, path);
  auto list = root ? label_list_of(std::move(*root), result.where) : std::nullopt;
  if (list) labels_from_list(std::move(*list), pictures, result);
  return result;
}

std::string label_file_text(const std::optional<LabelList>& labels) {
  if (!labels) return R"({"labels": null})";
  std::string text = R"({"labels": [)";
  for (size_t i = 0; i < labels->size(); ++i) {
    if (i > 0) text += ", ";
    text += "[" + json_text((*labels)[i].name) + ", " + json_text((*labels)[i].label) + "]";
  }
  return text + "]}";
}

}  // namespace edm2
