/// Everything that determines a training run, and the original's presets.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "edm2/core/device.h"
#include "edm2/data/dataset.h"
#include "edm2/data/encoder.h"
#include "edm2/io/source.h"
#include "edm2/nn/network_options.h"

namespace edm2 {

/// Inverse square root decay after a linear ramp-up (arXiv 2312.02696, Eq. 67).
struct LearningRateOptions {
  double ref_lr = 0.01;        ///< alpha_ref, > 0
  double ref_batches = 70000;  ///< t_ref in batches; 0 = no decay
  double rampup_nimg = 10e6;   ///< images until the full rate; 0 = no ramp-up
  /// The configuration prints ref_batches as an integer (presets) or as a float (command line).
  bool ref_batches_is_integer = false;
};

/// What the random draws of an image (noise level, noise, dropout, latents) depend on.
enum class Streams {
  rank,   ///< as in the original: seed, process and step, so another number of processes or
          ///< another batch_gpu draws other numbers
  image,  ///< seed and the image's place in the run, so those change nothing but rounding
};

/// "rank" or "image"; throws UsageError otherwise.
Streams parse_streams(const std::string& name);

/// What is done with a step whose gradients are not all finite.
enum class OnNonfinite {
  zero,  ///< as in the original: those elements count as 0
  skip,  ///< optimizer and EMA do not move; images, learning rate and random streams go on
  stop,  ///< the run ends with an error before the weights change
};

/// "zero", "skip" or "stop"; throws UsageError otherwise.
OnNonfinite parse_on_nonfinite(const std::string& name);

/// What to do when a file of the run cannot be written (full disk, lost quota).
enum class SaveErrors {
  go_on,  ///< say so, keep the last good training state, try again later
  stop,
};

/// "continue" or "stop"; throws UsageError otherwise.
SaveErrors parse_save_errors(const std::string& name);

/// Pictures drawn while a run goes on; see Trainer::run().
struct SampleOptions {
  std::optional<int64_t> every_nimg;  ///< a multiple of the batch size; none = off
  int64_t count = 16;                 ///< pictures in a grid, >= 1
  int64_t num_steps = 32;             ///< of the sampler, >= 1
  std::vector<double> stds;  ///< EMA widths, a grid for each; empty: the narrowest of the run
  /// Of latent datasets: folder, file or address of the VAE; empty: one that is on this machine, or
  /// else a cheap impression of the latents.
  NamedSource vae;
  FetchOptions fetch;
};

/// All that determines a run.
struct TrainOptions {
  std::filesystem::path outdir;
  std::filesystem::path data;
  bool use_labels = true;
  std::optional<LabelKind> label_kind;  ///< labels must be of that kind; none = of either
  EncoderChoice encoder = EncoderChoice::automatic;
  bool xflip = false;
  std::optional<int64_t> max_size;

  /// Network, as load_network_source() takes it, whose weights the training starts from; empty:
  /// from random ones. A run that is resumed does not read it.
  NamedSource init_from;
  FetchOptions fetch;

  /// img_resolution, img_channels and label_dim are taken from the dataset.
  NetworkOptions network;
  double P_mean = -0.4, P_std = 1.0;
  LearningRateOptions learning_rate;

  int64_t total_nimg = 0;  ///< images to train for, a multiple of batch_size
  int64_t batch_size = 2048;
  std::optional<int64_t> batch_gpu;  ///< largest batch a process computes at once; none = no limit
  double loss_scaling = 1;
  bool cudnn_benchmark = true;
  // Intervals in images, multiples of batch_size; none = off.
  std::optional<int64_t> status_nimg = int64_t{128} << 10;
  std::optional<int64_t> snapshot_nimg = int64_t{8} << 20;
  std::optional<int64_t> checkpoint_nimg = int64_t{128} << 20;
  std::optional<int64_t> keep_checkpoints;  ///< newest training states to keep; none = all
  std::optional<double> suspend_after;      ///< seconds after the trainer was made; none = no limit
  /// Computing time is dear, and somebody may make room before it is over.
  SaveErrors on_save_error = SaveErrors::go_on;
  int64_t seed = 0;
  Streams streams = Streams::rank;
  OnNonfinite on_nonfinite = OnNonfinite::zero;
  /// stats.jsonl also has norms of gradients and weights by layer group and the loss by noise
  /// level.
  bool full_statistics = true;
  bool tensorboard = true;  ///< write an event file with the statistics and the sample grids
  SampleOptions samples;
  std::vector<double> stds = {0.050, 0.100};  ///< EMA widths, each in (0, 0.289)

  /// Batch, learning rate and so on were chosen by the program (edm2/train/auto_config.h).
  bool chosen_automatically = false;

  std::string device = "auto";
  Precision precision = Precision::automatic;
  int64_t data_threads = 2;  ///< threads that decode images ahead of the trainer
};

/// Learning rate of the step that begins at cur_nimg images.
double learning_rate_at(const LearningRateOptions& options, int64_t cur_nimg, int64_t batch_size);

/// Images between status lines, unless the user says otherwise: the original's 128Ki, or in a run
/// of less than 4Mi images a 32nd of it, in whole batches.
int64_t usual_status_interval(int64_t total_nimg, int64_t batch_size);

/// Sentences on a run from random weights after which there are no pictures to be seen: it is too
/// short to learn more than noise, or no snapshot is written after its start.
std::vector<std::string> short_run_warnings(const TrainOptions& options);

/// Fills network, loss, learning rate, batch and duration as the original's preset of that name
/// ("edm2-img512-s"). Throws Error for an unknown name.
void apply_training_preset(TrainOptions& options, const std::string& name);
std::vector<std::string> training_preset_names();

/// Throws Error, in one sentence that names the options, if the numbers do not fit together, or not
/// to the number of processes.
void validate(const TrainOptions& options, int processes = 1);

/// The configuration as the original prints and saves it (training_options.json); keys that only
/// this program knows are added where they differ from their default. `encoder` and `labels`: what
/// the dataset has.
nlohmann::ordered_json training_config(const TrainOptions& options, const EncoderOptions& encoder,
                                       LabelKind labels);

}  // namespace edm2
