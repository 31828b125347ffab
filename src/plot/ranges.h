// What the layers of one axes have to say about ranges, colours, legend and ticks.
#pragma once

#include "plot/layout.h"

namespace edm2::plot {

/// A panel with everything that does not depend on the canvas: ranges, colours, legend entries.
/// Throws c10::Error if the sizes of a layer's vectors disagree.
Panel describe_panel(const Axes& axes);

}  // namespace edm2::plot
