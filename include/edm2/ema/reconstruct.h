/// Post-hoc reconstruction of whole files: what `edm2 reconstruct` does.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "edm2/core/progress.h"
#include "edm2/ema/snapshot_name.h"
#include "edm2/io/source.h"

namespace edm2 {

class ProcessGroup;

/// Which snapshots are reconstructed, from what, into which files.
struct ReconstructOptions {
  std::string indir;      ///< folder of the stored snapshots: a path, or an http(s):// address
  SnapshotFilter filter;  ///< which of them are used
  std::filesystem::path outdir;           ///< made if it is not there
  std::string outprefix = "phema";        ///< of the names of the results
  std::vector<double> outstds;            ///< EMA lengths to reconstruct, each in (0, 0.289)
  std::optional<int64_t> outkimg;         ///< time to reconstruct at; none: the latest
  bool skip = false;                      ///< leave out results whose files exist
  std::optional<int64_t> max_batch_size;  ///< results of one pass over the snapshots; none: all
  std::optional<SnapshotFormat> format;   ///< of the results; none: that of the first snapshot
  bool report = false;                    ///< also write coefficients and a plot of the profiles
  bool dry_run = false;                   ///< write no networks

  // For addresses of the web:
  std::optional<std::filesystem::path> keep;  ///< folder for the snapshots; none: they are deleted
  FetchOptions fetch;
};

/// Reconstructs networks and writes each as OUTPREFIX-KIMG-STD.pkl (or .safetensors). The memory
/// needed depends neither on the number of snapshots nor on the size of the network. Several
/// processes share the results among them. Everything is checked before the first file is written,
/// and files appear whole or not at all.
///
/// Snapshots of the web are summed as they arrive, in one process and one pass: the next one is
/// downloaded meanwhile, and a started download is resumed by the next call. The sums stand in a
/// nameless file in outdir (4 bytes for each parameter and result). Throws Error, Interrupted.
void reconstruct_phema(const ReconstructOptions& options, Progress& progress);
void reconstruct_phema(const ReconstructOptions& options, Progress& progress, ProcessGroup& group);

}  // namespace edm2
