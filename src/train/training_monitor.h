// What a run tells of itself beside the original's statistics.
#pragma once

#include <memory>

#include "edm2/core/process_group.h"
#include "edm2/nn/network.h"
#include "edm2/train/statistics.h"
#include "edm2/train/train_options.h"
#include "train/gradient_check.h"
#include "train/layer_norms.h"
#include "train/run_log.h"
#include "train/spike_detector.h"

namespace edm2 {

/// Watches the steps of one run: gradients that are not finite, spikes of the loss, norms, the loss
/// by noise level. Draws no random numbers. All processes make the same calls.
class TrainingMonitor {
 public:
  /// All of them must outlive this.
  TrainingMonitor(const TrainOptions& options, Precond& network, ProcessGroup& group, RunLog& log);

  /// After each forward pass: loss [n,C,H,W], sigma [n,1,1,1].
  void after_forward(const Tensor& loss, const Tensor& sigma);
  /// When the gradients of the step that began at cur_nimg images are complete: whether optimizer
  /// and EMA are to move; see GradientCheck::check().
  bool after_backward(int64_t cur_nimg);
  /// At a status line: what stats.jsonl has besides the original's keys, of the steps since the
  /// last one. Says in the log what has to be said.
  NamedValues take_status();

  /// What this process has collected since the last status line, and what it knows of the steps
  /// before, for restore() when the run goes on.
  nlohmann::json save() const;
  /// `saved`: of all processes that the run had, in the order of their ranks.
  void restore(const std::vector<nlohmann::json>& saved);

 private:
  void watch_loss(int64_t cur_nimg);

  const TrainOptions& options_;
  Precond& network_;
  ProcessGroup& group_;
  RunLog& log_;
  GradientCheck gradients_;
  LayerNorms norms_;
  Statistics statistics_;
  SpikeDetector spikes_;
  double loss_sum_ = 0;  // of this step's images here
  int64_t loss_count_ = 0;
  int64_t steps_ = 0;  // since the last status
};

}  // namespace edm2
