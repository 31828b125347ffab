/// Text of other systems in the encodings that they write.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace edm2 {

/// The text in UTF-8, without a byte-order mark: from UTF-8 (as it is, valid or not), or from
/// UTF-16 or UTF-32, which a mark or the zero bytes of the first characters tell. Half characters
/// become U+FFFD.
std::string utf8_text(std::string_view bytes);

/// The character of that number in UTF-8, half characters and all; of 21 bits.
void append_utf8(std::string& text, uint32_t code);

}  // namespace edm2
