/// Mean and covariance of a detector's features over a set of images, and the files they live in.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "edm2/core/tensor.h"

namespace edm2 {

/// What FID and its kin need of a set of pictures.
struct FeatureStatistics {
  Tensor mu;     ///< [D] float64
  Tensor sigma;  ///< [D,D] float64, unbiased (divided by N - 1)
};

/// Adds up features in float64.
///
/// The result depends on the order of the images and on nothing else, to the last bit: whatever
/// pieces the rows come in, they are added in blocks of 256 that begin at multiples of 256. So
/// batch size and number of processes do not matter as long as the rows are appended in the order
/// of the images.
class FeatureAccumulator {
 public:
  /// `feature_dim` = D >= 1. Sums live on the device of the first features.
  explicit FeatureAccumulator(int64_t feature_dim);

  /// features: [N,D], any float type. Throws Error naming the image (counted from 0) if a feature
  /// is not finite.
  void append(const Tensor& features);
  /// Rows so far.
  int64_t count() const { return count_; }
  /// mu = sum / N, sigma = (sum of f f^T - N mu mu^T) / (N - 1), on the CPU. Throws Error if N < 2.
  FeatureStatistics finish() const;

 private:
  int64_t dim_;
  int64_t count_ = 0;
  std::vector<Tensor> pending_;  // rows that do not fill a block yet, float64
  int64_t pending_rows_ = 0;
  Tensor sum_;       // [D] float64
  Tensor products_;  // [D,D] float64
};

/// Statistics by name of the metric ("fid", "fd_dinov2"): the contents of a reference file.
struct StatisticsFile {
  std::vector<std::pair<std::string, FeatureStatistics>> metrics;
  std::optional<int64_t> num_images;  ///< missing in old files and in .npz files

  /// nullptr if there are none of that name.
  const FeatureStatistics* find(const std::string& name) const;
};

/// Reads statistics, whatever the file is called: the original's pickled dict ("fid" and others
/// with "mu" and "sigma" each), or one pair "mu" and "sigma" ("mean" and "cov"), which is taken for
/// that of "fid", in an .npz archive (pytorch-fid, EDM1, clean-fid, guided-diffusion), a file of
/// torch.save (caches of torch-fidelity), a pickle or safetensors. Throws Error naming the file and
/// what it holds instead: not such a file, wrong shapes, NaN, a sigma that is not symmetric.
StatisticsFile load_statistics(const std::filesystem::path& path);

/// Throws the UsageError of a file name that cannot take statistics of these names: .npz holds
/// "fid" alone. To be called before long work.
void check_statistics_path(const std::filesystem::path& path,
                           const std::vector<std::string>& names);

/// Writes atomically and makes the parent folder. Throws Error as
/// check_statistics_path() does, or if the file cannot be written.
void save_statistics(const std::filesystem::path& path, const StatisticsFile& statistics);

}  // namespace edm2
