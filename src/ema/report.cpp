#include "ema/report.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "edm2/core/format_number.h"
#include "ema/open_snapshot.h"

namespace edm2 {
namespace {

std::string std_text(double std) { return format_number("%.3f", std); }

// At most so many of the lengths are drawn, evenly chosen.
std::vector<size_t> chosen(size_t count, size_t most) {
  std::vector<size_t> result;
  const size_t number = std::min(count, most);
  for (size_t i = 0; i < number; ++i)
    result.push_back(number == 1 ? 0 : i * (count - 1) / (number - 1));
  return result;
}

constexpr size_t most_curves = 6;

plot::Axes time_axes(const std::string& title, plot::Legend legend) {
  plot::Axes axes;
  axes.title = title;
  axes.x.label = "Training time (million images)";
  axes.y.label = "Weight density";
  axes.legend = legend;
  return axes;
}

// Adds to the series the weight of the network of each time until the end of the profile; the area
// below a whole profile's line is 1.
template <class Density>
plot::Series over_time(plot::Series series, const EmaProfile& profile, int points,
                       const Density& density) {
  const auto end = static_cast<double>(profile.time);
  for (int k = 1; k <= points; ++k) {
    const double time = end * k / points;
    series.x.push_back(time / 1e6);
    series.y.push_back(end * density(time));
  }
  return series;
}

double wanted_density(const EmaProfile& target, double time) {
  const double one = 1;
  return combined_density({&target, 1}, {&one, 1}, time);
}

plot::Axes profile_axes(const std::vector<EmaProfile>& profiles,
                        std::span<const EmaProfile> targets,
                        std::span<const PostHocSolution> solutions) {
  plot::Axes axes = time_axes("Weight of the network at each time", plot::Legend::top_left);
  constexpr int points = 600;
  const plot::Style dashed = {
      .color = plot::rgb(0x222222), .line_width = 1, .dash = plot::Dash::dashed};
  for (const size_t j : chosen(targets.size(), most_curves)) {
    const auto reached = [&](double time) {
      return combined_density(profiles, solutions[j].coefficients, time);
    };
    const auto wanted = [&](double time) { return wanted_density(targets[j], time); };
    const std::string label = "\u03c3_{rel} = " + std_text(targets[j].std);
    axes.add(over_time({.label = label}, targets[j], points, reached));
    axes.add(over_time({.style = dashed}, targets[j], points, wanted));
  }
  axes.add(plot::Series{.label = "wanted", .style = dashed});
  return axes;
}

plot::Axes difference_axes(const std::vector<EmaProfile>& profiles,
                           std::span<const EmaProfile> targets,
                           std::span<const PostHocSolution> solutions) {
  plot::Axes axes = time_axes("Reconstructed minus wanted", plot::Legend::none);
  constexpr int points = 1500;
  for (const size_t j : chosen(targets.size(), most_curves)) {
    const auto difference = [&](double time) {
      return combined_density(profiles, solutions[j].coefficients, time) -
             wanted_density(targets[j], time);
    };
    axes.add(over_time({.label = std_text(targets[j].std), .style = {.line_width = 1}}, targets[j],
                       points, difference));
  }
  return axes;
}

plot::Axes error_axes(const std::vector<EmaProfile>& profiles, std::span<const EmaProfile> targets,
                      std::span<const PostHocSolution> solutions) {
  plot::Axes axes;
  axes.title = "Expected error";
  axes.x.label = "EMA length \u03c3_{rel}";
  axes.y.label = "Relative error of the profile";
  axes.y.scale = plot::Scale::log;
  std::vector<EmaProfile> lengths;
  for (int thousandth = 10; thousandth <= 280; thousandth += 2)
    lengths.push_back({targets[0].time, thousandth / 1000.0});
  const auto solved = solve_posthoc(profiles, lengths);
  constexpr double floor = 1e-8;  // below it there is only rounding
  plot::Series curve{.label = "any length"};
  for (size_t j = 0; j < lengths.size(); ++j) {
    curve.x.push_back(lengths[j].std);
    curve.y.push_back(std::max(solved[j].error, floor));
  }
  axes.add(std::move(curve));
  std::vector<double> x, y;
  for (size_t j = 0; j < targets.size(); ++j) {
    x.push_back(targets[j].std);
    y.push_back(std::max(solutions[j].error, floor));
  }
  axes.add(plot::scatter("reconstructed", x, y, 6));
  return axes;
}

plot::Axes coefficient_axes(std::span<const SnapshotFile> files,
                            std::span<const EmaProfile> targets,
                            std::span<const PostHocSolution> solutions) {
  plot::Axes axes;
  axes.title = "Coefficients (one line per stored length)";
  axes.x.label = "Training time of the snapshot (million images)";
  axes.y.label = "Coefficient";
  axes.legend = plot::Legend::none;
  size_t color = 0;
  for (const size_t j : chosen(targets.size(), most_curves)) {
    std::map<double, plot::Series> by_std;
    for (size_t i = 0; i < files.size(); ++i) {
      plot::Series& series = by_std[files[i].name.std];
      series.x.push_back(static_cast<double>(files[i].nimg) / 1e6);
      series.y.push_back(solutions[j].coefficients[i]);
    }
    plot::Dash dash = plot::Dash::solid;
    for (auto& [std, series] : by_std) {
      series.style = {.color = plot::series_color(color),
                      .line_width = 0.9,
                      .dash = dash,
                      .marker = plot::Marker::circle,
                      .marker_size = 3};
      dash = plot::Dash::dotted;
      axes.add(std::move(series));
    }
    ++color;
  }
  return axes;
}

}  // namespace

std::string coefficients_csv(std::span<const SnapshotFile> files,
                             std::span<const EmaProfile> targets,
                             std::span<const PostHocSolution> solutions) {
  std::string csv = "std,nimg,expected_error,input,input_nimg,input_std,coefficient\n";
  for (size_t j = 0; j < targets.size(); ++j)
    for (size_t i = 0; i < files.size(); ++i)
      csv += format_number("%.17g", targets[j].std) + ',' + std::to_string(targets[j].time) + ',' +
             format_number("%.6e", solutions[j].error) + ',' + files[i].file_name + ',' +
             std::to_string(files[i].nimg) + ',' + format_number("%.17g", files[i].name.std) + ',' +
             format_number("%.17g", solutions[j].coefficients[i]) + '\n';
  return csv;
}

plot::Figure reconstruction_figure(std::span<const SnapshotFile> files,
                                   std::span<const EmaProfile> targets,
                                   std::span<const PostHocSolution> solutions) {
  const auto profiles = profiles_of(files);
  plot::Figure figure;
  figure.title = "Post-hoc EMA from " + std::to_string(files.size()) + " snapshots";
  figure.rows = figure.columns = 2;
  figure.width = 11;
  figure.height = 7.6;
  figure.axes = {
      profile_axes(profiles, targets, solutions), difference_axes(profiles, targets, solutions),
      error_axes(profiles, targets, solutions), coefficient_axes(files, targets, solutions)};
  return figure;
}

std::string percent(double fraction) {
  if (fraction < 1e-8) return "0 %";
  return format_number(fraction < 1e-4 ? "%.1e" : "%.3g", 100 * fraction) + " %";
}

}  // namespace edm2
