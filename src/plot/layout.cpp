#include "plot/layout.h"

#include <c10/util/Exception.h>

#include <algorithm>

namespace edm2::plot {
namespace {

struct Margins {
  double left = 0, top = 0, right = 0, bottom = 0;
};

Ticks make_ticks(const Mapping& mapping, int max_count) {
  return mapping.scale == Scale::log
             ? log_ticks(mapping.range.low, mapping.range.high, max_count)
             : linear_ticks(mapping.range.low, mapping.range.high, max_count);
}

Ticks given_ticks(const std::vector<std::pair<double, std::string>>& pairs, const Range& range) {
  Ticks ticks;
  for (const auto& [position, label] : pairs) {
    if (position < range.low || position > range.high) continue;
    ticks.positions.push_back(position);
    ticks.labels.push_back(label);
  }
  return ticks;
}

// Whether labels side by side under an axis of that length keep their distance.
bool labels_fit(const Ticks& ticks, const Mapping& mapping, double length, Canvas& canvas,
                double size) {
  Mapping placed = mapping;
  placed.begin = 0;
  placed.end = length;
  double free_from = -1e9;
  for (size_t i = 0; i < ticks.labels.size(); ++i) {
    const double half = canvas.text_width(ticks.labels[i], size) / 2;
    const double center = placed(ticks.positions[i]);
    if (center - half < free_from) return false;
    free_from = center + half + 0.7 * size;
  }
  return true;
}

bool has_cell_ticks(const Panel& panel) {
  return std::any_of(panel.axes->layers.begin(), panel.axes->layers.end(),
                     [](const Layer& layer) { return std::holds_alternative<HeatMap>(layer); });
}

void choose_ticks(Panel& panel, double width, double height, Canvas& canvas,
                  const Metrics& metrics) {
  const Axes& axes = *panel.axes;
  if (!axes.visible) return;
  const bool fixed = has_cell_ticks(panel);
  if (axes.x.ticks) {
    panel.x_ticks = given_ticks(*axes.x.ticks, panel.x.range);
  } else if (!fixed) {
    for (int count = 9; count >= 2; --count) {
      panel.x_ticks = make_ticks(panel.x, count);
      if (labels_fit(panel.x_ticks, panel.x, width, canvas, metrics.tick)) break;
    }
  }
  panel.slanted_x_labels = !labels_fit(panel.x_ticks, panel.x, width, canvas, metrics.tick);
  if (axes.y.ticks) {
    panel.y_ticks = given_ticks(*axes.y.ticks, panel.y.range);
  } else if (!fixed) {
    const int count = std::clamp(static_cast<int>(height / (2.6 * metrics.tick)), 2, 9);
    panel.y_ticks = make_ticks(panel.y, count);
  }
  if (panel.color_bar)
    panel.bar_ticks = linear_ticks(panel.color_bar->min, panel.color_bar->max,
                                   std::clamp(static_cast<int>(height / (3 * metrics.tick)), 2, 7));
}

Margins margins_of(const Panel& panel, Canvas& canvas, const Metrics& metrics) {
  const Axes& axes = *panel.axes;
  Margins margins;
  if (!axes.title.empty()) margins.top += metrics.title + 1.4 * metrics.gap;
  if (axes.visible) {
    margins.left = metrics.tick_length + 3 + widest(panel.y_ticks.labels, canvas, metrics.tick);
    if (!axes.y.label.empty()) margins.left += metrics.label + 1.4 * metrics.gap;
    margins.bottom = metrics.tick_length + 4 + x_labels_height(panel, canvas, metrics);
    if (!axes.x.label.empty()) margins.bottom += metrics.label + metrics.gap;
    if (!panel.y_ticks.factor.empty()) margins.top = std::max(margins.top, metrics.tick + 6);
    // Half of the last label may stand beyond the axis.
    if (!panel.x_ticks.labels.empty() && !panel.slanted_x_labels)
      margins.right = 0.4 * canvas.text_width(panel.x_ticks.labels.back(), metrics.tick);
    margins.top = std::max(margins.top, 0.5 * metrics.tick);
    margins.left = std::max(margins.left, margins.right);
  }
  if (panel.color_bar) {
    margins.right = metrics.bar_gap + metrics.bar_width + metrics.tick_length + 2 +
                    widest(panel.bar_ticks.labels, canvas, metrics.tick);
    if (!panel.bar_ticks.factor.empty()) margins.top = std::max(margins.top, metrics.tick + 6);
    if (!panel.color_bar->label.empty()) margins.right += metrics.label + 1.4 * metrics.gap;
  }
  if (panel.has_outside_legend())
    margins.right += legend_width(panel, canvas, metrics) + 2 * metrics.gap;
  return margins;
}

// Makes a unit of x as long as a unit of y by taking from the box what is too much.
void equalize(const Panel& panel, Box& box) {
  const double x_units = panel.x.range.high - panel.x.range.low;
  const double y_units = panel.y.range.high - panel.y.range.low;
  const double unit = std::min(box.width() / x_units, box.height() / y_units);
  const double spare_x = box.width() - unit * x_units, spare_y = box.height() - unit * y_units;
  box = {box.left + spare_x / 2, box.top + spare_y / 2, box.right - spare_x / 2,
         box.bottom - spare_y / 2};
}

}  // namespace

double widest(const std::vector<std::string>& labels, Canvas& canvas, double size) {
  double width = 0;
  for (const auto& label : labels) width = std::max(width, canvas.text_width(label, size));
  return width;
}

double x_labels_height(const Panel& panel, Canvas& canvas, const Metrics& metrics) {
  if (!panel.slanted_x_labels) return metrics.tick;
  return 0.75 * (widest(panel.x_ticks.labels, canvas, metrics.tick) + metrics.tick);
}

double legend_width(const Panel& panel, Canvas& canvas, const Metrics& metrics) {
  double width = 0;
  for (const auto& entry : panel.legend)
    width = std::max(width, canvas.text_width(entry.label, metrics.tick));
  return width + metrics.legend_sample + 3 * metrics.gap;
}

double legend_height(const Panel& panel, const Metrics& metrics) {
  return static_cast<double>(panel.legend.size()) * 1.5 * metrics.tick + metrics.gap;
}

std::vector<Panel> lay_out(const Figure& figure, Canvas& canvas, const Metrics& metrics) {
  const auto columns = static_cast<size_t>(figure.columns), rows = static_cast<size_t>(figure.rows);
  TORCH_CHECK(figure.columns > 0 && figure.rows > 0 && figure.axes.size() <= columns * rows,
              "figure: ", figure.axes.size(), " axes in ", rows, " rows and ", columns, " columns");
  std::vector<Panel> panels;
  for (const Axes& axes : figure.axes) panels.push_back(describe_panel(axes));

  const double edge = 7;
  Box page{edge, edge, 72 * figure.width - edge, 72 * figure.height - edge};
  if (!figure.title.empty()) page.top += 1.15 * metrics.title + 1.6 * metrics.gap;
  const double gap = 1.6 * metrics.label;

  // Margins depend on the ticks, and ticks on the room that margins leave: twice is enough.
  double width = page.width() / static_cast<double>(columns) * 0.75;
  double height = page.height() / static_cast<double>(rows) * 0.75;
  for (int round = 0; round < 3; ++round) {
    std::vector<double> left(columns), right(columns), top(rows), bottom(rows);
    for (size_t i = 0; i < panels.size(); ++i) {
      choose_ticks(panels[i], width, height, canvas, metrics);
      const Margins margins = margins_of(panels[i], canvas, metrics);
      const size_t column = i % columns, row = i / columns;
      left[column] = std::max(left[column], margins.left);
      right[column] = std::max(right[column], margins.right);
      top[row] = std::max(top[row], margins.top);
      bottom[row] = std::max(bottom[row], margins.bottom);
    }
    const auto sum = [](const std::vector<double>& a, const std::vector<double>& b) {
      double total = 0;
      for (size_t i = 0; i < a.size(); ++i) total += a[i] + b[i];
      return total;
    };
    width = (page.width() - sum(left, right) - gap * static_cast<double>(columns - 1)) /
            static_cast<double>(columns);
    height = (page.height() - sum(top, bottom) - gap * static_cast<double>(rows - 1)) /
             static_cast<double>(rows);
    TORCH_CHECK(width > 1 && height > 1, "figure: no room is left for data");
    double y = page.top;
    for (size_t row = 0; row < rows; ++row) {
      y += top[row];
      double x = page.left;
      for (size_t column = 0; column < columns; ++column) {
        x += left[column];
        const size_t i = row * columns + column;
        if (i < panels.size()) panels[i].box = {x, y, x + width, y + height};
        x += width + right[column] + gap;
      }
      y += height + bottom[row] + gap;
    }
  }
  for (Panel& panel : panels) {
    if (panel.axes->equal_aspect) equalize(panel, panel.box);
    panel.x.begin = panel.box.left;
    panel.x.end = panel.box.right;
    panel.y.begin = panel.box.bottom;
    panel.y.end = panel.box.top;
  }
  return panels;
}

}  // namespace edm2::plot
