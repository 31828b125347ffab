// Superscripts and subscripts in a figure's texts.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace edm2::plot {

struct TextRun {
  std::string text;  ///< valid UTF-8 without control characters
  double size = 1;   ///< of the font size
  double rise = 0;   ///< above the baseline, in font sizes
};

/// "10^{-3}" -> "10", raised "-3". Bytes that are not UTF-8 become '?'.
std::vector<TextRun> parse_text(std::string_view text);

}  // namespace edm2::plot
