#include "metrics/names_found.h"

#include <algorithm>

namespace edm2 {

std::string names_found(const std::vector<std::string>& names) {
  constexpr size_t most = 6, longest = 60;
  std::string text;
  for (size_t i = 0; i < std::min(names.size(), most); ++i) {
    std::string shown = names[i].substr(0, longest);
    for (char& c : shown)
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
    text += (text.empty() ? "'" : ", '") + shown + "'";
  }
  if (names.size() > most)
    text += " and " + std::to_string(names.size() - most) +
            (names.size() == most + 1 ? " other" : " others");
  return text.empty() ? "nothing" : text;
}

}  // namespace edm2
