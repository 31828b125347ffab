/// One pass over pictures, from which all metrics are computed.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "edm2/core/process_group.h"
#include "edm2/core/progress.h"
#include "edm2/metrics/detector.h"
#include "edm2/metrics/metrics.h"
#include "edm2/metrics/pictures.h"
#include "edm2/metrics/statistics.h"

namespace edm2 {

/// What is known of a set of pictures.
struct FeatureSet {
  int64_t num_images = 0;
  /// Under the names of statistics_name().
  StatisticsFile statistics;
  /// [N,D] float32 in the order of the pictures, under the same names; empty if not kept.
  std::vector<std::pair<std::string, Tensor>> features;
  /// SHA-256 of all pictures: their shape and the digests of their pixels, in order.
  std::string pictures_sha256;

  /// [N,D] float32; undefined if there are none of that name.
  Tensor find_features(const std::string& name) const;
};

/// Which pictures a pass takes, and what it keeps.
struct FeaturePassOptions {
  int64_t count = 0;            ///< pictures, at least 2
  int64_t max_batch_size = 64;  ///< pictures that a process takes at once
  bool keep_features = false;   ///< on the first process
};

/// A detector, which must outlive the pass, and what it is.
struct PassDetector {
  DetectorKind kind;
  const Detector* detector;
};

/// Makes the stream of this process's parts.
using OpenStream = std::function<std::unique_ptr<PictureStream>(std::vector<Part> parts)>;

/// Runs all detectors over all pictures. The processes take turns part by part, the first one
/// gathers the features and adds them up in the order of the pictures: the result depends neither
/// on the size of the batches nor on the number of processes (see Detector::features and
/// FeatureAccumulator). It is complete on the first process; the others get an empty set. Throws
/// Error, GroupError, Interrupted.
FeatureSet compute_features(const std::vector<PassDetector>& detectors,
                            const FeaturePassOptions& options, const OpenStream& open,
                            ProcessGroup& group, Progress& progress);

/// Features as an .npz file with one float32 array per detector. Throws Error.
void save_features(const std::filesystem::path& path, const FeatureSet& set);
/// By the detectors' names, [N,D] float32 each.
std::vector<std::pair<std::string, Tensor>> load_features(const std::filesystem::path& path);

}  // namespace edm2
