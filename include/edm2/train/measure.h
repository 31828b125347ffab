/// Training steps measured on this machine: time and memory.
#pragma once

#include <cstdint>
#include <vector>

#include "edm2/core/process_group.h"
#include "edm2/train/trainer.h"

namespace edm2 {

/// Of the slowest, or the largest, of all processes.
struct StepMeasurement {
  int64_t batch_gpu = 0;     ///< images that a process computes at once
  double round_seconds = 0;  ///< forward and backward pass of so many images
  double step_seconds = 0;   ///< what a step takes besides: exchange of gradients, Adam, EMAs
  double peak_bytes = 0;     ///< activations and gradients at their peak, in a process
};

/// How far measure_steps() goes.
struct MeasureLimits {
  double bytes = 0;          ///< peak_bytes beyond which nothing is tried; 0 = none
  double round_seconds = 4;  ///< nothing larger is tried after a round of that length
  double least_seconds = 0;  ///< steps of every size are repeated for so long, and three times
};

/// Runs a few steps with batches of each of those sizes (ascending, >= 1), as far as the limits
/// allow; the first one always. `trainer` must be set up by setup_to_measure(). All processes call
/// it and get the same. On the CPU memory is that of the process, so it grows only from size to
/// size.
std::vector<StepMeasurement> measure_steps(Trainer& trainer, ProcessGroup& group,
                                           const std::vector<int64_t>& sizes,
                                           const MeasureLimits& limits = {});

/// What another size would take, if all but a constant grows with it. `measured` is not empty.
StepMeasurement extrapolate(const std::vector<StepMeasurement>& measured, int64_t batch_gpu);

/// 1, 2, 4, ... below `most`, and `most`.
std::vector<int64_t> doubling_sizes(int64_t most);

/// Memory of the trainer's machine that this process may take, in bytes; 0 = unknown. Processes on
/// one machine share its memory, those on devices of their own do not.
double memory_for_this_process(const c10::Device& device, ProcessGroup& group);

/// What stays in memory during training, by its kind, in bytes.
struct RestingMemory {
  double weights = 0, gradients = 0, optimizer = 0, emas = 0;
};
/// From the options alone.
RestingMemory resting_memory(const TrainOptions& options);

}  // namespace edm2
