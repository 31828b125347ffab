// What a run tells of itself from one status line to the next.
#pragma once

#include "edm2/core/process_group.h"
#include "edm2/nn/network.h"
#include "edm2/train/statistics.h"
#include "edm2/train/train_options.h"
#include "train/gradient_check.h"
#include "train/layer_norms.h"
#include "train/run_log.h"
#include "train/spike_detector.h"
#include "train/training_state.h"

namespace edm2 {

/// The original's statistics and times; and beside them norms, the loss by noise level, gradients
/// that are not finite, spikes of the loss. Draws no random numbers. All processes make the same
/// calls.
class StatusReport {
 public:
  /// `begin`: seconds_now() from which the first line counts. All others must outlive this.
  StatusReport(const TrainOptions& options, Precond& network, ProcessGroup& group, RunLog& log,
               double begin);

  /// After each forward pass: loss [n,C,H,W], sigma [n,1,1,1].
  void after_forward(const Tensor& loss, const Tensor& sigma);
  /// When the gradients of the step that began at cur_nimg images are complete: whether optimizer
  /// and EMA are to move; see GradientCheck::check().
  bool after_backward(int64_t cur_nimg, double learning_rate);
  /// "loss 0.5213", the mean of about the last 32 steps; empty before the first one.
  std::string loss_text() const;
  /// Time that a step has taken.
  void add_training_time(double seconds) { training_time_ += seconds; }

  struct Entry {
    NamedValues values, extra;  ///< the original's, our own
    std::string line;           ///< for stats.jsonl
  };
  /// Says the status line, and what else has to be said, in the log, adds the time to
  /// run.total_elapsed_time, and starts anew.
  Entry take(RunProgress& run);

  /// What has been collected since the last status line (RunProgress::more), so that the next one
  /// comes out as if the run had not been interrupted.
  nlohmann::json save() const;
  /// The run goes on from there. Throws Error if run.more makes no sense.
  void restore(const RunProgress& run);

 private:
  void watch_loss(int64_t cur_nimg);
  /// The status line as the original has it, and where its figures of the GPU begin.
  struct StatusLine {
    std::string text;
    size_t gpu = 0;
  };
  StatusLine report_figures(const RunProgress& run, double tick, double per_kimg);
  void say(const StatusLine& line, const NamedValues& values);
  NamedValues take_extra();

  const TrainOptions& options_;
  Precond& network_;
  ProcessGroup& group_;
  RunLog& log_;
  Statistics statistics_, extra_statistics_;  // the original's, our own
  GradientCheck gradients_;
  LayerNorms norms_;
  SpikeDetector spikes_;
  double loss_sum_ = 0;  // of this step's images here
  int64_t loss_count_ = 0;
  double recent_loss_ = 0;  // of the last steps of all processes
  int64_t recent_losses_ = 0;
  // Since the last status line.
  double begin_, training_time_ = 0;
  int64_t begin_nimg_ = 0, steps_ = 0;
};

}  // namespace edm2
