#include "plot/ticks.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>

namespace edm2::plot {
namespace {

std::string fixed(double value, int decimals) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", decimals, value);
  std::string result = text;
  if (result.find_first_of("123456789") == std::string::npos && result[0] == '-')
    result.erase(0, 1);
  if (result[0] == '-') result.replace(0, 1, "\u2212");
  return result;
}

constexpr double tolerance = 1e-6;  // of a step: what rounding may do to a tick at the end

int64_t tick_count(double low, double high, double step) {
  return static_cast<int64_t>(std::floor(high / step + tolerance) -
                              std::ceil(low / step - tolerance)) +
         1;
}

// The smallest step of the form {1, 2, 2.5, 5} * 10^k that gives at most max_count ticks.
double round_step(double low, double high, int max_count) {
  const double span = high - low;
  for (double decade = std::pow(10, std::floor(std::log10(span / max_count)));; decade *= 10)
    for (const double factor : {1.0, 2.0, 2.5, 5.0})
      if (factor * decade * (max_count + 1) >= span &&
          tick_count(low, high, factor * decade) <= max_count)
        return factor * decade;
}

int decimals_of(double step) {
  for (int decimals = 0; decimals < 12; ++decimals) {
    const double scaled = step * std::pow(10, decimals);
    if (std::abs(scaled - std::round(scaled)) < 1e-6 * scaled) return decimals;
  }
  return 12;
}

int exponent_of(double value) { return static_cast<int>(std::floor(std::log10(value) + 1e-12)); }

// "0.01", "200", or "2×10^{-6}" where plain digits would be long.
std::string number_label(double value, bool plain) {
  const int exponent = exponent_of(value);
  if (plain) return fixed(value, std::max(0, -exponent));
  const double mantissa = value / std::pow(10, exponent);
  const std::string power = "10^{" + fixed(exponent, 0) + "}";
  return std::abs(mantissa - 1) < 1e-6 ? power : fixed(mantissa, 0) + "\u00d7" + power;
}

}  // namespace

Ticks linear_ticks(double low, double high, int max_count) {
  Ticks ticks;
  const double step = round_step(low, high, std::max(max_count, 2));
  const double largest = std::max(std::abs(low), std::abs(high));
  // Long numbers share a power of ten.
  int exponent = 0;
  if (largest >= 1e5 || largest < 1e-3) exponent = exponent_of(largest);
  const double unit = std::pow(10, exponent);
  const int decimals = decimals_of(step / unit);
  const double first = std::ceil(low / step - tolerance);
  const int64_t count = tick_count(low, high, step);
  for (int64_t k = 0; k < count; ++k) {
    const double position = (first + static_cast<double>(k)) * step;
    ticks.positions.push_back(position);
    ticks.labels.push_back(fixed(position / unit, decimals));
  }
  if (exponent != 0) ticks.factor = "\u00d710^{" + fixed(exponent, 0) + "}";
  return ticks;
}

Ticks log_ticks(double low, double high, int max_count) {
  Ticks ticks;
  const double first = std::log10(low), last = std::log10(high);
  const int begin = static_cast<int>(std::ceil(first - tolerance));
  const int end = static_cast<int>(std::floor(last + tolerance));
  const bool plain = first > -3.5 && last < 4.5;
  const auto inside = [&](double value) {
    return std::log10(value) >= first - tolerance && std::log10(value) <= last + tolerance;
  };

  if (end - begin >= 2) {
    const int count = end - begin + 1;
    const int stride = (count + max_count - 1) / max_count;
    for (int k = begin; k <= end; k += stride) {
      ticks.positions.push_back(std::pow(10, k));
      ticks.labels.push_back(number_label(std::pow(10, k), plain));
    }
    if (stride == 1) {
      for (int k = begin - 1; k <= end; ++k)
        for (int m = 2; m <= 9; ++m)
          if (const double value = m * std::pow(10, k); inside(value)) ticks.minor.push_back(value);
    }
    return ticks;
  }

  for (int k = begin - 1; k <= end; ++k) {
    for (int m = 1; m <= 9; ++m) {
      const double value = m * std::pow(10, k);
      if (!inside(value)) continue;
      if (m == 1 || m == 2 || m == 5) {
        ticks.positions.push_back(value);
        ticks.labels.push_back(number_label(value, plain));
      } else {
        ticks.minor.push_back(value);
      }
    }
  }
  // Less than a factor of about three: the axis looks linear.
  if (ticks.positions.size() < 3) return linear_ticks(low, high, max_count);
  return ticks;
}

}  // namespace edm2::plot
