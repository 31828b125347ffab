/// The training loop (arXiv 2312.02696, Appendix B; spec in docs/architecture.md).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "edm2/core/progress.h"
#include "edm2/core/tensor.h"
#include "edm2/train/train_options.h"

namespace edm2 {

class Precond;
class PowerFunctionEma;

/// Trains one network in one process, deterministically: every step is seeded by (seed, rank,
/// images so far), so that a resumed run continues bit for bit.
///
///   Trainer trainer(options, progress);
///   trainer.setup();   // reads the data, builds the network, resumes from the newest training
///   state trainer.run();
class Trainer {
 public:
  Trainer(TrainOptions options, std::shared_ptr<Progress> progress);
  ~Trainer();

  /// Validates everything before it writes anything; then creates options.outdir. Throws Error.
  void setup();
  /// Trains to the end, writing status lines, snapshots and training states. A run that is already
  /// at its end says so and returns. Throws Interrupted after a signal (the last training state
  /// stays).
  void run();

  /// One optimizer step by itself (for tests and other loops); setup() first.
  void step();

  /// The dataset's channels (after setup() or load_data()).
  int64_t raw_channels() const;
  /// Opens and checks the dataset and the options, writes nothing. setup() does it by itself.
  void load_data();

  Precond& network();
  PowerFunctionEma& ema();
  int64_t cur_nimg() const;
  double last_learning_rate() const;

  /// What one forward pass of a step worked on, for tests and diagnosis.
  struct Round {
    Tensor loss;   ///< [n,C,H,W]
    Tensor sigma;  ///< [n,1,1,1]
    std::vector<int64_t> indices;
  };
  std::function<void(const Round&)> on_round;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace edm2
