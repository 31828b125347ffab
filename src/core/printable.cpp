#include "edm2/core/printable.h"

#include <algorithm>
#include <cstdint>

namespace edm2 {
namespace {

/// By which text changes its direction, so that what is seen is not what it says (Unicode Standard
/// Annex 9, 2.1 to 2.6).
bool is_direction_mark(uint32_t code) {
  return code == 0x61c || code == 0x200e || code == 0x200f || (code >= 0x202a && code <= 0x202e) ||
         (code >= 0x2066 && code <= 0x2069);
}

/// How many bytes the UTF-8 character at the beginning has; 0 if it is none that may be shown.
size_t shown_character(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  if (byte(0) < 0x80) return byte(0) >= 0x20 && byte(0) != 0x7f ? 1 : 0;
  const size_t size = byte(0) >= 0xf0 ? 4 : byte(0) >= 0xe0 ? 3 : byte(0) >= 0xc2 ? 2 : 0;
  if (size == 0 || size > text.size() || byte(0) > 0xf4) return 0;
  uint32_t code = byte(0) & (0x7fu >> size);
  for (size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
    code = code << 6 | (byte(i) & 0x3f);
  }
  return code < 0xa0 || is_direction_mark(code) ? 0 : size;
}

}  // namespace

std::string printable(std::string_view text) {
  constexpr char digits[] = "0123456789abcdef";
  std::string result;
  for (size_t i = 0; i < text.size();) {
    if (const size_t size = shown_character(text.substr(i)); size > 0) {
      result += text.substr(i, size);
      i += size;
      continue;
    }
    const auto byte = static_cast<unsigned char>(text[i++]);
    result += {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
  }
  return result;
}

std::string printable_lines(std::string_view text) {
  std::string result;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    result += printable(text.substr(begin, end - begin));
    if (end < text.size()) result += '\n';
    begin = end + 1;
  }
  return result;
}

std::string printable_within(std::string_view text, size_t most) {
  if (text.size() <= most) return printable(text);
  const auto inside = [&](size_t at) {  // of a character
    return at < text.size() && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80;
  };
  size_t first = most / 2, last = text.size() - most / 2;
  while (first > 0 && inside(first)) --first;
  while (inside(last)) ++last;
  return printable(text.substr(0, first)) + "..." + printable(text.substr(last));
}

}  // namespace edm2
