/// What a training run will take, measured before it starts (`edm2 train --estimate`).
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "edm2/train/measure.h"

namespace edm2 {

/// Bytes are those of one process unless it says otherwise.
struct RunEstimate {
  int processes = 1;
  std::string device;
  int64_t parameters = 0;
  RestingMemory memory;
  double available_memory = 0;  ///< 0 = unknown

  /// None if the network does not fit into memory, so that nothing was measured.
  std::optional<StepMeasurement> step;  ///< for the run's batch_gpu
  int64_t measured_batch_gpu = 0;       ///< largest that was tried; `step` is extrapolated from it
  int64_t rounds = 0;                   ///< passes that a process makes in a step
  /// Part of the processors' time that went to other programs while steps were measured on the CPU,
  /// in [0, 1].
  double used_by_others = 0;

  int64_t batch_size = 0, total_nimg = 0;
  double snapshot_bytes = 0, state_bytes = 0;  ///< one file
  int64_t snapshots = 0, states = 0;           ///< files of the whole run
  std::string folder;                          ///< that free_disk belongs to
  double free_disk = 0;

  /// Of a process, in bytes: what a step computes with, and all in all.
  double activations() const;
  double memory_of_process() const;
  /// From the steps that were measured, 0 without them: speed, time and disk use of the whole run.
  double seconds_per_step() const;
  double images_per_second() const;
  double seconds() const;
  double disk_bytes() const;

  /// For the user; warnings begin with "Warning".
  std::vector<std::string> lines() const;
  nlohmann::ordered_json json() const;
};

/// After load_data(), with options() as setup() would take them. Writes nothing. All processes call
/// it. The run's own batch_gpu, or the largest that was tried, is measured for `least_seconds`.
RunEstimate estimate_run(Trainer& trainer, ProcessGroup& group, double least_seconds = 8);

/// Size of a file that the trainer writes, within a few percent.
double snapshot_file_size(const NetworkOptions& options);
double training_state_file_size(const TrainOptions& options);

}  // namespace edm2
