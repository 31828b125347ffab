// What a reconstruction is going to do, before elements are read.
#pragma once

#include <span>
#include <utility>
#include <vector>

#include "edm2/ema/posthoc.h"
#include "edm2/ema/reconstruct.h"

namespace edm2 {

struct PlannedResult {
  EmaProfile profile;
  std::filesystem::path path;
  PostHocSolution solution;
};

struct ReconstructPlan {
  NamedSource indir;                   ///< of the files
  std::vector<SnapshotFile> files;     ///< sorted by time, then width
  std::vector<PlannedResult> results;  ///< sorted by width; may be empty
  int64_t nimg = 0;                    ///< the time of the results
  SnapshotFormat format = SnapshotFormat::pickle;

  /// For messages: the path or address of a snapshot.
  std::string source_name(size_t i) const;
};

/// Finds and checks names; reads no snapshot. Throws Error.
ReconstructPlan plan_reconstruction(const ReconstructOptions& options, Progress& progress);

/// Consecutive parts, as even as possible: [begin, end) of part `index`.
std::pair<size_t, size_t> part_of(size_t count, size_t parts, size_t index);

}  // namespace edm2
