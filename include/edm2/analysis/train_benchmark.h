/// How fast a network trains on this machine, and how fast its convolutions alone would be.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "edm2/core/device.h"
#include "edm2/nn/network_options.h"

namespace edm2 {

/// What is measured of a network's training.
struct TrainBenchmarkOptions {
  NetworkOptions network;
  int64_t batch = 4;
  Precision precision = Precision::automatic;
  c10::Device device = c10::kCPU;
  double seconds = 15;                      ///< measure for about that long, after warming up
  std::vector<double> stds = {0.05, 0.10};  ///< EMA widths
};

/// What benchmark_training() has measured.
struct TrainBenchmark {
  // Medians over the rounds, in seconds.
  double step = 0;      ///< a whole training step on images that are there already
  double forward = 0;   ///< of it: noise, network and loss
  double backward = 0;  ///< of it: gradients
  double update = 0;    ///< of it: Adam and the moving averages
  /// All convolutions of the network, forward and with both gradients, alone: the sum of the
  /// medians of each, with the fastest primitive and memory layout known for it, weights arranged
  /// beforehand.
  double convolutions = 0;
  /// Median over the rounds of step / convolutions, measured one after the other.
  double ratio = 0;
  double images_per_second = 0;
  double peak_memory = 0;  ///< bytes: of the process while it trained; on CUDA of the device
  int64_t parameters = 0;
  int64_t rounds = 0;  ///< steps that were measured
};

/// Trains on random images and times the convolutions in between, round by round. `after_round` is
/// told the share that is done, 0..1. The default random generator is used.
TrainBenchmark benchmark_training(const TrainBenchmarkOptions& options,
                                  const std::function<void(double)>& after_round = {});

}  // namespace edm2
