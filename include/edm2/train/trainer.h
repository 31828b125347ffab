/// The training loop (arXiv 2312.02696, Appendix B; spec in docs/architecture.md).
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "edm2/core/process_group.h"
#include "edm2/core/progress.h"
#include "edm2/core/tensor.h"
#include "edm2/data/dataset.h"
#include "edm2/train/train_options.h"

namespace edm2 {

class Precond;
class PowerFunctionEma;

/// How Trainer::run() ended.
enum class RunEnd {
  finished,
  suspended,  ///< by a signal or after the given time; its state is saved and it can go on
};

/// Trains one network, deterministically: every step is seeded by (seed, rank, images so far), so
/// that a resumed run continues bit for bit.
///
///   Trainer trainer(options, progress);
///   trainer.setup();  // reads the data, builds the network, resumes from the newest state
///   trainer.run();
///
/// Many processes share every batch: each computes the gradients of its images, the gradients are
/// averaged, and all take the same step. All of them make the same calls; the first one alone
/// reports and writes files. `group` must outlive the trainer.
class Trainer {
 public:
  Trainer(TrainOptions options, std::shared_ptr<Progress> progress);
  Trainer(TrainOptions options, std::shared_ptr<Progress> progress, ProcessGroup& group);
  ~Trainer();

  /// Validates everything before it writes anything; then creates options.outdir. Throws Error.
  void setup();
  /// Trains to the end, writing status lines, snapshots and training states. A run that is already
  /// at its end says so and returns. A signal to any process (see pending_signal()) or the end of
  /// options.suspend_after ends it after the current step, with a training state. Throws Error if
  /// the last training state could not be written, GroupError if another process fails.
  RunEnd run();

  /// One optimizer step by itself (for tests and other loops); setup() first.
  void step();

  /// Opens and checks the dataset, writes nothing. setup() does it by itself.
  void load_data();
  /// What load_data() has found.
  const ImageDataset& dataset() const;
  /// May be changed until setup(); load_data() fills in what the dataset says of the network.
  TrainOptions& options();
  /// After load_data(): what setup() writes as training_options.json; of a run that goes on, what
  /// it is trained with.
  nlohmann::ordered_json configuration() const;

  /// To measure steps on this machine: builds everything, but writes nothing and takes up no
  /// earlier run. setup() may follow, and starts from scratch.
  void setup_to_measure();
  /// From the next step on, every process computes `rounds` times `batch_gpu` images in a step.
  void use_batch(int64_t batch_gpu, int64_t rounds);

  /// What is trained, its averages, and how far training has come.
  Precond& network();
  PowerFunctionEma& ema();
  int64_t cur_nimg() const;
  double last_learning_rate() const;

  /// What one forward pass of a step worked on, for tests and diagnosis.
  struct Round {
    Tensor loss;                     ///< [n,C,H,W]
    Tensor sigma;                    ///< [n,1,1,1]
    std::vector<int64_t> indices;    ///< into the dataset
    std::vector<int64_t> positions;  ///< of the images in the run, counted from 0
  };
  std::function<void(const Round&)> on_round;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace edm2
