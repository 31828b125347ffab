#include "plot/clip.h"

#include <algorithm>

namespace edm2::plot {
namespace {

// The part of a polygon where inside(point) >= 0, for a linear function.
template <class Inside>
std::vector<Point> clip_to_half_plane(const std::vector<Point>& polygon, Inside inside) {
  std::vector<Point> result;
  for (size_t i = 0; i < polygon.size(); ++i) {
    const Point a = polygon[i], b = polygon[(i + 1) % polygon.size()];
    const double fa = inside(a), fb = inside(b);
    if (fa >= 0) result.push_back(a);
    if ((fa < 0) != (fb < 0)) {
      const double t = fa / (fa - fb);
      result.push_back({a.x + t * (b.x - a.x), a.y + t * (b.y - a.y)});
    }
  }
  return result;
}

}  // namespace

bool clip_segment(const Box& box, Point& from, Point& to) {
  const double dx = to.x - from.x, dy = to.y - from.y;
  double first = 0, last = 1;  // Liang and Barsky
  const auto limit = [&](double direction, double distance) {
    if (direction == 0) return distance >= 0;
    const double t = distance / direction;
    if (direction < 0)
      first = std::max(first, t);
    else
      last = std::min(last, t);
    return first <= last;
  };
  if (!limit(-dx, from.x - box.left) || !limit(dx, box.right - from.x) ||
      !limit(-dy, from.y - box.top) || !limit(dy, box.bottom - from.y))
    return false;
  const Point start = from;
  if (first > 0) from = {start.x + first * dx, start.y + first * dy};
  if (last < 1) to = {start.x + last * dx, start.y + last * dy};
  return true;
}

std::vector<Point> clip_polygon(const Box& box, const std::vector<Point>& polygon) {
  auto result = clip_to_half_plane(polygon, [&](Point p) { return p.x - box.left; });
  result = clip_to_half_plane(result, [&](Point p) { return box.right - p.x; });
  result = clip_to_half_plane(result, [&](Point p) { return p.y - box.top; });
  return clip_to_half_plane(result, [&](Point p) { return box.bottom - p.y; });
}

}  // namespace edm2::plot
