/// JSON from files that may come from anywhere.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string_view>

namespace edm2 {

/// Parses one JSON value. Throws Error: no valid JSON, or nested deeper than anything written here
/// (copying and printing such values would need an endless stack).
nlohmann::json parse_json(std::string_view text);
/// The same, keeping the order of keys.
nlohmann::ordered_json parse_ordered_json(std::string_view text);

}  // namespace edm2
