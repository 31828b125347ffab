#include "edm2/io/json.h"

#include <nlohmann/json.hpp>

#include "edm2/core/error.h"

namespace edm2 {
namespace {

template <class Json>
Json parse(std::string_view text) {
  constexpr int deepest = 32;
  const auto check = [](int depth, typename Json::parse_event_t, Json&) {
    if (depth > deepest) throw Error("JSON that is nested too deeply");
    return true;
  };
  try {
    return Json::parse(text.begin(), text.end(), check);
  } catch (const typename Json::exception&) {
    throw Error("not valid JSON");
  }
}

}  // namespace

nlohmann::json parse_json(std::string_view text) { return parse<nlohmann::json>(text); }

nlohmann::ordered_json parse_ordered_json(std::string_view text) {
  return parse<nlohmann::ordered_json>(text);
}

}  // namespace edm2
