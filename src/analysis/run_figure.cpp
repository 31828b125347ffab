// Figures of training runs.
#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "analysis/run_lines.h"
#include "edm2/analysis/run_curves.h"
#include "edm2/core/error.h"
#include "train/noise_bins.h"

namespace edm2 {
namespace {

using plot::Axes;
using plot::Color;
using plot::ColorMap;
using plot::rgb;
using plot::Series;

constexpr std::string_view grad_norm = "GradNorm/", weight_norm = "WeightNorm/";

struct Unit {
  double size = 1;
  std::string name;
};

class RunFigure {
 public:
  RunFigure(const std::vector<RunCurves>& runs, const RunFigureOptions& options)
      : runs_(runs), options_(options), names_(legend_names(runs)), x_unit_(choose_x_unit()) {}

  plot::Figure draw();

 private:
  struct Metric {
    std::string name;
    bool in_default;  ///< drawn when no metric is asked for
    std::function<bool(const RunCurves&)> has;
    std::function<void(RunFigure&)> draw;
  };
  static const std::vector<Metric>& metrics();
  friend const std::vector<std::string>& edm2::run_metric_names();

  Unit choose_x_unit() const;
  std::vector<double> x_of(const RunCurves& run) const;
  Axes& begin_panel(const std::string& title, const std::string& y_label);
  void finish_panel(Axes& axes, bool prefer_log) const;
  void add_line(Axes& axes, const RunCurves& run, const std::vector<double>& y,
                const std::string& label, Color color, double width = 1.6,
                plot::Dash dash = plot::Dash::solid) const;
  void line_per_run(const std::string& title, const std::string& y_label, const std::string& key,
                    const std::function<double(double)>& change = {}, bool prefer_log = false);
  void noise();
  void noise_profile();
  void norms(const std::string& title, std::string_view prefix);
  void memory();

