#include "io/code_pages.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "io/unicode_text.h"

namespace edm2 {
namespace {

// What bytes from 128 on mean.
constexpr std::u16string_view upper_half_437 =
    u"ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄"
    u"▌▐▀"
    u"αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u00a0";
constexpr std::u16string_view upper_half_850 =
    u"ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜø£Ø×ƒáíóúñÑªº¿®¬½¼¡«»░▒▓│┤ÁÂÀ©╣║╗╝¢¥┐└┴┬├─┼ãÃ╚╔╩╦╠═╬¤ðÐÊËÈıÍÎÏ┘┌█▄"
    u"¦Ì▀"
    u"ÓßÔÒõÕµþÞÚÛÙýÝ¯´\u00ad±‗¾¶§÷¸°¨·¹³²■\u00a0";
constexpr std::u16string_view from_80_to_9f_1252 =
    u"€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ";
static_assert(upper_half_437.size() == 128 && upper_half_850.size() == 128 &&
              from_80_to_9f_1252.size() == 32);

char16_t character(uint8_t byte, CodePage page) {
  if (byte < 0x80) return byte;
  switch (page) {
    case CodePage::ibm437:
      return upper_half_437[byte - 0x80u];
    case CodePage::ibm850:
      return upper_half_850[byte - 0x80u];
    case CodePage::windows1252:
      break;
  }
  return byte < 0xa0 ? from_80_to_9f_1252[byte - 0x80u] : char16_t{byte};
}

std::optional<uint8_t> byte_of(int32_t code, CodePage page) {
  if (code < 0x80) return static_cast<uint8_t>(code);
  for (int byte = 0x80; byte < 0x100; ++byte)
    if (character(static_cast<uint8_t>(byte), page) == code) return static_cast<uint8_t>(byte);
  return std::nullopt;
}

/// The next character of a text, which is cut off it; negative if it is no valid UTF-8.
int32_t take_character(std::string_view& text) {
  utf8proc_int32_t code = -1;
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  const auto size = utf8proc_iterate(bytes, static_cast<utf8proc_ssize_t>(text.size()), &code);
  if (size <= 0) return -1;
  text.remove_prefix(static_cast<size_t>(size));
  return code;
}

std::string mapped(const std::string& text, int options) {
  utf8proc_uint8_t* result = nullptr;
  const auto size = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                 static_cast<utf8proc_ssize_t>(text.size()), &result,
                                 static_cast<utf8proc_option_t>(options));
  const std::unique_ptr<utf8proc_uint8_t, void (*)(void*)> owner(result, std::free);
  if (size < 0) return text;
  return {reinterpret_cast<const char*>(result), static_cast<size_t>(size)};
}

}  // namespace

std::string from_code_page(std::string_view bytes, CodePage page) {
  std::string text;
  for (const char byte : bytes) append_utf8(text, character(static_cast<uint8_t>(byte), page));
  return text;
}

std::optional<std::string> to_code_page(std::string_view text, CodePage page) {
  std::string bytes;
  while (!text.empty()) {
    const int32_t code = take_character(text);
    const auto byte = code < 0 ? std::nullopt : byte_of(code, page);
    if (!byte) return std::nullopt;
    bytes += static_cast<char>(*byte);
  }
  return bytes;
}

bool is_ascii_text(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

bool is_utf8(std::string_view text) {
  while (!text.empty())
    if (take_character(text) < 0) return false;
  return true;
}

std::string ascii_lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return lower;
}

std::string composed_text(const std::string& text) {
  return is_ascii_text(text) ? text : mapped(text, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
}

std::string caseless_text(const std::string& text) {
  if (!is_ascii_text(text))
    return mapped(text, UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_CASEFOLD);
  return ascii_lower(text);
}

}  // namespace edm2
