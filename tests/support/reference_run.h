// Training runs of the original.
#pragma once

#include <filesystem>
#include <string>

#include "edm2/train/train_options.h"

namespace edm2::test {

/// The folder of that run, outside the repository.
std::filesystem::path reference_run(const std::string& run);

/// The options that its training_options.json stands for.
TrainOptions reference_options(const std::string& run, const std::filesystem::path& outdir);

}  // namespace edm2::test
