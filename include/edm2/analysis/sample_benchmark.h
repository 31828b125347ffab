/// How fast a network is evaluated on this machine, and how fast its convolutions alone would be.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <functional>

#include "edm2/core/device.h"
#include "edm2/engine/engine.h"
#include "edm2/nn/stored_snapshot.h"

namespace edm2 {

/// What is measured of a network's evaluations.
struct SampleBenchmarkOptions {
  int64_t batch = 4;  ///< pictures evaluated together
  Precision precision = Precision::automatic;
  c10::Device device = c10::kCPU;
  EngineKind engine = EngineKind::automatic;
  double seconds = 6;  ///< measure for about that long, after warming up; two rounds at least
};

/// What benchmark_sampling() has measured.
struct SampleBenchmark {
  // Medians over the rounds, in seconds, for one picture of a batch.
  double seconds_per_image_evaluation = 0;  ///< one evaluation of the network
  /// All convolutions of the network alone: the sum of the medians of each, on whole batches, with
  /// the fastest primitive and memory layout known for it, weights arranged beforehand.
  double convolution_floor_seconds = 0;
  /// Median over the rounds of evaluation / convolutions, measured one after the other.
  double ratio = 0;
  double flops = 0;          ///< of one evaluation of one picture, as `edm2 flops` counts them
  double setup_seconds = 0;  ///< from the snapshot to a network that can be evaluated
  double first_seconds = 0;  ///< of the first evaluation of a batch
  /// Bytes: the most that the process took while it made the network and evaluated it (on systems
  /// that can forget what was before), without the measured convolutions; on CUDA of the device.
  double peak_memory = 0;
  int64_t parameters = 0;
  int64_t rounds = 0;
};

/// Evaluates the network on random images of one noise level and different classes, and times the
/// convolutions in between, round by round. The default random generator is used.
SampleBenchmark benchmark_sampling(StoredSnapshot snapshot, const SampleBenchmarkOptions& options);

/// A network with random weights, all layers of which take part (as they do not in a network before
/// its training, whose gains are 0).
Snapshot random_network(const NetworkOptions& options);

}  // namespace edm2
