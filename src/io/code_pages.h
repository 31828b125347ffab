/// Names and texts of the time before Unicode, and Unicode's several spellings of one text.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace edm2 {

/// Eight-bit encodings that zip archives and texts of Windows hold.
enum class CodePage { ibm437, ibm850, windows1252 };

/// Each byte a character, in UTF-8. Bytes that the code page leaves out become the control
/// characters of their number.
std::string from_code_page(std::string_view bytes, CodePage page);
/// The bytes of a UTF-8 text; nothing if it is no valid UTF-8 or has a character that the page
/// lacks.
std::optional<std::string> to_code_page(std::string_view text, CodePage page);

bool is_ascii_text(std::string_view text);
bool is_utf8(std::string_view text);
/// With ASCII's capitals as small letters; all else as it is.
std::string ascii_lower(std::string_view text);

/// The text with letters and accents joined to one character where there is one (Unicode's form
/// NFC), or as it is if it is no valid UTF-8.
std::string composed_text(const std::string& text);
/// The same with capitals and small letters made equal (Unicode's case folding).
std::string caseless_text(const std::string& text);

}  // namespace edm2
