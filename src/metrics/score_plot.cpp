#include "edm2/metrics/score_plot.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "edm2/core/error.h"
#include "edm2/core/format_number.h"
#include "edm2/core/words.h"

namespace edm2 {
namespace {

std::string text_of(double value) { return format_number("%.4g", value); }

bool is_metric(const std::string& name) {
  const auto& known = known_metrics();
  return std::any_of(known.begin(), known.end(),
                     [&](const Metric& metric) { return metric.name == name; });
}

/// What people call a column.
std::string axis_label(const std::string& column) {
  if (column == "std") return "EMA length σ_{rel}";
  if (column == "guidance") return "Guidance";
  return column;
}
std::string setting_text(const std::string& column, double value) {
  return (column == "std" ? "σ_{rel}" : column) + " " + text_of(value);
}

/// Columns of what was varied.
std::vector<size_t> varied_columns(const ScoreTable& table) {
  std::vector<size_t> columns;
  for (size_t i = 0; i < table.columns.size(); ++i)
    if (!is_metric(table.columns[i])) columns.push_back(i);
  return columns;
}

size_t count_values(const ScoreTable& table, size_t column) {
  std::set<double> values;
  for (const auto& row : table.rows)
    if (std::isfinite(row[column])) values.insert(row[column]);
  return values.size();
}

/// The column with the most different values; the first one of several.
std::string choose_x(const ScoreTable& table) {
  const auto columns = varied_columns(table);
  if (columns.empty())
    throw Error("'" + table.name + "' has no column besides scores to plot them over, such as std");
  const auto most = std::max_element(columns.begin(), columns.end(), [&](size_t a, size_t b) {
    return count_values(table, a) < count_values(table, b);
  });
  return table.columns[*most];
}

size_t require_column(const ScoreTable& table, const std::string& column) {
  if (const auto found = table.find(column)) return *found;
  throw Error("'" + table.name + "' has no column '" + column + "'; it has " +
              join(table.columns, ", "));
}

std::vector<Metric> metrics_of(const ScoreTable& table) {
  std::vector<Metric> metrics;
  for (const Metric& metric : known_metrics())
    if (table.find(metric.name)) metrics.push_back(metric);
  if (metrics.empty()) throw Error("'" + table.name + "' has no column with the name of a metric");
  return metrics;
}

struct Line {
  std::string label;
  std::vector<std::pair<double, double>> points;  // by x
};

/// Points that differ in x alone make a line, whose label says what else was varied.
std::vector<Line> lines_of(const ScoreTable& table, size_t x, size_t y, bool with_name) {
  std::vector<size_t> others;
  for (const size_t column : varied_columns(table))
    if (column != x && count_values(table, column) > 1) others.push_back(column);
  std::map<std::vector<double>, Line> lines;
  for (const auto& row : table.rows) {
    if (!std::isfinite(row[x]) || !std::isfinite(row[y])) continue;
    std::vector<double> setting;
    for (const size_t column : others)  // not a number has no place in an order
      setting.push_back(std::isfinite(row[column]) ? row[column] : 0);
    Line& line = lines[setting];
    line.points.emplace_back(row[x], row[y]);
    if (line.points.size() > 1) continue;
    line.label = with_name ? table.name : "";
    for (size_t i = 0; i < others.size(); ++i)
      line.label +=
          (line.label.empty() ? "" : ", ") + setting_text(table.columns[others[i]], setting[i]);
  }
  std::vector<Line> result;
  for (auto& [setting, line] : lines) {
    std::sort(line.points.begin(), line.points.end());
    result.push_back(std::move(line));
  }
  return result;
}

/// The line, and a ring around its best point.
void add_line(plot::Axes& axes, const Line& line, const Metric& metric, size_t index) {
  const auto best =
      std::min_element(line.points.begin(), line.points.end(), [&](const auto& a, const auto& b) {
        return metric.smaller_is_better() ? a.second < b.second : a.second > b.second;
      });
  const plot::Color color = plot::series_color(index);
  plot::Series series{.label = line.label, .style = {.color = color}};
  series.style.marker = plot::Marker::circle;
  series.style.marker_size = 4;
  for (const auto& [x, y] : line.points) {
    series.x.push_back(x);
    series.y.push_back(y);
  }
  series.label += (series.label.empty() ? "best " : ": best ") + text_of(best->second) + " at " +
                  text_of(best->first);
  axes.add(std::move(series));
  axes.add(plot::scatter("", {best->first}, {best->second}, 9, color));
}

plot::Axes axes_of(const Metric& metric, const std::string& x,
                   const std::vector<ScoreTable>& tables, bool log_scale) {
  plot::Axes axes;
  axes.x.label = axis_label(x);
  axes.y.label = metric.name;
  if (log_scale) axes.y.scale = plot::Scale::log;
  size_t count = 0;
  for (const ScoreTable& table : tables)
    for (const Line& line : lines_of(table, require_column(table, x),
                                     require_column(table, metric.name), tables.size() > 1))
      add_line(axes, line, metric, count++);
  if (count == 0) throw Error("there are no numbers for " + metric.name);
  return axes;
}

}  // namespace

plot::Figure score_plot(const std::vector<ScoreTable>& tables, const ScorePlotOptions& options) {
  if (tables.empty()) throw UsageError("there is no table to plot");
  const auto metrics = options.metrics.empty() ? metrics_of(tables[0]) : options.metrics;
  const std::string x = options.x.value_or(choose_x(tables[0]));
  plot::Figure figure{.title = options.title};
  figure.columns = static_cast<int64_t>(std::min<size_t>(metrics.size(), 3));
  figure.rows = (static_cast<int64_t>(metrics.size()) + figure.columns - 1) / figure.columns;
  for (const Metric& metric : metrics)
    figure.axes.push_back(axes_of(metric, x, tables, options.log_scale));
  figure.width = figure.columns == 1 ? 6.4 : 4.8 * static_cast<double>(figure.columns);
  figure.height = 4.2 * static_cast<double>(figure.rows);
  return figure;
}

}  // namespace edm2
