/// Training of the 2D example's network.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "edm2/core/progress.h"
#include "edm2/toy/mixture.h"
#include "edm2/toy/network.h"

namespace edm2::toy {

/// How a toy network is trained.
struct TrainOptions {
  std::string classes = "A";
  NetworkOptions network;
  int64_t batch_size = 4096;
  int64_t iterations = 4096;
  double learning_rate = 0.01;  ///< lr = learning_rate / sqrt(max(t / decay, 1))
  double decay_iterations = 512;
  double ema_std = 0.010;             ///< relative width of the power-function EMA
  double P_mean = -2.3, P_std = 1.5;  ///< ln(sigma) ~ N(P_mean, P_std^2)
  int64_t seed = 0;
  std::optional<std::filesystem::path> outdir;  ///< for iterNNNN.pkl; none: no snapshots
  int64_t snapshot_iterations = 256;
};

/// One step of training by score matching against the exact score.
class Trainer {
 public:
  /// Seeds libtorch's default generator and draws the network. Throws UsageError, Error.
  explicit Trainer(const TrainOptions& options);

  /// Returns the mean loss of the batch.
  double step();
  int64_t iteration() const { return iteration_; }  ///< steps made
  const Network& network() const { return network_; }
  const Network& ema() const { return ema_; }

 private:
  TrainOptions options_;
  Mixture mixture_;
  Network network_, ema_;
  struct Moments {
    Tensor mean, square;
  };
  std::vector<Moments> moments_;
  int64_t iteration_ = 0;
};

/// The whole training with its snapshots; returns the EMA of the network. `before_step` (may be
/// empty) sees every iteration before its step. Throws Interrupted after a signal.
Network train(const TrainOptions& options, Progress& progress,
              const std::function<void(const Trainer&)>& before_step = {});

}  // namespace edm2::toy
