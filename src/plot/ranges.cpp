// What the layers of one axes have to say about ranges, colours, legend and ticks.
#include <c10/util/Exception.h>

#include <algorithm>
#include <limits>

#include "plot/layout.h"

namespace edm2::plot {
namespace {

template <class... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};
template <class... Cases>
Overloaded(Cases...) -> Overloaded<Cases...>;

// The range of data seen so far along one axis.
class Bounds {
 public:
  explicit Bounds(Scale scale) : scale_(scale) {}

  void add(double value) {
    if (!std::isfinite(value) || (scale_ == Scale::log && value <= 0)) return;
    low_ = std::min(low_, value);
    high_ = std::max(high_, value);
  }
  void add_all(const std::vector<double>& values) {
    for (const double value : values) add(value);
  }
  /// Bars stand on zero: no margin below it.
  void stand_on_zero() {
    add(0);
    on_zero_ = true;
  }

  Range range(const Axis& axis, double margin) const {
    Range range{low_, high_};
    if (low_ > high_) range = scale_ == Scale::log ? Range{1, 10} : Range{0, 1};
    if (scale_ == Scale::log) {
      const double factor = range.low == range.high ? 2 : std::pow(range.high / range.low, margin);
      range = {range.low / factor, range.high * factor};
    } else {
      const double size = std::max(std::abs(range.low), std::abs(range.high));
      const bool is_point = range.high - range.low <= 1e-12 * size;
      const double space =
          is_point ? (size > 0 ? 0.1 * size : 1) : margin * (range.high - range.low);
      if (!(on_zero_ && low_ == 0)) range.low -= space;
      if (!(on_zero_ && high_ == 0)) range.high += space;
    }
    if (axis.min) range.low = *axis.min;
    if (axis.max) range.high = *axis.max;
    return range;
  }

