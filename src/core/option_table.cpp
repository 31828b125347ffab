#include "edm2/core/option_table.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <type_traits>

namespace edm2 {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

[[noreturn]] void refuse_value(const json& value, const std::string& kind) {
  throw UsageError("'" + json_text(value) + "' is not a valid " + kind + ".");
}

int64_t integer_from(const json& value) {
  if (!value.is_number_integer()) refuse_value(value, "integer");
  if (value.is_number_unsigned() &&
      value.get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
    throw UsageError("'" + json_text(value) + "' does not fit into 64 bits.");
  return value.get<int64_t>();
}

double number_from(const json& value) {
  if (value.is_number()) return value.get<double>();
  if (value == "inf") return std::numeric_limits<double>::infinity();
  if (value == "-inf") return -std::numeric_limits<double>::infinity();
  if (value == "nan") return std::numeric_limits<double>::quiet_NaN();
  refuse_value(value, "float");
}

template <class T>
std::vector<T> list_from(const json& value, T (*element_from)(const json&)) {
  if (!value.is_array()) refuse_value(value, "list");
  if (value.empty()) throw UsageError("the list is empty.");
  std::vector<T> list;
  for (const json& element : value) list.push_back(element_from(element));
  return list;
}

/// Number of characters to insert, delete or replace (Levenshtein).
size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);  // distances of a's beginning to all beginnings of b
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

}  // namespace

ordered_json number_to_json(double value) {
  if (std::isfinite(value)) return value;
  return std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
}

ordered_json to_json(const OptionValue& value) {
  return std::visit(
      [](const auto& plain) -> ordered_json {
        using T = std::decay_t<decltype(plain)>;
        if constexpr (std::is_same_v<T, double>) return number_to_json(plain);
        if constexpr (std::is_same_v<T, std::vector<double>>) {
          ordered_json list = ordered_json::array();
          for (const double element : plain) list.push_back(number_to_json(element));
          return list;
        }
        return plain;
      },
      value);
}

std::optional<OptionValue> value_from_json(OptionType type, const json& value) {
  if (value.is_null()) return std::nullopt;
  switch (type) {
    case OptionType::boolean:
      if (!value.is_boolean()) refuse_value(value, "boolean");
      return value.get<bool>();
    case OptionType::integer:
      return integer_from(value);
    case OptionType::number:
      return number_from(value);
    case OptionType::integers:
      return list_from(value, integer_from);
    case OptionType::numbers:
      return list_from(value, number_from);
    case OptionType::text:
      break;
  }
  if (!value.is_string()) refuse_value(value, "text");
  return value.get<std::string>();
}

std::string json_text(const json& value) {
  constexpr size_t longest = 100;
  const std::string text = value.is_string() ? value.get<std::string>()
                                             : value.dump(-1, ' ', /*ensure_ascii=*/true,
                                                          json::error_handler_t::replace);
  return text.size() <= longest ? text : text.substr(0, longest) + "...";
}

std::string option_key(const std::string& name) {
  std::string key = name;
  std::replace(key.begin(), key.end(), '-', '_');
  return key;
}

ordered_json describe_option(const OptionDescription& option,
                             const std::optional<OptionValue>& default_value) {
  constexpr const char* types[] = {"boolean", "integer", "number", "text", "integers", "numbers"};
  ordered_json json = {{"name", option_key(option.name)},
                       {"type", types[static_cast<size_t>(option.type)]},
                       {"default", nullptr},
                       {"help", option.help}};
  if (default_value) json["default"] = to_json(*default_value);
  if (option.default_text) json["default_text"] = *option.default_text;
  if (!option.range.empty()) json["range"] = option.range;
  if (!option.choices.empty()) json["choices"] = option.choices;
  return json;
}

std::string no_such_option(const std::string& key, const std::vector<std::string>& known) {
  const std::string wanted = option_key(key).substr(0, 100);
  const auto nearest =
      std::min_element(known.begin(), known.end(), [&](const std::string& a, const std::string& b) {
        return edit_distance(wanted, a) < edit_distance(wanted, b);
      });
  const std::string sentence = "No such option '" + json_text(key);
  return nearest == known.end() ? sentence + "'."
                                : sentence + "'; the nearest is '" + *nearest + "'.";
}

void for_each_option(const json& options,
                     const std::function<void(const std::string&, const json&)>& take) {
  if (!options.is_object())
    throw UsageError("Options must be a JSON object, not '" + json_text(options) + "'.");
  for (const auto& [key, value] : options.items()) take(key, value);
}

}  // namespace edm2
