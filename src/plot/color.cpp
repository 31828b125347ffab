#include "edm2/plot/color.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace edm2::plot {
namespace {

ColorMap from_hex(std::initializer_list<uint32_t> stops) {
  ColorMap map;
  for (const uint32_t stop : stops) map.stops.push_back(rgb(stop));
  return map;
}

}  // namespace

Color series_color(size_t index) {
  static constexpr std::array<uint32_t, 8> colors = {0x0072b2, 0xd55e00, 0x009e73, 0xcc79a7,
                                                     0xe69f00, 0x56b4e9, 0x8c6bb1, 0x4d4d4d};
  return rgb(colors[index % colors.size()]);
}

Color ColorMap::at(double t) const {
  if (std::isnan(t)) return rgb(0xeeeeee);
  const double position = std::clamp(t, 0.0, 1.0) * static_cast<double>(stops.size() - 1);
  const auto below = static_cast<size_t>(position);
  if (below + 1 >= stops.size()) return stops.back();
  const double w = position - static_cast<double>(below);
  const Color &a = stops[below], &b = stops[below + 1];
  return {a.red + w * (b.red - a.red), a.green + w * (b.green - a.green),
          a.blue + w * (b.blue - a.blue), a.alpha + w * (b.alpha - a.alpha)};
}

ColorMap ColorMap::reversed() const { return {{stops.rbegin(), stops.rend()}}; }

ColorMap ColorMap::viridis() {
  return from_hex({0x440154, 0x482878, 0x3e4a89, 0x31688e, 0x26828e, 0x1f9e89, 0x35b779, 0x6ece58,
                   0xb5de2b, 0xfde725});
}
ColorMap ColorMap::blues() {
  return from_hex(
      {0xf7fbff, 0xdeebf7, 0xc6dbef, 0x9ecae1, 0x6baed6, 0x4292c6, 0x2171b5, 0x08519c, 0x08306b});
}
ColorMap ColorMap::greens() {
  return from_hex(
      {0xf7fcf5, 0xe5f5e0, 0xc7e9c0, 0xa1d99b, 0x74c476, 0x41ab5d, 0x238b45, 0x006d2c, 0x00441b});
}
ColorMap ColorMap::oranges() {
  return from_hex(
      {0xfff5eb, 0xfee6ce, 0xfdd0a2, 0xfdae6b, 0xfd8d3c, 0xf16913, 0xd94801, 0xa63603, 0x7f2704});
}
ColorMap ColorMap::reds() {
  return from_hex(
      {0xfff5f0, 0xfee0d2, 0xfcbba1, 0xfc9272, 0xfb6a4a, 0xef3b2c, 0xcb181d, 0xa50f15, 0x67000d});
}

}  // namespace edm2::plot
