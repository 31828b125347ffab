// Names and numbers in sentences for the user.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace edm2 {

/// "'NAME'" for messages: what would confuse a terminal is escaped, long names are cut.
std::string quoted_name(std::string_view name);

/// "50,000".
std::string with_commas(size_t count);

}  // namespace edm2
