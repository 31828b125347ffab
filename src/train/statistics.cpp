#include "edm2/train/statistics.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace edm2 {

Statistics::Moments& Statistics::moments(const std::string& name) {
  const auto found =
      std::find_if(all_.begin(), all_.end(), [&](const Moments& m) { return m.name == name; });
  if (found != all_.end()) return *found;
  all_.push_back({name});
  return all_.back();
}

void Statistics::report(const std::string& name, const Tensor& values) {
  Tensor x = values.detach().to(at::kFloat).flatten();
  const Tensor usable = x.square().isfinite();
  if (!usable.all().item<bool>()) x = x.masked_select(usable);
  Moments& m = moments(name);
  m.count += static_cast<double>(x.numel());
  m.sum += x.numel() > 0 ? static_cast<double>(x.sum().item<float>()) : 0.0;
}

void Statistics::report(const std::string& name, double value) {
  const auto rounded = static_cast<float>(value);
  Moments& m = moments(name);
  if (!std::isfinite(rounded * rounded)) return;
  m.count += 1;
  m.sum += static_cast<double>(rounded);
}

std::string Statistics::flush(double timestamp) {
  std::string line = "{";
  const auto add = [&](const std::string& name, const char* format, double value) {
    char text[64] = "NaN";
    if (std::isfinite(value)) std::snprintf(text, sizeof text, format, value);
    line += (line.size() > 1 ? ", \"" : "\"") + name + "\": " + text;
  };
  for (auto& m : all_) {
    const double mean = m.count > 0 ? m.sum / m.count : std::nan("");
    add(m.name, m.name == "Progress/kimg" ? "%.3f" : "%g", mean);
    m.count = m.sum = 0;
  }
  add("timestamp", "%.3f", timestamp);
  return line + "}\n";
}

std::string format_duration(double seconds) {
  const auto s = static_cast<long long>(std::nearbyint(seconds));  // half to even
  char text[64];
  if (s < 60)
    std::snprintf(text, sizeof text, "%llds", s);
  else if (s < 60 * 60)
    std::snprintf(text, sizeof text, "%lldm %02llds", s / 60, s % 60);
  else if (s < 24 * 60 * 60)
    std::snprintf(text, sizeof text, "%lldh %02lldm %02llds", s / 3600, s / 60 % 60, s % 60);
  else
    std::snprintf(text, sizeof text, "%lldd %02lldh %02lldm", s / 86400, s / 3600 % 24,
                  s / 60 % 60);
  return text;
}

}  // namespace edm2
