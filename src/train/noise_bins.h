// The loss by noise level: bins of one octave of sigma each.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "edm2/core/tensor.h"
#include "edm2/train/statistics.h"

namespace edm2 {

/// sigma < 1/64, then octaves up to 64, then the rest.
inline constexpr int num_noise_bins = 14;

int noise_bin(double sigma);
/// [lower, upper) of a bin; 0 and infinity at the ends.
std::pair<double, double> noise_bin_range(int bin);
/// "Loss/sigma_0.25_0.5": of the bin from 0.25 to 0.5.
std::string noise_bin_name(int bin);
/// The range that such a name stands for; none for other names.
std::optional<std::pair<double, double>> parse_noise_bin_name(const std::string& name);

/// Reports each image's mean loss in its bin. loss: [n] on the CPU; sigma: [n,1,1,1].
void report_loss_by_noise(const Tensor& loss, const Tensor& sigma, Statistics& statistics);

}  // namespace edm2
