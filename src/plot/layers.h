// Draws the data of one panel.
#pragma once

#include "plot/layout.h"

namespace edm2::plot {

void draw_layers(Canvas& canvas, const Panel& panel, const Metrics& metrics);

}  // namespace edm2::plot
