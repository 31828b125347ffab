/// From pictures or a network to scores: what `edm2 metrics` does.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "edm2/core/device.h"
#include "edm2/core/process_group.h"
#include "edm2/core/progress.h"
#include "edm2/generate/generate.h"
#include "edm2/io/source.h"
#include "edm2/metrics/scores.h"

namespace edm2 {

/// Where the detectors' weights come from (paths or addresses), and how they compute.
struct DetectorSources {
  NamedSource inception =
      "https://api.ngc.nvidia.com/v2/models/nvidia/research/stylegan3/versions/1/files/metrics/"
      "inception-2015-12-05.pkl";
  NamedSource dinov2 =
      "https://dl.fbaipublicfiles.com/dinov2/dinov2_vitl14/dinov2_vitl14_pretrain.pth";
  Precision precision = Precision::automatic;  ///< automatic = float32, as in the original
};

/// Pictures of a folder, archive or array file.
struct PictureInput {
  NamedSource path;
  /// Take that many, chosen by `seed`; none = all.
  std::optional<int64_t> num = 50'000;
  int64_t seed = 0;
  bool allow_fewer = false;  ///< fewer than `num` are enough
  int64_t max_batch_size = 64;
  int64_t workers = 2;  ///< threads that decode pictures
};

/// Pictures that a network draws from the seeds first_seed, first_seed + 1, ...
struct NetworkInput {
  /// Networks, sampler, class, precision, batch size. Seeds, device and outputs are not looked at.
  GenerateOptions sampling;
  int64_t num = 50'000;
  int64_t first_seed = 0;
};

/// What is measured, against what, and what is written.
struct EvaluateOptions {
  std::vector<Metric> metrics = parse_metric_list("fid,fd_dinov2");
  /// Exactly one of the two.
  std::optional<PictureInput> pictures;
  std::optional<NetworkInput> network;

  std::optional<NamedSource> ref;           ///< statistics, path or address: for fid and fd_dinov2
  std::optional<NamedSource> ref_features;  ///< features (save_features): for kid, precision, ...
  DetectorSources detectors;
  std::string device = "auto";
  FetchOptions fetch;
  bool error_bars = false;  ///< also of Fréchet distances

  std::optional<std::filesystem::path> stats;     ///< where to write the pictures' statistics
  std::optional<std::filesystem::path> features;  ///< where to write their features
  std::optional<std::filesystem::path> manifest;  ///< where to write what the scores rest on
};

/// Throws UsageError if the options contradict each other or a metric lacks its reference.
void validate(const EvaluateOptions& options);

/// What evaluate() has found.
struct Evaluation {
  std::vector<Score> scores;
  int64_t num_images = 0;
  std::string pictures_sha256;  ///< see FeatureSet
};

/// Scores of pictures or of a network; the pictures of a network are written nowhere. Bad paths are
/// told before the work begins. Complete on the first process only. Throws Error, GroupError,
/// Interrupted.
Evaluation evaluate(const EvaluateOptions& options, ProcessGroup& group, Progress& progress,
                    const std::function<void(const Score&)>& on_score = {});

/// What a reference is made of, and where it goes.
struct ReferenceOptions {
  std::vector<Metric> metrics = parse_metric_list("fid,fd_dinov2");
  NamedSource data;                               ///< dataset: all of its pictures
  std::filesystem::path dest;                     ///< statistics, .pkl or .npz
  std::optional<std::filesystem::path> features;  ///< also the features, for kid, precision, ...
  DetectorSources detectors;
  std::string device = "auto";
  FetchOptions fetch;
  int64_t max_batch_size = 64;
  int64_t workers = 2;
};

/// What Evaluation::pictures_sha256 is for these pictures; on the first process, empty elsewhere.
std::string hash_pictures(const PictureInput& input, const FetchOptions& fetch, ProcessGroup& group,
                          Progress& progress);

/// Throws UsageError if the options cannot be used.
void validate(const ReferenceOptions& options);

/// Writes the statistics of a dataset for later comparisons; an existing file is replaced. Throws
/// Error, GroupError, Interrupted.
void make_reference(const ReferenceOptions& options, ProcessGroup& group, Progress& progress);

/// The file of a detector's weights: as NamedSource::resolved(), but DINOv2 is also taken from the
/// original cache's torch_hub folder. Throws Error that names the option to give a file.
NamedSource find_detector(DetectorKind kind, const NamedSource& source, const FetchOptions& fetch,
                          Progress& progress);

}  // namespace edm2
