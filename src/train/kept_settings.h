// What a run that goes on keeps from its beginning, whatever the options of the new start say.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "edm2/nn/snapshot.h"
#include "edm2/train/train_options.h"

namespace edm2 {

/// Puts what a training state holds of the settings into the options: averages and loss come from
/// it. Returns a sentence for each option whose value is not used, for people to read.
std::vector<std::string> keep_settings(TrainOptions& options, const LossOptions& loss,
                                       const std::vector<double>& stds,
                                       const nlohmann::json& earlier);

/// The configuration, with what the run in `folder` will keep if it has a training state: as far as
/// its training_options.json tells, without a look into the state.
nlohmann::ordered_json with_kept_settings(nlohmann::ordered_json config,
                                          const std::filesystem::path& folder);

/// training_options.json of that folder; null where there is none, or none that makes sense.
nlohmann::json read_run_config(const std::filesystem::path& folder);

}  // namespace edm2
