/// Numbers in sentences and tables.
#pragma once

#include <string>

namespace edm2 {

/// As printf writes it: `pattern` has one place for a double, "%.3g" or "%.1f ms". At most 99
/// characters.
std::string format_number(const char* pattern, double value);

}  // namespace edm2
