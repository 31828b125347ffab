#include "analysis/sweep_figures.h"

#include <algorithm>
#include <limits>

#include "edm2/core/format_number.h"
#include "edm2/core/platform.h"
#include "edm2/io/image.h"

namespace edm2 {
namespace {

std::vector<std::string> texts_of(const char* pattern, const std::vector<double>& values) {
  std::vector<std::string> texts;
  for (const double value : values) texts.push_back(format_number(pattern, value));
  return texts;
}

std::vector<std::pair<double, std::string>> ticks_of(const char* pattern,
                                                     const std::vector<double>& values) {
  std::vector<std::pair<double, std::string>> ticks;
  for (size_t i = 0; i < values.size(); ++i)
    ticks.emplace_back(static_cast<double>(i), format_number(pattern, values[i]));
  return ticks;
}

const char* std_label = "EMA length \u03c3_{rel}";

plot::Axes line_axes(const Metric& metric, const std::vector<SweepCell>& cells, bool over_std) {
  plot::Axes axes;
  axes.x.label = over_std ? std_label : "Guidance";
  axes.y.label = metric.name;
  plot::Series series{.style = {.marker = plot::Marker::circle}};
  for (const SweepCell& cell : cells) {
    series.x.push_back(over_std ? cell.std : cell.guidance);
    series.y.push_back(cell.score(metric.name).value_or(std::numeric_limits<double>::quiet_NaN()));
  }
  axes.add(std::move(series));
  return axes;
}

plot::Axes map_axes(const Metric& metric, const std::vector<double>& stds,
                    const std::vector<double>& guidances, const std::vector<SweepCell>& cells) {
  plot::Axes axes;
  axes.x.label = std_label;
  axes.y.label = "Guidance";
  plot::HeatMap map{.columns = static_cast<int64_t>(stds.size()),
                    .rows = static_cast<int64_t>(guidances.size()),
                    .column_labels = texts_of("%.3f", stds),
                    .row_labels = texts_of("%g", guidances),
                    .color_bar_label = metric.name};
  // Bright is good.
  if (smaller_is_better(metric)) map.map = map.map.reversed();
  const SweepCell* best = best_cell(metric, cells);
  for (size_t row = 0; row < guidances.size(); ++row) {
    for (size_t column = 0; column < stds.size(); ++column) {
      const SweepCell& cell = cells[column * guidances.size() + row];
      const auto score = cell.score(metric.name);
      map.values.push_back(score.value_or(std::numeric_limits<double>::quiet_NaN()));
      map.texts.push_back(score ? format_number("%.3g", *score) : "");
      if (&cell == best) map.highlight = {static_cast<int64_t>(row), static_cast<int64_t>(column)};
    }
  }
  axes.add(std::move(map));
  return axes;
}

}  // namespace

bool smaller_is_better(const Metric& metric) {
  return metric.kind == MetricKind::frechet || metric.kind == MetricKind::kernel;
}

const SweepCell* best_cell(const Metric& metric, const std::vector<SweepCell>& cells) {
  const SweepCell* best = nullptr;
  for (const SweepCell& cell : cells) {
    const auto score = cell.score(metric.name);
    if (!score) continue;
    const bool is_better = best && (smaller_is_better(metric) ? *score < *best->score(metric.name)
                                                              : *score > *best->score(metric.name));
    if (!best || is_better) best = &cell;
  }
  return best;
}

plot::Figure score_figure(const Metric& metric, const std::vector<double>& stds,
                          const std::vector<double>& guidances,
                          const std::vector<SweepCell>& cells) {
  plot::Figure figure;
  if (stds.size() == 1 || guidances.size() == 1) {
    figure.axes.push_back(line_axes(metric, cells, guidances.size() == 1));
  } else {
    figure.axes.push_back(map_axes(metric, stds, guidances, cells));
    figure.width = std::clamp(2.2 + 0.62 * static_cast<double>(stds.size()), 4.5, 20.0);
    figure.height = std::clamp(1.4 + 0.45 * static_cast<double>(guidances.size()), 3.0, 16.0);
  }
  if (const SweepCell* best = best_cell(metric, cells))
    figure.axes[0].title = metric.name + " = " + format_number("%.4g", *best->score(metric.name)) +
                           " at \u03c3_{rel} " + format_number("%.3f", best->std) + ", guidance " +
                           format_number("%g", best->guidance);
  return figure;
}

plot::Figure overview_figure(
    const std::vector<double>& stds, const std::vector<double>& guidances,
    const std::function<std::filesystem::path(double std, double guidance)>& sheet) {
  plot::Figure figure;
  plot::Axes& axes = figure.axes.emplace_back();
  axes.x = {.label = std_label,
            .min = -0.5,
            .max = static_cast<double>(stds.size()) - 0.5,
            .ticks = ticks_of("%.3f", stds)};
  axes.y = {.label = "Guidance",
            .min = -0.5,
            .max = static_cast<double>(guidances.size()) - 0.5,
            .ticks = ticks_of("%g", guidances)};
  axes.equal_aspect = true;
  constexpr double half = 0.48;  // leaves a gap between the sheets
  for (size_t column = 0; column < stds.size(); ++column) {
    for (size_t row = 0; row < guidances.size(); ++row) {
      const std::filesystem::path path = sheet(stds[column], guidances[row]);
      const MappedFile file(path);
      Image image = decode_rgb(file.bytes(), path.string());
      const auto size = static_cast<double>(std::max(image.width, image.height));
      const double x = half * static_cast<double>(image.width) / size;
      const double y = half * static_cast<double>(image.height) / size;
      const auto c = static_cast<double>(column), r = static_cast<double>(row);
      axes.add(plot::Picture{
          .image = std::move(image), .x0 = c - x, .x1 = c + x, .y0 = r - y, .y1 = r + y});
    }
  }
  // Large enough to look at, small enough for one picture.
  const double cell =
      std::clamp(48.0 / static_cast<double>(std::max(stds.size(), guidances.size())), 0.8, 2.0);
  figure.width = 0.9 + cell * static_cast<double>(stds.size());
  figure.height = 0.7 + cell * static_cast<double>(guidances.size());
  return figure;
}

}  // namespace edm2
