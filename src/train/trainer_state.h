// What a trainer holds, and the pieces that its loop is made of. Each group of them has a file.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/measuring.h"
#include "edm2/core/error.h"
#include "edm2/train/init_from.h"
#include "edm2/train/optimizer.h"
#include "edm2/train/trainer.h"
#include "train/event_log.h"
#include "train/gradient_average.h"
#include "train/objective.h"
#include "train/run_files.h"
#include "train/sample_grid.h"
#include "train/status_report.h"
#include "train/training_data.h"

namespace edm2 {

/// The network and what changes it.
struct Learner {
  std::unique_ptr<Precond> network;
  std::unique_ptr<GradientAverage> average;  // after the network: it hooks into its tensors
  std::unique_ptr<Adam> optimizer;
  std::unique_ptr<PowerFunctionEma> ema;
  std::unique_ptr<Objective> objective;
  LossOptions loss;
  double last_lr = 0;
};

/// Images of one forward pass, and the random numbers for them.
struct LoadedRound {
  RoundInput input;
  RoundDraws draws;
  std::vector<int64_t> indices, positions;  // see Trainer::Round
};

/// What is to be written between two steps.
struct DueWork {
  bool status = false, snapshots = false, samples = false, state = false;
};

struct Trainer::State {
  State(TrainOptions train_options, std::shared_ptr<Progress> sink, ProcessGroup& all)
      : options(std::move(train_options)),
        group(all),
        progress(all.is_main() ? std::move(sink) : make_progress(ProgressStyle::quiet)),
        files(options, progress),
        log(files.log) {}

  // Given by the user.
  TrainOptions options;
  ProcessGroup& group;
  std::shared_ptr<Progress> progress;  // quiet but for the first process
  double made_at = seconds_now();      // options.suspend_after counts from here

  // Read and written.
  TrainingData data;
  RunFiles files;
  RunLog& log;
  std::unique_ptr<EventLog> events;         // of the first process
  std::unique_ptr<SampleGrid> sample_grid;  // likewise, if wanted
  std::string save_error;  // of the newest training state; empty: it is on the disk

  // Trained.
  c10::Device device = c10::kCPU;
  int64_t batch_gpu = 0, num_rounds = 0;
  Learner learner;
  std::unique_ptr<StatusReport> status;  // after the network
  RunProgress run;
  int64_t start_nimg = 0, saved_nimg = 0;

  // Set-up (trainer_setup.cpp).
  void set_up(bool measuring);
  void clear();
  void prepare();
  std::optional<LoadedWeights> open_run();
  void build_network();
  void initialize(std::optional<LoadedWeights> weights);
  nlohmann::ordered_json config() const;
  void resume();
  void keep_settings_of(const std::filesystem::path& state);

  // A step (trainer.cpp).
  LoadedRound load(int64_t round);
  LossTerms evaluate(const LoadedRound& round);
  void accumulate_gradients(const Tensor& loss);
  void update();

  // Between steps (trainer_saving.cpp).
  bool is_done() const { return run.cur_nimg >= options.total_nimg; }
  bool has_begun() const { return run.cur_nimg != start_nimg; }
  DueWork due_work() const;
  void write_status();
  void save_snapshots();
  void draw_samples();
  void save_state();

  // Begin and end (trainer_end.cpp).
  void say_begin();
  RunEnd say_finished();
  RunEnd finish();
  std::string suspend_reason();
  RunEnd suspend(const std::string& reason);
  [[noreturn]] void explain(const Error& error);
};

}  // namespace edm2
