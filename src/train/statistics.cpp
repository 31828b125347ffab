#include "edm2/train/statistics.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <sstream>

#include "edm2/core/error.h"

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

void Statistics::sum_over(ProcessGroup& group) {
  if (group.size() == 1) return;
  std::string names;
  for (const Moments& m : all_) names += m.name + "\n";
  if (group.broadcast(names) != names)
    throw Error("this process reports other statistics than rank 0");
  const Tensor sums = at::empty({static_cast<int64_t>(all_.size()), 2}, at::kDouble);
  auto* values = sums.data_ptr<double>();
  for (size_t i = 0; i < all_.size(); ++i) {
    values[2 * i] = all_[i].count;
    values[2 * i + 1] = all_[i].sum;
  }
  group.all_reduce_sum(sums);
  for (size_t i = 0; i < all_.size(); ++i) {
    all_[i].count = values[2 * i];
    all_[i].sum = values[2 * i + 1];
  }
}

std::string Statistics::save() const {
  std::string saved;
  for (const Moments& m : all_) {
    char numbers[128];
    std::snprintf(numbers, sizeof numbers, "%a %a ", m.count, m.sum);
    saved += numbers + m.name + "\n";
  }
  return saved;
}

void Statistics::add(const std::string& saved) {
  std::istringstream lines(saved);
  for (std::string line; std::getline(lines, line);) {
    char *after_count = nullptr, *after_sum = nullptr;
    const double count = std::strtod(line.c_str(), &after_count);
    const double sum = std::strtod(after_count, &after_sum);
    const auto name = static_cast<size_t>(after_sum - line.c_str()) + 1;
    if (after_count == line.c_str() || after_sum == after_count || name >= line.size())
      throw Error("the statistics make no sense");
    Moments& m = moments(line.substr(name));
    m.count += count;
    m.sum += sum;
  }
}

void Statistics::add_share_of(const ProcessGroup& group, const std::vector<std::string>& saved) {
  if (std::ssize(saved) == group.size()) return add(saved[static_cast<size_t>(group.rank())]);
  for (const std::string& one : saved) add(one);
  if (group.is_main()) return;
  for (Moments& m : all_) m.count = m.sum = 0;  // but the names stay
}

NamedValues Statistics::take_means() {
  NamedValues means;
  for (auto& m : all_) {
    means.emplace_back(m.name, m.count > 0 ? m.sum / m.count : std::nan(""));
    m.count = m.sum = 0;
  }
  return means;
}

std::string stats_line(const NamedValues& values, double timestamp, const NamedValues& extra) {
  std::string line = "{";
  const auto add = [&](const std::string& name, const char* format, double value) {
    char text[64] = "NaN";
    if (std::isfinite(value)) std::snprintf(text, sizeof text, format, value);
    line += (line.size() > 1 ? ", \"" : "\"") + name + "\": " + text;
  };
  const auto pattern = [](const std::string& name) {
    return name.starts_with("Progress/") ? "%.3f" : "%g";
  };
  for (const auto& [name, value] : values) add(name, pattern(name), value);
  add("timestamp", "%.3f", timestamp);
  for (const auto& [name, value] : extra) add(name, pattern(name), value);
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
