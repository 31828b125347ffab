// What a reconstruction does, in numbers and pictures.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "edm2/ema/snapshot_name.h"
#include "edm2/plot/figure.h"

namespace edm2 {

/// One line for each stored snapshot and length: coefficients.
std::string coefficients_csv(std::span<const SnapshotFile> files,
                             std::span<const EmaProfile> targets,
                             std::span<const PostHocSolution> solutions);

/// Theoretical profiles against the wanted ones, errors over the length, and coefficients.
plot::Figure reconstruction_figure(std::span<const SnapshotFile> files,
                                   std::span<const EmaProfile> targets,
                                   std::span<const PostHocSolution> solutions);

/// "0.0123 %" and the like.
std::string percent(double fraction);

}  // namespace edm2
