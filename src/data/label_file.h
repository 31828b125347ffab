// dataset.json: the labels of a dataset.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "edm2/data/file_source.h"

namespace edm2 {

/// An integer (class index), an array of numbers (vector), or null (none). Before settle_labels()
/// it may be all that people write for these.
using Label = nlohmann::json;
struct LabelledItem {
  std::string name;
  Label label;
};
using LabelList = std::vector<LabelledItem>;
/// Views of the names, in their order.
std::vector<std::string_view> names_of(const LabelList& items);

/// The name is dataset.json, in whatever folder and case.
bool is_label_file(const std::string& name);

/// dataset.json at the root, in capitals or not, or else in the one folder in which all pictures
/// lie; "" if there is none. `notes` gets a sentence where it is not the plain name at the root, or
/// where such a file stands elsewhere. Throws Error if there are several.
std::string find_label_file(const FileSource& source, std::vector<std::string>& notes);

/// `labels` of a dataset.json, as it is written, or nothing if it says null: a list of [name,
/// label] pairs, or an object. `where` begins messages. Throws Error if it is not what it should
/// be.
std::optional<LabelList> label_list_of(nlohmann::json root, const std::string& where);

/// parse_json_file() for labels: a key that stands twice in one object is an Error, because only
/// one of the two could count.
nlohmann::json parse_label_json(std::span<const std::byte> bytes, const std::string& where);

/// The whole dataset.json, a JSON object, or nothing if there is no such file. Throws Error if it
/// is something else.
std::optional<nlohmann::json> read_label_json(const FileSource& source, const std::string& path);

/// What dataset.json says of pictures.
struct FileLabels {
  bool exists = false;             ///< there is a dataset.json
  bool listed = false;             ///< it lists labels; those of pictures that it lacks are null
  std::vector<Label> labels;       ///< settled, one for each picture, if listed
  std::vector<std::string> notes;  ///< sentences for the user
  std::string where;               ///< "dataset.json in 'x'"
  std::string some_name;           ///< one that it lists
};

/// Reads the labels of pictures from dataset.json: one for all that read datasets. Throws Error as
/// label_list_of(), where names may stand for several pictures, and for labels whose meaning is
/// not certain.
FileLabels labels_from_file(const FileSource& source, const std::string& path,
                            std::span<const std::string_view> pictures);
/// The same with a list from elsewhere.
void labels_from_list(LabelList list, std::span<const std::string_view> pictures,
                      FileLabels& result);

/// The text of a dataset.json with these labels, as Python's json.dumps spaces it.
std::string label_file_text(const std::optional<LabelList>& labels);

}  // namespace edm2
