// Mean and deviation of a dataset's latents.
#pragma once

#include <nlohmann/json.hpp>

#include "edm2/core/tensor.h"
#include "edm2/data/latents.h"

namespace edm2 {

class LatentMeasure {
 public:
  /// [2C,H,W] float32: means, then deviations, of one picture's latents.
  void add(const Tensor& raw);
  /// After at least one picture.
  LatentStatistics result() const;

 private:
  int64_t images_ = 0;
  double positions_ = 0;
  std::vector<double> sums_, squares_;  // per channel
};

/// {"latent_statistics": {"images": N, "mean": [...], "std": [...]}}
nlohmann::ordered_json to_json(const LatentStatistics& statistics);

}  // namespace edm2