 private:
  Scale scale_;
  double low_ = std::numeric_limits<double>::infinity();
  double high_ = -std::numeric_limits<double>::infinity();
  bool on_zero_ = false;
};

void check_sizes(const Layer& layer) {
  const auto grid = [](const auto& table) {
    return table.values.size() == static_cast<size_t>(table.columns * table.rows);
  };
  const bool good = std::visit(
      Overloaded{
          [](const Series& s) { return s.x.size() == s.y.size(); },
          [](const Band& b) { return b.x.size() == b.low.size() && b.x.size() == b.high.size(); },
          [](const Bars& b) { return b.x.size() == b.height.size(); },
          [&](const Contours& c) {
            return c.columns >= 2 && c.rows >= 2 && grid(c) &&
                   (c.fills.empty() || c.fills.size() == c.levels.size() ||
                    c.fills.size() + 1 == c.levels.size());
          },
          [](const Picture& p) {
            return (p.image.channels == 1 || p.image.channels == 3 || p.image.channels == 4) &&
                   p.image.pixels.size() ==
                       static_cast<size_t>(p.image.width * p.image.height * p.image.channels);
          },
          [&](const HeatMap& h) {
            return h.columns >= 1 && h.rows >= 1 && grid(h) &&
                   (h.texts.empty() || h.texts.size() == h.values.size()) &&
                   h.column_labels.size() == static_cast<size_t>(h.columns) &&
                   h.row_labels.size() == static_cast<size_t>(h.rows);
          },
          [](const auto&) { return true; }},
      layer);
  TORCH_CHECK(good, "figure: the sizes of a layer's vectors do not fit together");
}

void extend(const Layer& layer, Bounds& x, Bounds& y) {
  std::visit(Overloaded{[&](const Series& s) {
                          x.add_all(s.x);
                          y.add_all(s.y);
                        },
                        [&](const Band& b) {
                          x.add_all(b.x);
                          y.add_all(b.low);
                          y.add_all(b.high);
                        },
                        [&](const Bars& b) {
                          for (const double at : b.x)
                            x.add_all({at - b.width / 2, at + b.width / 2});
                          y.add_all(b.height);
                          y.stand_on_zero();
                        },
                        [&](const Rule& r) { (r.horizontal ? y : x).add(r.at); },
                        [&](const Polygons& p) {
                          for (const auto& shape : p.shapes)
                            for (const auto& corner : shape) {
                              x.add(corner[0]);
                              y.add(corner[1]);
                            }
                        },
                        [&](const HeatMap& h) {
                          x.add_all({-0.5, static_cast<double>(h.columns) - 0.5});
                          y.add_all({-0.5, static_cast<double>(h.rows) - 0.5});
                        },
                        [](const Note&) {},
                        [&](const auto& area) {  // Contours, Picture
                          x.add_all({area.x0, area.x1});
                          y.add_all({area.y0, area.y1});
                        }},
             layer);
}

bool fills_the_axes(const Layer& layer) {
  return std::holds_alternative<Contours>(layer) || std::holds_alternative<Picture>(layer) ||
         std::holds_alternative<HeatMap>(layer);
}

// Colours of the layers, and what the legend says of them.
void resolve_colors(const Axes& axes, Panel& panel) {
  size_t next = 0;
  for (const Layer& layer : axes.layers) {
    Color color;
    const auto line = [&](const std::string& label, Style style) {
      color = style.color ? *style.color : series_color(next++);
      style.color = color;
      panel.legend.push_back({label, style});
    };
    const auto area = [&](const std::string& label, const Color& filled) {
      color = filled;
      panel.legend.push_back({label, {.color = filled}, true});
    };
    std::visit(
        Overloaded{[&](const Series& s) { line(s.label, s.style); },
                   [&](const Band& b) {
                     area(b.label, b.color ? *b.color : series_color(next).with_alpha(0.2));
                   },
                   [&](const Bars& b) { area(b.label, b.color ? *b.color : series_color(next++)); },
                   [&](const Rule& r) { line(r.label, r.style); },
                   [&](const Polygons& p) { area(p.label, p.color); }, [](const auto&) {}},
        layer);
    panel.colors.push_back(color);
  }
  std::erase_if(panel.legend, [](const LegendEntry& entry) { return entry.label.empty(); });
  if (axes.legend == Legend::none) panel.legend.clear();
}

Ticks cell_ticks(const std::vector<std::string>& labels) {
  Ticks ticks;
  for (size_t i = 0; i < labels.size(); ++i) ticks.positions.push_back(static_cast<double>(i));
  ticks.labels = labels;
  return ticks;
}

}  // namespace

Panel describe_panel(const Axes& axes) {
  Panel panel;
  panel.axes = &axes;
  Bounds x(axes.x.scale), y(axes.y.scale);
  for (const Layer& layer : axes.layers) {
    check_sizes(layer);
    extend(layer, x, y);
    panel.tight = panel.tight || fills_the_axes(layer);
  }
  panel.x = {axes.x.scale, x.range(axes.x, panel.tight ? 0 : 0.03)};
  panel.y = {axes.y.scale, y.range(axes.y, panel.tight ? 0 : 0.06)};
  for (const Mapping& mapping : {panel.x, panel.y})
    TORCH_CHECK(mapping.range.low < mapping.range.high &&
                    (mapping.scale == Scale::linear || mapping.range.low > 0),
                "figure: an axis from ", mapping.range.low, " to ", mapping.range.high);
  resolve_colors(axes, panel);

  panel.color_bar = axes.color_bar;
  for (const Layer& layer : axes.layers) {
    const auto* heat_map = std::get_if<HeatMap>(&layer);
    if (heat_map == nullptr) continue;
    panel.x_ticks = cell_ticks(heat_map->column_labels);
    panel.y_ticks = cell_ticks(heat_map->row_labels);
    Bounds values(Scale::linear);
    values.add_all(heat_map->values);
    const Range range = values.range({.min = heat_map->min, .max = heat_map->max}, /*margin=*/0);
    if (heat_map->color_bar)
      panel.color_bar = ColorBar{heat_map->map, range.low, range.high, heat_map->color_bar_label};
  }
  return panel;
}

}  // namespace edm2::plot
