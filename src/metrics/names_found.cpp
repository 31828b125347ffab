#include "metrics/names_found.h"

#include <algorithm>

#include "edm2/core/printable.h"

namespace edm2 {

std::string names_found(const std::vector<std::string>& names) {
  constexpr size_t most = 6, longest = 60;
  std::string text;
  for (size_t i = 0; i < std::min(names.size(), most); ++i)
    text += (text.empty() ? "'" : ", '") + printable_within(names[i], longest) + "'";
  if (names.size() > most)
    text += " and " + std::to_string(names.size() - most) +
            (names.size() == most + 1 ? " other" : " others");
  return text.empty() ? "nothing" : text;
}

}  // namespace edm2
