#include "data/tar_labels.h"

#include <algorithm>

#include "data/label_rules.h"
#include "data/name_text.h"
#include "edm2/core/error.h"
#include "edm2/io/json.h"
#include "io/code_pages.h"
#include "io/unicode_text.h"

namespace edm2 {
namespace {

/// The label itself, or an object that holds it under a usual name.
Label label_in_json(const nlohmann::json& value, const std::string& where) {
  if (!value.is_object()) return value;
  static constexpr std::string_view names[] = {"label", "cls", "class", "class_id", "class_label"};
  Label label;
  std::string name;
  for (const auto& [key, item] : value.items()) {
    if (item.is_null() ||
        std::find(std::begin(names), std::end(names), caseless_text(key)) == std::end(names))
      continue;
    if (!label.is_null() && label != item)
      throw Error(where + " has " + quoted_name(name) + " and " + quoted_name(key) +
                  ", and it is not certain which is the label");
    label = item;
    name = key;
  }
  return label;
}

}  // namespace

Label label_in_file(std::span<const std::byte> bytes, const std::string& name,
                    const std::string& archive) {
  const std::string where = quoted_name(name) + " in '" + archive + "'";
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (lower_extension(name) == ".cls") {
    const auto number = python_int(utf8_text(text));
    if (!number) throw Error(where + " holds neither a class number nor a list of numbers");
    if (*number < 0)
      throw Error(where + " holds the class " + std::to_string(*number) + "; classes count from 0");
    return static_cast<uint64_t>(*number);
  }
  Label label = label_in_json(parse_label_json(bytes, where), where);
  const auto is_simple = [](const Label& v) {
    return v.is_number() || v.is_boolean() || v.is_string();
  };
  const bool usable = label.is_array()
                          ? !label.empty() && std::all_of(label.begin(), label.end(), is_simple)
                          : label.is_null() || is_simple(label);
  if (!usable) throw Error(where + " holds neither a class number nor a list of numbers");
  return label;
}

}  // namespace edm2
