/// Everything that determines a training run, and the original's presets.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "edm2/core/device.h"
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

struct TrainOptions {
  std::filesystem::path outdir;
  std::filesystem::path data;
  bool use_labels = true;
  bool xflip = false;
  std::optional<int64_t> max_size;

  /// img_resolution, img_channels and label_dim are taken from the dataset.
  NetworkOptions network;
  double P_mean = -0.4, P_std = 1.0;
  LearningRateOptions learning_rate;

  int64_t total_nimg = 0;  ///< images to train for, a multiple of batch_size
  int64_t batch_size = 2048;
  std::optional<int64_t> batch_gpu;  ///< largest batch computed at once; none = no limit
  double loss_scaling = 1;
  bool cudnn_benchmark = true;
  // Intervals in images, multiples of batch_size; none = off.
  std::optional<int64_t> status_nimg = int64_t{128} << 10;
  std::optional<int64_t> snapshot_nimg = int64_t{8} << 20;
  std::optional<int64_t> checkpoint_nimg = int64_t{128} << 20;
  int64_t seed = 0;
  std::vector<double> stds = {0.050, 0.100};  ///< EMA widths, each in (0, 0.289)

  std::string device = "auto";
  Precision precision = Precision::automatic;
  int64_t data_threads = 2;  ///< threads that decode images ahead of the trainer
};

/// Learning rate of the step that begins at cur_nimg images.
double learning_rate_at(const LearningRateOptions& options, int64_t cur_nimg, int64_t batch_size);

/// Fills network, loss, learning rate, batch and duration as the original's preset of that name
/// ("edm2-img512-s"). Throws Error for an unknown name.
void apply_training_preset(TrainOptions& options, const std::string& name);
std::vector<std::string> training_preset_names();

/// Throws Error, in one sentence that names the options, if the numbers do not fit together.
void validate(const TrainOptions& options);

/// The configuration as the original prints and saves it (training_options.json); keys that only
/// this program knows are added where they differ from their default. `raw_channels`: of the
/// dataset.
nlohmann::ordered_json training_config(const TrainOptions& options, int64_t raw_channels);

}  // namespace edm2
