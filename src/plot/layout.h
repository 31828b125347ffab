// Where the parts of a figure stand: ranges, ticks and boxes of its axes.
#pragma once

#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "plot/canvas.h"
#include "plot/ticks.h"

namespace edm2::plot {

struct Range {
  double low = 0, high = 1;
};

/// One axis of one panel: from values to points on the canvas.
struct Mapping {
  Scale scale = Scale::linear;
  Range range;
  double begin = 0, end = 1;  ///< where range.low and range.high stand

  bool can_show(double value) const {
    return std::isfinite(value) && (scale == Scale::linear || value > 0);
  }
  double operator()(double value) const {
    const auto f = [this](double v) { return scale == Scale::log ? std::log(v) : v; };
    return begin + (f(value) - f(range.low)) / (f(range.high) - f(range.low)) * (end - begin);
  }
};

struct LegendEntry {
  std::string label;
  Style style;        ///< with its colour
  bool area = false;  ///< a filled square instead of a line
};

/// One of the figure's axes, ready to be drawn.
struct Panel {
  const Axes* axes = nullptr;
  std::vector<Color> colors;  ///< of the layers
  std::vector<LegendEntry> legend;
  std::optional<ColorBar> color_bar;
  Ticks x_ticks, y_ticks, bar_ticks;
  bool slanted_x_labels = false;
  bool tight = false;  ///< filled to the edges: a frame, no grid
  Mapping x, y;
  Box box;  ///< of the data

  bool has_outside_legend() const { return axes->legend == Legend::outside && !legend.empty(); }
};

/// Sizes of letters and gaps, all from the figure's font size.
struct Metrics {
  explicit Metrics(double font_size)
      : label(font_size), tick(0.88 * font_size), title(1.12 * font_size), gap(0.5 * font_size) {}
  double label, tick, title, gap;
  double tick_length = 3.5;
  double bar_width = 11, bar_gap = 9;  ///< colour bar
  double legend_sample = 20;
};

double widest(const std::vector<std::string>& labels, Canvas& canvas, double size);
/// What the labels of the x axis take below its ticks.
double x_labels_height(const Panel& panel, Canvas& canvas, const Metrics& metrics);
/// Width of the legend's box.
double legend_width(const Panel& panel, Canvas& canvas, const Metrics& metrics);
double legend_height(const Panel& panel, const Metrics& metrics);

/// A panel with everything that does not depend on the canvas: ranges, colours, legend entries.
/// Throws c10::Error if the sizes of a layer's vectors disagree.
Panel describe_panel(const Axes& axes);

std::vector<Panel> lay_out(const Figure& figure, Canvas& canvas, const Metrics& metrics);

}  // namespace edm2::plot
