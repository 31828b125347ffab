// Names and numbers in sentences for the user.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace edm2 {

/// "'NAME'" for messages: what would confuse a terminal is escaped, long names are cut.
std::string quoted_name(std::string_view name);

/// "'cat' is 0, 'dog' is 1, 'eel' is 2" for names of classes in the order of their numbers; of more
/// than twenty the first and the last.
std::string numbered_names(const std::vector<std::string>& names);

/// "50,000".
std::string with_commas(size_t count);

}  // namespace edm2