  const std::vector<RunCurves>& runs_;
  const RunFigureOptions& options_;
  std::vector<std::string> names_;
  Unit x_unit_;
  plot::Figure figure_;
};

const std::vector<RunFigure::Metric>& RunFigure::metrics() {
  const auto key = [](const char* name) {
    return [name](const RunCurves& run) { return has_key(run, name); };
  };
  static const std::vector<Metric> all = {
      {"loss", true, key("Loss/loss"),
       [](RunFigure& f) { f.line_per_run("Loss", "", "Loss/loss"); }},
      {"noise", true, has_noise_bins, [](RunFigure& f) { f.noise(); }},
      {"noise-profile", true, has_noise_bins, [](RunFigure& f) { f.noise_profile(); }},
      {"lr", true, key("Loss/learning_rate"),
       [](RunFigure& f) { f.line_per_run("Learning rate", "", "Loss/learning_rate"); }},
      {"grad-norm", true, [](const RunCurves& run) { return !keys_with(run, grad_norm).empty(); },
       [](RunFigure& f) { f.norms("Gradient norm", grad_norm); }},
      {"weight-norm", true,
       [](const RunCurves& run) { return !keys_with(run, weight_norm).empty(); },
       [](RunFigure& f) { f.norms("Weight norm", weight_norm); }},
      {"nonfinite", false, key("Nonfinite/steps"),
       [](RunFigure& f) {
         f.line_per_run("Steps with gradients that are not finite", "steps", "Nonfinite/steps");
       }},
      {"speed", true, key("Timing/sec_per_kimg"),
       [](RunFigure& f) {
         f.line_per_run("Speed", "images / s", "Timing/sec_per_kimg",
                        [](double seconds) { return seconds > 0 ? 1000 / seconds : no_number; });
       }},
      {"sec-per-kimg", false, key("Timing/sec_per_kimg"),
       [](RunFigure& f) { f.line_per_run("Time for 1000 images", "s", "Timing/sec_per_kimg"); }},
      {"memory", true, key("Resources/cpu_mem_gb"), [](RunFigure& f) { f.memory(); }},
  };
  return all;
}

Unit RunFigure::choose_x_unit() const {
  double last = 0;
  for (const RunCurves& run : runs_) {
    const auto x = options_.x == RunAxis::kimg ? run.kimg : run.get("Timing/total_sec");
    for (const double value : x)
      if (std::isfinite(value)) last = std::max(last, value);
  }
  if (options_.x == RunAxis::kimg) {
    if (last >= 2000) return {1000, "Training images (millions)"};
    if (last >= 2) return {1, "Training images (thousands)"};
    return {0.001, "Training images"};
  }
  if (last >= 3 * 86400) return {86400, "Training time (days)"};
  if (last >= 3 * 3600) return {3600, "Training time (hours)"};
  if (last >= 3 * 60) return {60, "Training time (minutes)"};
  return {1, "Training time (seconds)"};
}

std::vector<double> RunFigure::x_of(const RunCurves& run) const {
  auto x = options_.x == RunAxis::kimg ? run.kimg : run.get("Timing/total_sec");
  for (double& value : x) value /= x_unit_.size;
  return x;
}

Axes& RunFigure::begin_panel(const std::string& title, const std::string& y_label) {
  Axes& axes = figure_.axes.emplace_back();
  axes.title = title;
  axes.y.label = y_label;
  axes.x.label = x_unit_.name;
  if (options_.log_x) axes.x.scale = plot::Scale::log;
  // The colours of runs are the same in all panels.
  if (figure_.axes.size() > 1 && runs_.size() > 1) axes.legend = plot::Legend::none;
  return axes;
}

/// Chooses the scale of y from what the panel shows, and lets time begin at the edge.
void RunFigure::finish_panel(Axes& axes, bool prefer_log) const {
  double low = std::numeric_limits<double>::infinity(), high = -low, last = 0;
  for (const plot::Layer& layer : axes.layers) {
    const auto* series = std::get_if<Series>(&layer);
    if (series == nullptr) continue;
    for (size_t i = 0; i < series->y.size(); ++i) {
      if (!std::isfinite(series->y[i]) || !std::isfinite(series->x[i])) continue;
      low = std::min(low, series->y[i]);
      high = std::max(high, series->y[i]);
      last = std::max(last, series->x[i]);
    }
  }
  const bool wide = prefer_log && high > 20 * low;
  if (low > 0 && std::isfinite(high) && (options_.log_y || wide)) {
    axes.y.scale = plot::Scale::log;
  } else if (constexpr double least = 0.1; high - low < least * std::abs(high + low) / 2) {
    // Numbers that hardly change are to look so.
    axes.y.min = (high + low - least * std::abs(high + low)) / 2;
    axes.y.max = (high + low + least * std::abs(high + low)) / 2;
  }
  if (axes.x.scale == plot::Scale::linear && last > 0) {
    axes.x.min = 0;
    axes.x.max = 1.02 * last;
  }
}

void RunFigure::add_line(Axes& axes, const RunCurves& run, const std::vector<double>& y,
                         const std::string& label, Color color, double width,
                         plot::Dash dash) const {
  Series series{.label = label, .x = x_of(run), .y = y};
  const bool dense = y.size() > 200;
  series.style = {.color = color, .line_width = dense ? 0.75 * width : width, .dash = dash};
  // What has one number only would not be seen as a line.
  const auto finite = std::count_if(y.begin(), y.end(), [](double v) { return std::isfinite(v); });
  if (finite == 1) series.style.marker = plot::Marker::circle;
  if (options_.smooth > 1) {
    Series raw = series;
    raw.label.clear();
    raw.style.color = color.with_alpha(0.22);
    raw.style.line_width = 0.8;
    thin_out(raw);
    axes.add(raw);
    series.y = smoothed(y, options_.smooth);
  }
  thin_out(series);
  axes.add(series);
}

void RunFigure::line_per_run(const std::string& title, const std::string& y_label,
                             const std::string& key, const std::function<double(double)>& change,
                             bool prefer_log) {
  Axes& axes = begin_panel(title, y_label);
  for (size_t i = 0; i < runs_.size(); ++i) {
    auto y = runs_[i].get(key);
    if (change) std::transform(y.begin(), y.end(), y.begin(), change);
    if (has_numbers(y))
      add_line(axes, runs_[i], y, runs_.size() > 1 ? names_[i] : "", plot::series_color(i));
  }
  finish_panel(axes, prefer_log);
  if (key == "Timing/sec_per_kimg" && axes.y.scale == plot::Scale::linear) {
    axes.y.min = 0;
    axes.y.max = std::nullopt;
  }
}

/// One panel for each run, one colour for each octave of noise.
void RunFigure::noise() {
  for (size_t i = 0; i < runs_.size(); ++i) {
    const RunCurves& run = runs_[i];
    if (!has_noise_bins(run)) continue;
    Axes& axes = begin_panel(
        "Loss by noise level" + (runs_.size() > 1 ? ", " + names_[i] : std::string()), "");
    const auto dark = ColorMap::viridis();
    std::vector<int> bins;
    for (int bin = 0; bin < num_noise_bins; ++bin)
      if (has_key(run, noise_bin_name(bin))) bins.push_back(bin);
    const int first = bins.front(), last = bins.back();
    // The lightest yellow would not be seen on white.
    const auto color = [&](int bin) {
      return dark.at(0.92 * (bin - first) / std::max(1, last - first));
    };
    for (const int bin : bins)
      add_line(axes, run, run.get(noise_bin_name(bin)), "", color(bin), 1.2);
    ColorMap map;
    for (int bin = first; bin <= last; ++bin) map.stops.push_back(color(bin));
    // Octave k reaches from 2^k to 2^{k+1}; the bar shows their middles.
    axes.color_bar = plot::ColorBar{map, first - 6.5, std::max(last, first + 1) - 6.5,
                                    "log_{2} of the noise level \u03c3"};
    finish_panel(axes, false);
  }
}

void RunFigure::noise_profile() {
  Axes& axes = begin_panel("Latest loss against noise level", "");
  axes.x = {.label = "Noise level \u03c3", .scale = plot::Scale::log};
  for (size_t i = 0; i < runs_.size(); ++i) {
    Series series{.label = runs_.size() > 1 ? names_[i] : ""};
    series.style = {
        .color = plot::series_color(i), .marker = plot::Marker::circle, .marker_size = 4};
    for (int bin = 0; bin < num_noise_bins; ++bin) {
      const double value = latest(runs_[i].get(noise_bin_name(bin)));
      if (!std::isfinite(value)) continue;
      // The middle of the octave; open ends count as one octave too.
      series.x.push_back(std::exp2(bin - 6.5));
      series.y.push_back(value);
    }
    if (!series.x.empty()) axes.add(series);
  }
  if (options_.log_y) finish_panel(axes, false);
  axes.x.min = axes.x.max = std::nullopt;
}

/// Of one run all groups; of several runs their totals.
void RunFigure::norms(const std::string& title, std::string_view prefix) {
  if (runs_.size() > 1) {
    line_per_run(title, "", std::string(prefix) + "total", {}, /*prefer_log=*/true);
    return;
  }
  Axes& axes = begin_panel(title, "");
  std::vector<std::string> groups;
  for (const auto& key : keys_with(runs_[0], prefix)) groups.push_back(key.substr(prefix.size()));
  for (const GroupLine& line : group_lines(groups)) {
    std::string label = line.name;
    if (const size_t x = label.find('x'); x != std::string::npos) label.replace(x, 1, "\u00d7");
    std::replace(label.begin(), label.end(), '.', ' ');
    add_line(axes, runs_[0], runs_[0].get(std::string(prefix) + line.name), label, line.color,
             line.width, line.dash);
  }
  axes.legend = plot::Legend::outside;
  finish_panel(axes, /*prefer_log=*/true);
}

void RunFigure::memory() {
  Axes& axes = begin_panel("Memory", "GiB");
  struct Kind {
    const char *key, *label;
    plot::Dash dash;
  };
  constexpr Kind kinds[] = {
      {"Resources/cpu_mem_gb", "CPU", plot::Dash::solid},
      {"Resources/peak_gpu_mem_gb", "GPU, peak", plot::Dash::dashed},
      {"Resources/peak_gpu_mem_reserved_gb", "GPU, reserved", plot::Dash::dotted}};
  double high = 0;
  size_t shown = 0;
  for (const Kind& kind : kinds) {
    bool used = false;
    for (size_t i = 0; i < runs_.size(); ++i) {
      const auto y = runs_[i].get(kind.key);
      double most = 0;
      for (const double value : y)
        if (std::isfinite(value)) most = std::max(most, value);
      if (most <= 0) continue;
      add_line(axes, runs_[i], y, "", plot::series_color(i), 1.6, kind.dash);
      high = std::max(high, most);
      used = true;
    }
    if (!used) continue;
    // What the dashes mean, in a colour of no run.
    Series sample{.label = kind.label};
    sample.style = {.color = rgb(0x555555), .dash = kind.dash};
    axes.add(sample);
    shown += 1;
  }
  finish_panel(axes, false);
  if (axes.y.scale == plot::Scale::log) return;
  axes.y.min = 0;
  axes.y.max = (shown > 1 ? 1.45 : 1.08) * high;  // room for the legend above the lines
  axes.legend = shown > 1 ? plot::Legend::top_right : plot::Legend::none;
}

plot::Figure RunFigure::draw() {
  const auto any_has = [&](const Metric& metric) {
    return std::any_of(runs_.begin(), runs_.end(), metric.has);
  };
  if (options_.metrics.empty()) {
    for (const Metric& metric : metrics())
      if (metric.in_default && any_has(metric) && !(metric.name == "noise" && runs_.size() > 1))
        metric.draw(*this);
  }
  for (const std::string& name : options_.metrics) {
    const auto metric = std::find_if(metrics().begin(), metrics().end(),
                                     [&](const Metric& m) { return m.name == name; });
    if (metric == metrics().end()) {
      std::string known;
      for (const auto& m : metrics()) known += (known.empty() ? "" : ", ") + m.name;
      throw UsageError("'" + name + "' is not one of " + known + ".");
    }
    if (!any_has(*metric))
      throw Error("there is nothing to draw for '" + name + "': stats.jsonl has no such numbers");
    metric->draw(*this);
  }
  if (figure_.axes.empty()) throw Error("there is nothing to draw: stats.jsonl has no numbers yet");
  const auto panels = static_cast<int64_t>(figure_.axes.size());
  figure_.columns = panels <= 3 ? panels : panels == 4 ? 2 : 3;
  figure_.rows = (panels + figure_.columns - 1) / figure_.columns;
  const auto columns = static_cast<double>(figure_.columns),
             rows = static_cast<double>(figure_.rows);
  figure_.width = options_.width > 0 ? options_.width : panels == 1 ? 6.8 : 4.7 * columns;
  figure_.height = options_.height > 0 ? options_.height : panels == 1 ? 4.4 : 3.1 * rows + 0.3;
  if (runs_.size() == 1) figure_.title = names_[0];
  return std::move(figure_);
}

}  // namespace

const std::vector<std::string>& run_metric_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const auto& metric : RunFigure::metrics()) all.push_back(metric.name);
    return all;
  }();
  return names;
}

plot::Figure run_figure(const std::vector<RunCurves>& runs, const RunFigureOptions& options) {
  return RunFigure(runs, options).draw();
}

}  // namespace edm2
