/// Colours and colour maps of figures.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace edm2::plot {

/// sRGB components and opacity, each 0 to 1.
struct Color {
  double red = 0, green = 0, blue = 0, alpha = 1;

  bool operator==(const Color&) const = default;
  /// The same colour with another opacity.
  Color with_alpha(double opacity) const { return {red, green, blue, opacity}; }
};

/// A colour from six hexadecimal digits, e.g. 0xff7f0e.
constexpr Color rgb(uint32_t hex, double alpha = 1) {
  return {static_cast<double>(hex >> 16 & 255) / 255, static_cast<double>(hex >> 8 & 255) / 255,
          static_cast<double>(hex & 255) / 255, alpha};
}

/// Colours for series 0, 1, 2, ... that also colour-blind readers tell apart (Okabe and Ito);
/// repeats after eight.
Color series_color(size_t index);

/// Colours for numbers: linear interpolation between stops that stand at equal distances.
struct ColorMap {
  std::vector<Color> stops;  ///< at least one

  /// t is clamped to 0...1; NaN is light grey.
  Color at(double t) const;
  ColorMap reversed() const;

  static ColorMap viridis();  ///< dark violet, green, yellow; equal steps look equal
  /// Light to dark, one hue each (ColorBrewer's sequential schemes of nine classes).
  static ColorMap blues();
  static ColorMap greens();
  static ColorMap oranges();
  static ColorMap reds();
};

}  // namespace edm2::plot
