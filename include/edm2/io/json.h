/// JSON from files that may come from anywhere.
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>

namespace edm2 {

/// Parses one JSON value. Throws Error: no valid JSON (with line and column), or nested deeper than
/// anything written here (copying and printing such values would need an endless stack).
nlohmann::json parse_json(std::string_view text);
/// The same, keeping the order of keys.
nlohmann::ordered_json parse_ordered_json(std::string_view text);

/// The contents of a file as Python's json module reads it: UTF-8, UTF-16 or UTF-32 with or without
/// a byte-order mark; NaN, Infinity and -Infinity are numbers there, null here. `name` begins the
/// sentence of an Error: "NAME is not valid JSON: line 3, column 1: ...". `repeated_key` becomes a
/// key that stands twice in one object, of which the last counts; "" if there is none.
nlohmann::json parse_json_file(std::span<const std::byte> bytes, const std::string& name,
                               std::string* repeated_key = nullptr);
nlohmann::json parse_json_file(std::string_view bytes, const std::string& name,
                               std::string* repeated_key = nullptr);

/// The text with null where Python has written NaN, Infinity or -Infinity outside of strings.
std::string without_python_numbers(std::string_view text);

}  // namespace edm2
