// Text of files that come from elsewhere, on its way to a terminal.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace edm2 {

/// The text with everything that would move the cursor, change colours, end the line or turn the
/// direction of writing as \xNN: control characters (of 7 and 8 bits, and those of texts from right
/// to left) and bytes that are no UTF-8.
std::string printable(std::string_view text);

/// The same, but ends of lines stay: for messages of several lines.
std::string printable_lines(std::string_view text);

/// The same, with "..." in its middle where it is longer than `most` bytes.
std::string printable_within(std::string_view text, size_t most);

}  // namespace edm2
