// Going on with a run whose pictures are there in part.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "edm2/generate/generate.h"

namespace edm2 {

/// The seeds whose files in outdir are missing or not whole, in their order. Every file is decoded.
/// `parameters`: run_parameters(). Throws Error if a whole picture says that it was made in another
/// way, and Interrupted.
std::vector<int64_t> missing_seeds(const GenerateOptions& options, const Sampler& sampler,
                                   const nlohmann::ordered_json& parameters, Progress& progress);

/// Writes --grid from the pictures in outdir, all of which must be there.
void write_grid_from_files(const GenerateOptions& options,
                           const nlohmann::ordered_json& parameters);

}  // namespace edm2
