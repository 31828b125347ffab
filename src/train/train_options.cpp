#include "edm2/train/train_options.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "edm2/core/error.h"
#include "edm2/core/format_number.h"
#include "train/objective.h"

namespace edm2 {
namespace {

template <class T>
nlohmann::ordered_json or_null(const std::optional<T>& value) {
  return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json(nullptr);
}

const char* encoder_class(const EncoderOptions& encoder) {
  switch (encoder.kind) {
    case EncoderOptions::Kind::stability_vae:
      return "training.encoders.StabilityVAEEncoder";
    case EncoderOptions::Kind::none:
      return "IdentityEncoder";  // the original has none
    case EncoderOptions::Kind::rgb:
      break;
  }
  return "training.encoders.StandardRGBEncoder";
}

constexpr std::array<std::pair<const char*, OnNonfinite>, 3> nonfinite_names = {
    {{"zero", OnNonfinite::zero}, {"skip", OnNonfinite::skip}, {"stop", OnNonfinite::stop}}};

/// As names of snapshots have it.
std::string three_decimals(double std) { return format_number("%.3f", std); }

void refuse_numbers_that_are_not_finite(const TrainOptions& options) {
  const std::pair<const char*, double> numbers[] = {
      {"--P_mean", options.P_mean},           {"--P_std", options.P_std},
      {"--lr", options.learning_rate.ref_lr}, {"--decay", options.learning_rate.ref_batches},
      {"--ls", options.loss_scaling},         {"--dropout", options.network.dropout}};
  for (const auto& [option, number] : numbers)
    if (!std::isfinite(number)) throw UsageError(std::string(option) + " must be a finite number");
}

}  // namespace

double learning_rate_at(const LearningRateOptions& options, int64_t cur_nimg, int64_t batch_size) {
  const auto nimg = static_cast<double>(cur_nimg);
  double lr = options.ref_lr;
  if (options.ref_batches > 0)
    lr /= std::sqrt(std::max(nimg / (options.ref_batches * static_cast<double>(batch_size)), 1.0));
  if (options.rampup_nimg > 0) lr *= std::min(nimg / options.rampup_nimg, 1.0);
  return lr;
}

int64_t usual_status_interval(int64_t total_nimg, int64_t batch_size) {
  const int64_t usual = *TrainOptions{}.status_nimg, part = total_nimg / 32;
  if (part >= usual) return usual;
  return std::max(part / batch_size, int64_t{1}) * batch_size;
}

std::vector<std::string> short_run_warnings(const TrainOptions& o) {
  std::vector<std::string> warnings;
  const auto text = [](int64_t n) { return std::to_string(n); };
  // Weights have a fixed length, and a step of Adam turns them by about the learning rate. Below
  // this angle in all, the first pictures of small networks were noise.
  constexpr double least_angle = 0.1;
  double angle = 0;
  for (int64_t nimg = 0; nimg < o.total_nimg && angle < least_angle; nimg += o.batch_size)
    angle += learning_rate_at(o.learning_rate, nimg, o.batch_size);
  if (angle < least_angle && o.init_from.empty())
    warnings.push_back(
        "Warning: after this run the network will draw little but noise: it is " +
        text(o.total_nimg / o.batch_size) + " steps long (--duration=" + text(o.total_nimg) + ")" +
        (o.learning_rate.rampup_nimg > static_cast<double>(o.total_nimg)
             ? ", and the learning rate is reached after " +
                   format_number("%.0f", o.learning_rate.rampup_nimg) + " images (--rampup)"
             : ""));
  if (o.snapshot_nimg && *o.snapshot_nimg > o.total_nimg)
    warnings.push_back(
        "Warning: only the untrained network will be saved for generate: --snapshot=" +
        text(*o.snapshot_nimg) + " is more than --duration=" + text(o.total_nimg));
  return warnings;
}

void apply_training_preset(TrainOptions& options, const std::string& name) {
  const auto objective = make_objective(options);
  const auto names = objective->preset_names();
  if (std::find(names.begin(), names.end(), name) == names.end()) {
    std::string known;
    for (const auto& entry : names) known += (known.empty() ? "" : ", ") + entry;
    throw Error("Invalid configuration preset \"" + name + "\"; known presets are " + known);
  }
  objective->apply_preset(options, name);
}

std::vector<std::string> training_preset_names() {
  return make_objective(TrainOptions{})->preset_names();
}

Streams parse_streams(const std::string& name) {
  if (name == "rank") return Streams::rank;
  if (name == "image") return Streams::image;
  throw UsageError("'" + name + "' is not one of 'rank', 'image'.");
}

OnNonfinite parse_on_nonfinite(const std::string& name) {
  for (const auto& [known, value] : nonfinite_names)
    if (name == known) return value;
  throw UsageError("'" + name + "' is not one of 'zero', 'skip', 'stop'.");
}

SaveErrors parse_save_errors(const std::string& name) {
  if (name == "continue") return SaveErrors::go_on;
  if (name == "stop") return SaveErrors::stop;
  throw UsageError("'" + name + "' is not one of 'continue', 'stop'.");
}

void validate(const TrainOptions& options, int processes) {
  refuse_numbers_that_are_not_finite(options);
  const auto text = [](int64_t n) { return std::to_string(n); };
  if (options.batch_size < 1)
    throw Error("--batch is " + text(options.batch_size) + ", it must be at least 1");
  if (options.total_nimg < 1)
    throw Error("--duration is " + text(options.total_nimg) + ", it must be at least one batch");
  const auto multiple_of_batch = [&](const char* option, std::optional<int64_t> value) {
    if (value && *value % options.batch_size != 0)
      throw Error(std::string(option) + "=" + text(*value) + " is not a multiple of --batch=" +
                  text(options.batch_size) + "; choose a multiple");
  };
  multiple_of_batch("--duration", options.total_nimg);
  multiple_of_batch("--status", options.status_nimg);
  multiple_of_batch("--snapshot", options.snapshot_nimg);
  multiple_of_batch("--checkpoint", options.checkpoint_nimg);
  multiple_of_batch("--sample-every", options.samples.every_nimg);
  const auto multiple_of_1024 = [&](const char* option, std::optional<int64_t> value) {
    if (value && *value % 1024 != 0)
      throw Error(std::string(option) + "=" + text(*value) +
                  " is not a multiple of 1024 images (file names count in units of 1024)");
  };
  multiple_of_1024("--snapshot", options.snapshot_nimg);
  multiple_of_1024("--checkpoint", options.checkpoint_nimg);
  if (options.batch_size % processes != 0)
    throw Error("--batch=" + text(options.batch_size) + " is not divisible by the " +
                text(processes) + " processes; choose a multiple");
  const int64_t share = options.batch_size / processes;
  if (options.batch_gpu && *options.batch_gpu < share && share % *options.batch_gpu != 0)
    throw Error("--batch=" + text(options.batch_size) +
                (processes > 1 ? ", which is " + text(share) + " for each of " + text(processes) +
                                     " processes,"
                               : std::string()) +
                " is not divisible by --batch-gpu=" + text(*options.batch_gpu) +
                "; choose a divisor of the batch");
  for (const double std : options.stds)
    if (!(std > 0 && std < 0.289))
      throw Error("Relative standard deviation must be positive and less than 0.289");
  for (size_t i = 0; i < options.stds.size(); ++i)
    for (size_t j = 0; j < i; ++j)
      if (options.stds[i] != options.stds[j] &&
          three_decimals(options.stds[i]) == three_decimals(options.stds[j]))
        throw UsageError("--stds has two widths whose snapshots would have one name, that of " +
                         three_decimals(options.stds[i]) +
                         "; choose widths that differ in three decimals");
  for (const double std : options.samples.stds)
    if (std::find(options.stds.begin(), options.stds.end(), std) == options.stds.end()) {
      throw Error("--sample-stds has " + three_decimals(std) +
                  ", which is not one of --stds; choose among those");
    }
}

nlohmann::ordered_json training_config(const TrainOptions& options, const EncoderOptions& encoder,
                                       LabelKind labels) {
  using Json = nlohmann::ordered_json;
  Json config;

  Json& dataset = config["dataset_kwargs"];
  dataset = {{"class_name", "training.dataset.ImageFolderDataset"},
             {"path", options.data.string()},
             {"use_labels", options.use_labels}};
  if (options.xflip) dataset["xflip"] = true;
  if (options.max_size) dataset["max_size"] = *options.max_size;
  if (labels == LabelKind::vectors) dataset["label_kind"] = "vector";
  config["encoder_kwargs"]["class_name"] = encoder_class(encoder);
  config["total_nimg"] = options.total_nimg;
  config["batch_size"] = options.batch_size;

  Json& network = config["network_kwargs"];
  network = {{"class_name", "training.networks_edm2.Precond"},
             {"model_channels", options.network.model_channels},
             {"dropout", options.network.dropout},
             {"use_fp16", options.network.use_fp16}};
  const auto all = to_json(options.network);
  const auto defaults = to_json(NetworkOptions{});
  for (const char* key :
       {"channel_mult", "num_blocks", "attn_resolutions", "channels_per_head", "logvar_channels",
        "channel_mult_noise", "channel_mult_emb", "label_balance", "concat_balance",
        "resample_filter", "res_balance", "attn_balance", "clip_act", "sigma_data"})
    if (all[key] != defaults[key]) network[key] = all[key];

  config["loss_kwargs"] = make_objective(options)->config(options);
  Json& lr = config["lr_kwargs"];
  lr = {{"func_name", "training.training_loop.learning_rate_schedule"},
        {"ref_lr", options.learning_rate.ref_lr}};
  if (options.learning_rate.ref_batches_is_integer)
    lr["ref_batches"] = static_cast<int64_t>(options.learning_rate.ref_batches);
  else
    lr["ref_batches"] = options.learning_rate.ref_batches;
  if (options.learning_rate.rampup_nimg != LearningRateOptions{}.rampup_nimg)
    lr["rampup_Mimg"] = options.learning_rate.rampup_nimg / 1e6;

  config["batch_gpu"] = or_null(options.batch_gpu);
  config["loss_scaling"] = options.loss_scaling;
  config["cudnn_benchmark"] = options.cudnn_benchmark;
  config["status_nimg"] = or_null(options.status_nimg);
  config["snapshot_nimg"] = or_null(options.snapshot_nimg);
  config["checkpoint_nimg"] = or_null(options.checkpoint_nimg);
  config["seed"] = options.seed;
  if (options.streams == Streams::image) config["streams"] = "image";
  if (!options.init_from.empty()) config["init_from"] = options.init_from.shown();
  if (options.chosen_automatically) config["auto"] = true;
  for (const auto& [name, value] : nonfinite_names)
    if (value == options.on_nonfinite && value != TrainOptions{}.on_nonfinite)
      config["on_nonfinite"] = name;
  if (options.stds != TrainOptions{}.stds)
    config["ema_kwargs"] = {{"class_name", "training.phema.PowerFunctionEMA"},
                            {"stds", options.stds}};
  return config;
}

}  // namespace edm2
