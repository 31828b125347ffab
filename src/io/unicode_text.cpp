#include "io/unicode_text.h"

namespace edm2 {
namespace {

using namespace std::string_view_literals;

struct TextEncoding {
  size_t width = 1;  // bytes of a unit
  bool big_endian = false;
  size_t mark = 0;  // bytes of the byte-order mark
};

/// As RFC 4627 has it: the first two characters of JSON are ASCII.
TextEncoding encoding_of(std::string_view bytes) {
  if (bytes.starts_with("\xef\xbb\xbf"sv)) return {1, false, 3};
  if (bytes.starts_with("\xff\xfe\0\0"sv)) return {4, false, 4};
  if (bytes.starts_with("\0\0\xfe\xff"sv)) return {4, true, 4};
  if (bytes.starts_with("\xff\xfe"sv)) return {2, false, 2};
  if (bytes.starts_with("\xfe\xff"sv)) return {2, true, 2};
  const auto zero = [&](size_t i) { return i < bytes.size() && bytes[i] == '\0'; };
  if (bytes.size() >= 4 && zero(0) && zero(1) && zero(2) && !zero(3)) return {4, true, 0};
  if (bytes.size() >= 4 && !zero(0) && zero(1) && zero(2) && zero(3)) return {4, false, 0};
  if (bytes.size() >= 2 && zero(0) && !zero(1)) return {2, true, 0};
  if (bytes.size() >= 2 && !zero(0) && zero(1)) return {2, false, 0};
  return {};
}

uint32_t whole_character(uint32_t code) {
  return code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ? 0xfffd : code;
}

}  // namespace

void append_utf8(std::string& text, uint32_t code) {
  if (code < 0x80) {
    text += static_cast<char>(code);
    return;
  }
  const int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;  // bytes behind the first
  constexpr uint32_t first[] = {0, 0xc0, 0xe0, 0xf0};
  text += static_cast<char>(first[more] | (code >> (6 * more) & (0x3f >> more)));
  for (int i = more - 1; i >= 0; --i) text += static_cast<char>(0x80 | (code >> (6 * i) & 0x3f));
}

std::string utf8_text(std::string_view bytes) {
  const TextEncoding encoding = encoding_of(bytes);
  bytes.remove_prefix(encoding.mark);
  if (encoding.width == 1) return std::string(bytes);
  const auto unit = [&](size_t at) {
    uint32_t value = 0;
    for (size_t i = 0; i < encoding.width; ++i) {
      const size_t place = at + (encoding.big_endian ? i : encoding.width - 1 - i);
      value = value << 8 | static_cast<uint8_t>(bytes[place]);
    }
    return value;
  };
  std::string text;
  text.reserve(bytes.size() / encoding.width);
  const size_t width = encoding.width, end = bytes.size() - bytes.size() % width;
  for (size_t at = 0; at < end; at += width) {
    const uint32_t high = unit(at);
    const bool pair = width == 2 && high >= 0xd800 && high < 0xdc00 && at + width < end;
    const uint32_t low = pair ? unit(at + width) : 0;
    if (low >= 0xdc00 && low < 0xe000) {
      append_utf8(text, 0x10000 + ((high - 0xd800) << 10 | (low - 0xdc00)));
      at += width;
    } else {
      append_utf8(text, whole_character(high));
    }
  }
  if (end < bytes.size()) append_utf8(text, 0xfffd);
  return text;
}

}  // namespace edm2
