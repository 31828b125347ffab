// Names that browsers and file managers give to second copies.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace edm2 {

/// Not empty and nothing but digits.
bool all_digits(std::string_view text);

/// What the file may be called that one of this name is a copy of: "a/b.png" for "a/b (1).png",
/// "a/b copy 2.png", "a/b - Copy.png", "a/Copy of b.png" and the like; none for other names.
std::vector<std::string> originals_of(const std::string& name);

}  // namespace edm2
