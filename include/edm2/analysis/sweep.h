/// A grid over EMA length and guidance: what `edm2 sweep` does.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "edm2/core/process_group.h"
#include "edm2/core/progress.h"
#include "edm2/metrics/evaluate.h"

namespace edm2 {

/// What is drawn and measured over the grid.
struct SweepOptions {
  std::filesystem::path run;    ///< folder of the snapshots
  std::optional<int64_t> kimg;  ///< training time; none: the latest
  std::vector<double> stds;     ///< EMA lengths, each in (0, 0.289)
  std::vector<double> guidances = {1};
  /// Guiding network, for guidances other than 1. The folder of a run means that run with the EMA
  /// length of the main network.
  std::optional<NamedSource> gnet;
  std::filesystem::path outdir;

  std::vector<int64_t> seeds;        ///< of the pictures that are shown; empty: none
  std::optional<int64_t> class_idx;  ///< none: drawn from the seed
  SamplerOptions sampler;            ///< guidance is ignored
  int64_t max_batch_size = 32;
  std::string device = "auto";
  Precision precision = Precision::automatic;
  NamedSource vae;  ///< of latent networks: EncoderSetup.vae
  FetchOptions fetch;

  std::vector<Metric> metrics;                   ///< none: pictures only
  int64_t num = 50'000;                          ///< pictures that are measured, seeds 0, 1, ...
  std::optional<NamedSource> ref, ref_features;  ///< as in EvaluateOptions
  DetectorSources detectors;
};

/// One point of the grid.
struct SweepCell {
  double std = 0, guidance = 1;
  std::vector<std::pair<std::string, double>> scores;  ///< by name of the metric

  /// None if the metric was not computed.
  std::optional<double> score(const std::string& metric) const;
};

/// Smaller values of the metric are better.
bool smaller_is_better(const Metric& metric);

/// The point with the best score; nullptr if there are no scores.
const SweepCell* best_cell(const Metric& metric, const std::vector<SweepCell>& cells);

/// Throws UsageError or Error if the options cannot be used.
void validate(const SweepOptions& options);

/// For every length and guidance, writes into outdir a sheet of pictures (STD-GUIDANCE.png) and
/// computes the metrics; then an overview of all sheets (overview.png), and for each metric a heat
/// map (METRIC.svg). sweep.csv has all scores, and with sweep.json it is written anew after each
/// point: an interrupted sweep goes on where it was, and one with more lengths, guidances or
/// metrics computes what is missing. Returns all points of this call, lengths first, on the first
/// process. Throws Error if outdir holds a sweep with other settings; GroupError, Interrupted.
std::vector<SweepCell> sweep(const SweepOptions& options, ProcessGroup& group, Progress& progress);

}  // namespace edm2
