#include "train/noise_bins.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "edm2/core/format_number.h"

namespace edm2 {
namespace {
constexpr int lowest_octave = -6;  // the first bin ends at 2^-6
}

int noise_bin(double sigma) {
  if (!(sigma > 0)) return 0;
  int exponent = 0;
  std::frexp(sigma, &exponent);  // sigma = m 2^exponent, 0.5 <= m < 1
  return std::clamp(exponent - 1 - lowest_octave + 1, 0, num_noise_bins - 1);
}

std::pair<double, double> noise_bin_range(int bin) {
  return {bin == 0 ? 0.0 : std::ldexp(1.0, lowest_octave + bin - 1),
          bin == num_noise_bins - 1 ? std::numeric_limits<double>::infinity()
                                    : std::ldexp(1.0, lowest_octave + bin)};
}

std::string noise_bin_name(int bin) {
  const auto [low, high] = noise_bin_range(bin);
  return "Loss/sigma_" + format_number("%.9g", low) + "_" + format_number("%.9g", high);
}

std::optional<std::pair<double, double>> parse_noise_bin_name(const std::string& name) {
  for (int bin = 0; bin < num_noise_bins; ++bin)
    if (name == noise_bin_name(bin)) return noise_bin_range(bin);
  return std::nullopt;
}

void report_loss_by_noise(const Tensor& loss, const Tensor& sigma, Statistics& statistics) {
  const Tensor losses = loss.to(at::kDouble), levels = sigma.flatten().cpu().to(at::kDouble);
  for (int64_t i = 0; i < losses.size(0); ++i)
    statistics.report(noise_bin_name(noise_bin(levels.const_data_ptr<double>()[i])),
                      losses.const_data_ptr<double>()[i]);
}

}  // namespace edm2
