#include "data/copy_names.h"

#include <algorithm>

namespace edm2 {

bool all_digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

namespace {

/// Takes " (2)" or "(2)" off.
bool take_number(std::string& stem) {
  if (!stem.ends_with(')')) return false;
  const size_t open = stem.rfind('(');
  if (open == std::string::npos || open == 0 ||
      !all_digits(std::string_view(stem).substr(open + 1, stem.size() - open - 2)))
    return false;
  stem.erase(stem[open - 1] == ' ' ? open - 1 : open);
  return true;
}

bool take_text(std::string& stem, std::string_view ending) {
  if (stem.size() <= ending.size() || !stem.ends_with(ending)) return false;
  stem.erase(stem.size() - ending.size());
  return true;
}

std::vector<std::string> original_stems(const std::string& stem) {
  std::vector<std::string> originals;
  std::string rest = stem;
  if (take_number(rest)) originals.push_back(rest);
  // macOS: "a copy", "a copy 2"; Windows: "a - Copy", "a - Copy (2)"; GNOME: "a (copy)".
  if (const size_t blank = rest.rfind(' ');
      blank != std::string::npos && all_digits(std::string_view(rest).substr(blank + 1)))
    rest.erase(blank);
  for (const std::string_view ending :
       {" - Copy", " - copy", " copy", "_copy", "-copy", " (copy)", " (another copy)", " - Kopie",
        " Kopie", " (Kopie)", " - Copie", " - copia"})
    if (std::string original = rest; take_text(original, ending)) originals.push_back(original);
  for (const std::string_view start : {"Copy of ", "copy of ", "Kopie von "})
    if (stem.starts_with(start)) originals.push_back(stem.substr(start.size()));
  return originals;
}

}  // namespace

std::vector<std::string> originals_of(const std::string& name) {
  const size_t start = name.rfind('/') + 1, dot = name.rfind('.');
  if (dot == std::string::npos || dot < start) return {};
  std::vector<std::string> originals;
  for (const std::string& stem : original_stems(name.substr(start, dot - start)))
    originals.push_back(name.substr(0, start) + stem + name.substr(dot));
  return originals;
}

}  // namespace edm2
