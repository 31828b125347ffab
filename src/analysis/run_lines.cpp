#include "analysis/run_lines.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "train/noise_bins.h"

namespace edm2 {
namespace {

/// "enc.64x64" -> 64; 0 if there is no resolution.
int resolution_of(const std::string& group) {
  const size_t dot = group.find('.');
  return dot == std::string::npos ? 0 : std::atoi(group.c_str() + dot + 1);
}

}  // namespace

bool has_numbers(const std::vector<double>& values) {
  return std::any_of(values.begin(), values.end(), [](double v) { return std::isfinite(v); });
}

bool has_key(const RunCurves& run, const std::string& key) { return has_numbers(run.get(key)); }

std::vector<std::string> keys_with(const RunCurves& run, std::string_view prefix) {
  std::vector<std::string> keys;
  for (const auto& [key, values] : run.values)
    if (key.starts_with(prefix) && has_numbers(values)) keys.push_back(key);
  return keys;
}

bool has_noise_bins(const RunCurves& run) {
  for (int bin = 0; bin < num_noise_bins; ++bin)
    if (has_key(run, noise_bin_name(bin))) return true;
  return false;
}

std::vector<double> smoothed(const std::vector<double>& values, int64_t width) {
  const auto size = static_cast<int64_t>(values.size());
  std::vector<double> result(values.size(), no_number);
  for (int64_t i = 0; i < size; ++i) {
    if (!std::isfinite(values[static_cast<size_t>(i)])) continue;
    double sum = 0;
    int64_t count = 0;
    // As many to the left as to the right, fewer at the ends.
    const int64_t half = std::min({(width - 1) / 2, i, size - 1 - i});
    for (int64_t k = i - half; k <= i + half; ++k) {
      if (!std::isfinite(values[static_cast<size_t>(k)])) continue;
      sum += values[static_cast<size_t>(k)];
      ++count;
    }
    result[static_cast<size_t>(i)] = sum / static_cast<double>(count);
  }
  return result;
}

void thin_out(plot::Series& series) {
  constexpr size_t most = 2000;
  if (series.x.size() <= most) return;
  std::vector<double> x, y;
  const size_t parts = most / 2;
  for (size_t part = 0; part < parts; ++part) {
    const size_t begin = part * series.x.size() / parts, end = (part + 1) * series.x.size() / parts;
    size_t low = begin, high = begin;
    for (size_t i = begin; i < end; ++i) {
      if (!(series.y[i] >= series.y[low])) low = i;
      if (!(series.y[i] <= series.y[high])) high = i;
    }
    for (const size_t i : {std::min(low, high), std::max(low, high)}) {
      x.push_back(series.x[i]);
      y.push_back(series.y[i]);
    }
  }
  series.x = std::move(x);
  series.y = std::move(y);
}

std::vector<std::string> legend_names(const std::vector<RunCurves>& runs) {
  std::vector<std::string> names;
  std::map<std::string, int> seen;
  for (const RunCurves& run : runs) {
    constexpr size_t longest = 32;
    std::string name = run.name.empty() ? "run" : run.name;
    if (name.size() > longest) name = name.substr(0, longest - 1) + "\u2026";
    const int number = ++seen[name];
    names.push_back(number > 1 ? name + " (" + std::to_string(number) + ")" : name);
  }
  return names;
}

double latest(const std::vector<double>& values) {
  std::vector<double> finite;
  for (const double value : values)
    if (std::isfinite(value)) finite.push_back(value);
  if (finite.empty()) return no_number;
  const size_t count = std::max<size_t>(1, finite.size() / 10);
  return std::accumulate(finite.end() - static_cast<std::ptrdiff_t>(count), finite.end(), 0.0) /
         static_cast<double>(count);
}

std::vector<GroupLine> group_lines(std::vector<std::string> groups) {
  const auto order = [](const std::string& group) {
    const std::vector<std::string> kinds = {"total", "emb", "enc", "dec", "out", "logvar"};
    const auto kind = std::find(kinds.begin(), kinds.end(), group.substr(0, group.find('.')));
    const int resolution = resolution_of(group);
    const bool up = group.starts_with("dec");
    return std::pair(kind - kinds.begin(), up ? resolution : -resolution);
  };
  std::sort(groups.begin(), groups.end(),
            [&](const auto& a, const auto& b) { return order(a) < order(b); });
  std::map<std::string, std::pair<double, double>> levels;  // kind -> (number, next)
  for (const auto& group : groups) levels[group.substr(0, 3)].first += 1;
  std::vector<GroupLine> lines;
  for (const auto& group : groups) {
    auto& [number, next] = levels[group.substr(0, 3)];
    const double place = number > 1 ? next / (number - 1) : 1;  // 0 first, 1 last
    next += 1;
    if (group == "total")
      lines.push_back({group, plot::rgb(0x222222), 2.2});
    else if (group.starts_with("enc"))
      lines.push_back({group, plot::ColorMap::blues().at(0.42 + 0.5 * place)});
    else if (group.starts_with("dec"))
      lines.push_back({group, plot::ColorMap::oranges().at(0.9 - 0.5 * place)});
    else if (group == "emb")
      lines.push_back({group, plot::rgb(0x009e73), 1.5, plot::Dash::dashed});
    else if (group == "out")
      lines.push_back({group, plot::rgb(0xcc79a7), 1.5, plot::Dash::dashed});
    else
      lines.push_back({group, plot::rgb(0x777777), 1.5, plot::Dash::dotted});
  }
  return lines;
}

}  // namespace edm2
