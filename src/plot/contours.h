// Level sets on a regular grid.
#pragma once

#include "plot/layout.h"

namespace edm2::plot {

/// Adds to the canvas's path the region low <= value < high; `high` may be infinite.
void trace_region(Canvas& canvas, const Contours& grid, const Mapping& x, const Mapping& y,
                  double low, double high);

/// Adds to the canvas's path the lines value = level.
void trace_level(Canvas& canvas, const Contours& grid, const Mapping& x, const Mapping& y,
                 double level);

}  // namespace edm2::plot
