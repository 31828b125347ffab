#include "data/name_text.h"

#include <cstdio>

#include "io/code_pages.h"

namespace edm2 {

std::string quoted_name(std::string_view name) {
  constexpr size_t longest = 200;
  const bool cut = name.size() > longest;
  const bool readable = is_utf8(name);
  if (cut) name = name.substr(0, longest);
  while (cut && readable && !is_utf8(name)) name.remove_suffix(1);  // a part of a character
  std::string text = "'";
  for (size_t i = 0; i < name.size(); ++i) {
    const auto byte = static_cast<unsigned char>(name[i]);
    const auto next = i + 1 < name.size() ? static_cast<unsigned char>(name[i + 1]) : 0u;
    const bool control = byte < 0x20 || byte == 0x7f || (byte == 0xc2 && next < 0xa0);
    if (!control && (byte < 0x80 || readable)) {
      text += name[i];
      continue;
    }
    char escaped[16];
    std::snprintf(escaped, sizeof escaped, "\\x%02x", control && byte == 0xc2 ? next : byte);
    text += escaped;
    if (control && byte == 0xc2) ++i;
  }
  return text + (cut ? "...'" : "'");
}

std::string numbered_names(const std::vector<std::string>& names) {
  constexpr size_t most = 20;
  std::string text;
  for (size_t i = 0; i < names.size(); ++i) {
    if (names.size() > most && i > 0 && i + 1 < names.size()) continue;
    text += (text.empty() ? "" : ", ") + quoted_name(names[i]) + " is " + std::to_string(i);
  }
  return text;
}

std::string with_commas(size_t count) {
  std::string text = std::to_string(count);
  for (size_t i = text.size(); i > 3;) text.insert(i -= 3, ",");
  return text;
}

}  // namespace edm2
