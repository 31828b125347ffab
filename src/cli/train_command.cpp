// edm2 train: options of the original's train_edm2.py, and more, -> TrainOptions -> Trainer.
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/commands.h"
#include "edm2/train/trainer.h"

namespace edm2::cli {
namespace {

/// As given on the command line; what is not given comes from the preset.
struct TrainArguments {
  std::string outdir, data, preset = "edm2-img512-s";
  bool cond = true, xflip = false, fp16 = true, bench = true, dry_run = false;
  std::optional<int64_t> duration, batch, channels, batch_gpu, max_size, rampup;
  std::optional<double> dropout, P_mean, P_std, lr, decay;
  double ls = 1;
  int64_t status = int64_t{128} << 10, snapshot = int64_t{8} << 20, checkpoint = int64_t{128} << 20,
          seed = 0, data_threads = 2;
  std::optional<std::vector<int64_t>> channel_mult, attn_resolutions;
  std::optional<int64_t> num_blocks, channels_per_head, logvar_channels;
  std::optional<std::vector<double>> stds;
};

template <class T, class U>
void take_if_given(const std::optional<T>& given, U& target) {
  if (given) target = *given;
}

std::optional<int64_t> zero_is_off(int64_t value) {
  return value > 0 ? std::optional<int64_t>(value) : std::nullopt;
}

TrainOptions to_options(const TrainArguments& a, const CommandContext& context) {
  TrainOptions o;
  apply_training_preset(o, a.preset);
  o.outdir = a.outdir;
  o.use_labels = a.cond;
  o.xflip = a.xflip;
  o.max_size = a.max_size;
  take_if_given(a.duration, o.total_nimg);
  take_if_given(a.batch, o.batch_size);
  take_if_given(a.channels, o.network.model_channels);
  take_if_given(a.dropout, o.network.dropout);
  take_if_given(a.P_mean, o.P_mean);
  take_if_given(a.P_std, o.P_std);
  take_if_given(a.lr, o.learning_rate.ref_lr);
  if (a.decay) {
    o.learning_rate.ref_batches = *a.decay;
    o.learning_rate.ref_batches_is_integer = false;
  }
  take_if_given(a.rampup, o.learning_rate.rampup_nimg);
  o.batch_gpu = zero_is_off(a.batch_gpu.value_or(0));
  o.network.use_fp16 = a.fp16;
  o.loss_scaling = a.ls;
  o.cudnn_benchmark = a.bench;
  o.status_nimg = zero_is_off(a.status);
  o.snapshot_nimg = zero_is_off(a.snapshot);
  o.checkpoint_nimg = zero_is_off(a.checkpoint);
  o.seed = a.seed;
  take_if_given(a.channel_mult, o.network.channel_mult);
  take_if_given(a.attn_resolutions, o.network.attn_resolutions);
  take_if_given(a.num_blocks, o.network.num_blocks);
  take_if_given(a.channels_per_head, o.network.channels_per_head);
  take_if_given(a.logvar_channels, o.network.logvar_channels);
  take_if_given(a.stds, o.stds);
  o.data_threads = a.data_threads;
  o.device = context.device_name;
  o.precision = context.precision;
  return o;
}

void print_configuration(const TrainOptions& o, int64_t raw_channels, Progress& progress) {
  const auto yes_no = [](bool value) { return std::string(value ? "True" : "False"); };
  const auto line = [&](std::string label, const std::string& value) {
    label.resize(25, ' ');
    progress.message(label + value);
  };
  progress.message("");
  progress.message("Training config:");
  progress.message(training_config(o, raw_channels).dump(2, ' ', /*ensure_ascii=*/true));
  progress.message("");
  line("Output directory:", o.outdir.string());
  line("Dataset path:", o.data.string());
  line("Class-conditional:", yes_no(o.use_labels));
  line("Number of GPUs:", "1");
  line("Batch size:", std::to_string(o.batch_size));
  line("Mixed-precision:", yes_no(o.network.use_fp16));
  progress.message("");
}

void run(const TrainArguments& arguments, CommandContext& context) {
  TrainOptions options = to_options(arguments, context);
  const auto progress = context.progress();
  progress->message("Setting up training config...");
  options.data = resolve_source(arguments.data, context.fetch, *progress);
  Trainer trainer(options, progress);
  trainer.load_data();
  print_configuration(options, trainer.raw_channels(), *progress);
  if (arguments.dry_run) {
    progress->message("Dry run; exiting.");
    return;
  }
  trainer.setup();
  trainer.run();
}

void add_network_options(CLI::App& command, TrainArguments& a) {
  add_int_option(command, "--channels", a.channels, at_least(int64_t{1}),
                 "Width of the network's first level", "preset");
  const auto ints = [](const std::string& text) { return parse_ints(text, at_least(int64_t{1})); };
  add_parsed_option(command, "--channel-mult", a.channel_mult, ints, "LIST",
                    "Width of each level, relative to --channels", "1,2,3,4", "x>=1");
  add_int_option(command, "--num-blocks", a.num_blocks, at_least(int64_t{1}),
                 "Residual blocks per level", "3");
  add_parsed_option(command, "--attn-resolutions", a.attn_resolutions, ints, "LIST",
                    "Resolutions with self-attention", "16,8", "x>=1");
  add_int_option(command, "--channels-per-head", a.channels_per_head, at_least(int64_t{1}),
                 "Channels of an attention head", "64");
  add_int_option(command, "--logvar-channels", a.logvar_channels, at_least(int64_t{1}),
                 "Fourier features of the uncertainty head", "128");
  add_float_option(command, "--dropout", a.dropout, {.min = 0.0, .max = 1.0}, "Dropout probability",
                   "preset");
}

void add_schedule_options(CLI::App& command, TrainArguments& a) {
  add_float_option(command, "--P_mean", a.P_mean, {}, "Mean of the log-normal noise level",
                   "preset");
  add_float_option(command, "--P_std", a.P_std, greater_than(0.0),
                   "Deviation of the log-normal noise level", "preset");
  add_float_option(command, "--lr", a.lr, greater_than(0.0), "Learning rate alpha_ref", "preset");
  add_float_option(command, "--decay", a.decay, at_least(0.0),
                   "Learning rate decay t_ref in batches, 0 = none", "preset");
  add_nimg_option(command, "--rampup", a.rampup, at_least(int64_t{0}),
                  "Images until the learning rate is reached, 0 = at once", "10000000");
  add_parsed_option(command, "--stds", a.stds, parse_std_list, "LIST",
                    "Relative widths of the EMAs that snapshots are made of", "0.05,0.10");
}

void add_run_options(CLI::App& command, TrainArguments& a) {
  add_nimg_option(command, "--batch-gpu", a.batch_gpu, at_least(int64_t{0}),
                  "Largest batch computed at once, 0 = no limit", "0");
  add_bool_option(command, "--fp16", a.fp16, "Compute in float16 on CUDA", "true");
  add_float_option(command, "--ls", a.ls, greater_than(0.0), "Loss scaling");
  add_bool_option(command, "--bench", a.bench, "Let cuDNN choose by benchmark", "true");
  add_nimg_option(command, "--status", a.status, at_least(int64_t{0}),
                  "Images between status lines, 0 = off", "128Ki");
  add_nimg_option(command, "--snapshot", a.snapshot, at_least(int64_t{0}),
                  "Images between network snapshots, 0 = off", "8Mi");
  add_nimg_option(command, "--checkpoint", a.checkpoint, at_least(int64_t{0}),
                  "Images between training states, 0 = off", "128Mi");
  add_int_option(command, "--seed", a.seed, {}, "Random seed");
  add_int_option(command, "--data-threads", a.data_threads, at_least(int64_t{1}),
                 "Threads that decode images ahead of the trainer");
  add_switch(command, "-n,--dry-run", a.dry_run, "Print the configuration and stop");
}

}  // namespace

void add_train_command(CLI::App& app, CommandContext& context) {
  CLI::App* command = app.add_subcommand("train", "Train a network on a dataset");
  auto a = std::make_shared<TrainArguments>();
  add_text_option(*command, "--outdir", a->outdir, "DIR",
                  "Folder of the run; a run found there is resumed")
      ->required();
  add_text_option(*command, "--data", a->data, "ZIP|DIR|URL", "Dataset")->required();
  add_bool_option(*command, "--cond", a->cond, "Train a class-conditional network", "true");
  add_text_option(*command, "--preset", a->preset, "STR", "Settings for options that are not given",
                  a->preset);
  add_nimg_option(*command, "--duration", a->duration, at_least(int64_t{1}), "Images to train for",
                  "preset");
  add_nimg_option(*command, "--batch", a->batch, at_least(int64_t{1}), "Images per step", "preset");
  add_switch(*command, "--xflip", a->xflip, "Add every image mirrored");
  add_int_option(*command, "--max-size", a->max_size, at_least(int64_t{1}),
                 "Use that many images of the dataset", "all");
  add_network_options(*command, *a);
  add_schedule_options(*command, *a);
  add_run_options(*command, *a);
  add_fetch_options(*command, context);
  add_device_options(*command, context);
  add_progress_options(*command, context);
  command->callback([a, &context] { run(*a, context); });
}

}  // namespace edm2::cli
