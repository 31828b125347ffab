// What a file holds instead of what is looked for.
#pragma once

#include <string>
#include <vector>

namespace edm2 {

/// "nothing", "'a'", "'a', 'b' and 3 others": names from a file, for messages.
std::string names_found(const std::vector<std::string>& names);

}  // namespace edm2
