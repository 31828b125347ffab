// What edm2 train tells of a run before it begins and when it has come to its end.
#pragma once

#include "edm2/core/progress.h"
#include "edm2/train/trainer.h"

namespace edm2::cli {

/// The lines that the original prints, after load_data(); where they would speak of GPUs that are
/// not there, what there is. `whole`: with the configuration as JSON.
void print_configuration(Trainer& trainer, int processes, bool whole, Progress& progress);

/// What is wrong with so short a run, and how to draw with its network.
void tell_how_to_draw(const TrainOptions& options, Progress& progress);

}  // namespace edm2::cli
