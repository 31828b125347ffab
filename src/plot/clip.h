// Keeps shapes near the visible box: Cairo's coordinates overflow far outside of it.
#pragma once

#include <vector>

#include "plot/canvas.h"

namespace edm2::plot {

/// The part of the segment inside of the box; false if there is none.
bool clip_segment(const Box& box, Point& from, Point& to);

/// The part of the polygon inside of the box (possibly empty).
std::vector<Point> clip_polygon(const Box& box, const std::vector<Point>& polygon);

}  // namespace edm2::plot
