/// What guidance does to samples of the 2D example, in numbers and as moving pictures.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "edm2/core/progress.h"
#include "edm2/io/image.h"
#include "edm2/plot/figure.h"
#include "edm2/toy/models.h"

namespace edm2::toy {

/// Which guidance is compared, and how it is measured.
struct ExploreOptions {
  std::vector<double> guidances = {1, 1.5, 2, 3, 4};
  SamplerOptions sampler = default_sampler_options();  ///< its guidance is not read
  int64_t num_samples = 8192;                          ///< >= 16
  int64_t seed = 1;
  /// A sample is an outlier where the exact density of the data is below that of this share of the
  /// data themselves.
  double outlier_quantile = 0.001;  ///< in (0, 1)
};

/// A guide and its name in tables.
struct NamedGuide {
  std::string name;
  const Model* model = nullptr;
};

/// What one guide does at one guidance weight.
struct ExploreRow {
  std::string guide;
  double guidance = 1;
  double outliers = 0;          ///< share of samples outside of the data
  double mean_log_density = 0;  ///< of the samples under the exact density, in nats
  /// Share of real points whose ball to the 5th nearest real point holds a sample
  /// (arXiv 2002.09797): falls when samples crowd together.
  double coverage = 0;
};

/// For every guide and weight, samples of `net` judged by the exact density of class A. The first
/// row ("data", guidance 1) is for fresh points of the data themselves. Rows of guidance 1 are
/// computed once, for all guides. Throws UsageError for numbers out of range.
std::vector<ExploreRow> explore_guidance(const Model& net, const std::vector<NamedGuide>& guides,
                                         const ExploreOptions& options, Progress& progress);

/// A header and a line for each row.
std::string to_csv(const std::vector<ExploreRow>& rows);
/// Outliers and coverage against the guidance weight, one line for each guide.
plot::Figure plot_exploration(const std::vector<ExploreRow>& rows);

/// The samples on their way from noise, as the bytes of an animated WebP file of size x size
/// pixels.
std::vector<std::byte> animate_trajectories(const Trajectories& trajectories, int64_t size,
                                            Progress& progress);

}  // namespace edm2::toy
