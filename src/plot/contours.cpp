#include "plot/contours.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace edm2::plot {
namespace {

struct Corner {
  Point at;
  double value = 0;
};
using Triangle = std::array<Corner, 3>;

// The grid on the canvas; NaN counts as below everything.
class Grid {
 public:
  Grid(const Contours& contours, const Mapping& x, const Mapping& y) : contours_(contours) {
    const auto positions = [](int64_t count, double from, double to, const Mapping& mapping) {
      std::vector<double> result;
      for (int64_t i = 0; i < count; ++i)
        result.push_back(
            mapping(from + (to - from) * static_cast<double>(i) / static_cast<double>(count - 1)));
      return result;
    };
    x_ = positions(contours.columns, contours.x0, contours.x1, x);
    y_ = positions(contours.rows, contours.y0, contours.y1, y);
  }

  Corner corner(int64_t row, int64_t column) const {
    const double value = contours_.values[static_cast<size_t>(row * contours_.columns + column)];
    constexpr double huge = 1e100;
    return {{x_[static_cast<size_t>(column)], y_[static_cast<size_t>(row)]},
            std::isnan(value) ? -huge : std::clamp(value, -huge, huge)};
  }

  // A cell's corners in order around it.
  std::array<Corner, 4> cell(int64_t row, int64_t column) const {
    return {corner(row, column), corner(row, column + 1), corner(row + 1, column + 1),
            corner(row + 1, column)};
  }

 private:
  const Contours& contours_;
  std::vector<double> x_, y_;
};

// Four triangles around the centre of a cell: no ambiguous saddles.
std::array<Triangle, 4> triangles(const std::array<Corner, 4>& cell) {
  Corner center;
  for (const Corner& corner : cell) {
    center.at.x += corner.at.x / 4;
    center.at.y += corner.at.y / 4;
    center.value += corner.value / 4;
  }
  std::array<Triangle, 4> result;
  for (size_t i = 0; i < 4; ++i) result[i] = {cell[i], cell[(i + 1) % 4], center};
  return result;
}

Corner between(const Corner& a, const Corner& b, double level) {
  // From the lower end always, so that neighbours that share the edge find the same point.
  if (a.value > b.value) return between(b, a, level);
  const double t = (level - a.value) / (b.value - a.value);
  return {{a.at.x + t * (b.at.x - a.at.x), a.at.y + t * (b.at.y - a.at.y)}, level};
}

template <class Keep>
void cut(std::vector<Corner>& polygon, double level, Keep keep) {
  std::vector<Corner> result;
  for (size_t i = 0; i < polygon.size(); ++i) {
    const Corner &a = polygon[i], &b = polygon[(i + 1) % polygon.size()];
    if (keep(a.value)) result.push_back(a);
    if (keep(a.value) != keep(b.value)) result.push_back(between(a, b, level));
  }
  polygon = std::move(result);
}

template <class Visit>
void for_each_cell(const Contours& contours, Visit visit) {
  for (int64_t row = 0; row + 1 < contours.rows; ++row)
    for (int64_t column = 0; column + 1 < contours.columns; ++column) visit(row, column);
}

}  // namespace

void trace_region(Canvas& canvas, const Contours& contours, const Mapping& x, const Mapping& y,
                  double low, double high) {
  const Grid grid(contours, x, y);
  const auto inside = [&](const Corner& c) { return c.value >= low && c.value < high; };
  int64_t solid_from = -1;  // a run of cells that belong to the region completely
  const auto end_run = [&](int64_t row, int64_t column) {
    if (solid_from < 0) return;
    canvas.polygon({grid.corner(row, solid_from).at, grid.corner(row, column).at,
                    grid.corner(row + 1, column).at, grid.corner(row + 1, solid_from).at});
    solid_from = -1;
  };
  for_each_cell(contours, [&](int64_t row, int64_t column) {
    const auto cell = grid.cell(row, column);
    const bool solid = std::all_of(cell.begin(), cell.end(), inside);
    if (solid && solid_from < 0) solid_from = column;
    if (!solid) {
      end_run(row, column);
      for (const Triangle& triangle : triangles(cell)) {
        std::vector<Corner> polygon(triangle.begin(), triangle.end());
        cut(polygon, low, [&](double value) { return value >= low; });
        if (std::isfinite(high)) cut(polygon, high, [&](double value) { return value < high; });
        std::vector<Point> points;
        for (const Corner& corner : polygon) points.push_back(corner.at);
        if (points.size() >= 3) canvas.polygon(points);
      }
    }
    if (column + 2 == contours.columns) end_run(row, column + 1);
  });
}

void trace_level(Canvas& canvas, const Contours& contours, const Mapping& x, const Mapping& y,
                 double level) {
  const Grid grid(contours, x, y);
  for_each_cell(contours, [&](int64_t row, int64_t column) {
    const auto cell = grid.cell(row, column);
    const auto above = [&](const Corner& corner) { return corner.value >= level; };
    const auto count = std::count_if(cell.begin(), cell.end(), above);
    if (count == 0 || count == 4) return;
    for (const Triangle& triangle : triangles(cell)) {
      std::vector<Point> ends;
      for (size_t i = 0; i < 3; ++i)
        if (above(triangle[i]) != above(triangle[(i + 1) % 3]))
          ends.push_back(between(triangle[i], triangle[(i + 1) % 3], level).at);
      if (ends.size() == 2) canvas.line(ends[0], ends[1]);
    }
  });
}

}  // namespace edm2::plot
