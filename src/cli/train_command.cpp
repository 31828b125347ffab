// edm2 train: options of the original's train_edm2.py, and more, -> TrainOptions -> Trainer.
#include <cstdlib>
#include <iostream>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/commands.h"
#include "cli/train_report.h"
#include "edm2/core/platform.h"
#include "edm2/core/process_launch.h"
#include "edm2/io/atomic_file.h"
#include "edm2/train/auto_config.h"
#include "edm2/train/estimate.h"
#include "edm2/train/init_from.h"
#include "edm2/train/trainer.h"

namespace edm2::cli {
namespace {

/// Which labels of the dataset are used: those that there are, none, or some of a certain kind.
struct Condition {
  bool use_labels = true;
  std::optional<LabelKind> kind;
};

/// A boolean as in the original, or what it does not know.
Condition parse_condition(const std::string& text) {
  if (text == "class") return {true, LabelKind::classes};
  if (text == "vector") return {true, LabelKind::vectors};
  if (text == "none") return {false, {}};
  try {
    return {parse_bool(text), {}};
  } catch (const UsageError&) {
    throw UsageError("'" + text +
                     "' is not a valid boolean, nor one of 'class', 'vector', 'none'.");
  }
}

constexpr char default_preset[] = "edm2-img512-s";

/// As given on the command line; what is not given comes from the preset.
struct TrainArguments {
  std::string outdir, data;
  std::optional<std::string> preset, init_from;
  Condition cond;
  EncoderChoice encoder = EncoderChoice::automatic;
  bool xflip = false, fp16 = true, bench = true, dry_run = false, automatic = false,
       estimate = false, json = false;
  std::optional<int64_t> memory_limit, status, snapshot, checkpoint;
  std::optional<int64_t> duration, batch, channels, batch_gpu, max_size, rampup;
  std::optional<double> dropout, P_mean, P_std, lr, decay;
  double ls = 1;
  std::optional<int64_t> keep_checkpoints;
  std::optional<double> suspend_after;
  SaveErrors on_save_error = SaveErrors::go_on;
  int64_t seed = 0, data_threads = 2;
  Streams streams = Streams::rank;
  OnNonfinite on_nonfinite = OnNonfinite::zero;
  bool full_stats = true, tensorboard = true;
  int64_t sample_every = 0;
  SampleOptions samples;
  std::optional<std::vector<int64_t>> channel_mult, attn_resolutions;
  std::optional<int64_t> num_blocks, channels_per_head, logvar_channels;
  std::optional<std::vector<double>> stds;
};

std::optional<int64_t> zero_is_off(int64_t value) {
  return value > 0 ? std::optional<int64_t>(value) : std::nullopt;
}

void take_interval_if_given(const std::optional<int64_t>& given, std::optional<int64_t>& target) {
  if (given) target = zero_is_off(*given);
}

/// What the command line says of the network's structure.
void take_network_options(const TrainArguments& a, NetworkOptions& network) {
  take_if_given(a.channels, network.model_channels);
  take_if_given(a.dropout, network.dropout);
  take_if_given(a.channel_mult, network.channel_mult);
  take_if_given(a.attn_resolutions, network.attn_resolutions);
  take_if_given(a.num_blocks, network.num_blocks);
  take_if_given(a.channels_per_head, network.channels_per_head);
  take_if_given(a.logvar_channels, network.logvar_channels);
}

TrainOptions to_options(const TrainArguments& a, const CommandContext& context) {
  TrainOptions o;
  apply_training_preset(o, a.preset.value_or(default_preset));
  o.outdir = a.outdir;
  o.use_labels = a.cond.use_labels;
  o.label_kind = a.cond.kind;
  o.encoder = a.encoder;
  o.xflip = a.xflip;
  o.max_size = a.max_size;
  take_if_given(a.duration, o.total_nimg);
  take_if_given(a.batch, o.batch_size);
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
  if (!a.automatic) o.status_nimg = usual_status_interval(o.total_nimg, o.batch_size);
  take_interval_if_given(a.status, o.status_nimg);
  take_interval_if_given(a.snapshot, o.snapshot_nimg);
  take_interval_if_given(a.checkpoint, o.checkpoint_nimg);
  o.keep_checkpoints = a.keep_checkpoints;
  o.suspend_after = a.suspend_after;
  o.on_save_error = a.on_save_error;
  o.seed = a.seed;
  o.streams = a.streams;
  o.on_nonfinite = a.on_nonfinite;
  o.full_statistics = a.full_stats;
  o.tensorboard = a.tensorboard;
  o.samples = a.samples;
  o.samples.every_nimg = zero_is_off(a.sample_every);
  o.samples.fetch = context.fetch;
  take_network_options(a, o.network);
  take_if_given(a.stds, o.stds);
  o.data_threads = a.data_threads;
  o.init_from = a.init_from.value_or("");
  context.fill(o);
  return o;
}

/// torchrun starts processes that end with any code but 0 again, at once.
bool launcher_would_restart() {
  const char* restarts = std::getenv("TORCHELASTIC_MAX_RESTARTS");
  return restarts != nullptr && std::atoi(restarts) > 0 && !started_by_launch();
}

/// training_options.json of a run that has begun, as the first process finds it; null otherwise.
nlohmann::json earlier_configuration(const TrainOptions& options, ProcessGroup& group) {
  const auto file = options.outdir / "training_options.json";
  std::string text;
  std::error_code error;
  if (group.is_main() && std::filesystem::exists(file, error)) text = read_text_file(file);
  return nlohmann::json::parse(group.broadcast(text), nullptr, /*allow_exceptions=*/false);
}

/// A network that training starts from gives its structure and loss, unless a preset was asked for.
/// Afterwards the run's own file tells them, as the network's may be gone.
void take_initial_structure(const TrainArguments& a, TrainOptions& o, bool has_begun,
                            ProcessGroup& group, Progress& progress) {
  if (!a.init_from || a.preset) return;
  PartialConfig config;
  if (has_begun)
    config = read_config_file(o.outdir / "training_options.json");
  else
    config = config_of(group.main_first([&] { return read_init_weights(o, progress); }).snapshot);
  if (has_begun) {
    config.network.img_resolution = o.network.img_resolution;  // attn_resolutions are this run's
  }
  o.network = structure_for(o.network, config.network);
  take_network_options(a, o.network);
  if (config.loss && !a.P_mean) o.P_mean = config.loss->P_mean;
  if (config.loss && !a.P_std) o.P_std = config.loss->P_std;
}

void choose_automatically(const TrainArguments& a, Trainer& trainer, const nlohmann::json& earlier,
                          bool has_begun, ProcessGroup& group, Progress& progress) {
  TrainOptions& o = trainer.options();
  o.chosen_automatically = true;
  const GivenOptions given = {.duration = a.duration.has_value(),
                              .batch = a.batch.has_value(),
                              .lr = a.lr.has_value(),
                              .decay = a.decay.has_value(),
                              .rampup = a.rampup.has_value(),
                              .batch_gpu = a.batch_gpu.has_value(),
                              .status = a.status.has_value(),
                              .snapshot = a.snapshot.has_value(),
                              .checkpoint = a.checkpoint.has_value()};
  if (has_begun) {
    progress.message("--auto: " + take_earlier_choices(o, given, earlier));
    return;
  }
  TrainOptions preset;
  apply_training_preset(preset, a.preset.value_or(default_preset));
  progress.message("--auto chooses:");
  const auto notes = scale_to_dataset(o, preset, given, trainer.dataset().size(), group.size());
  for (const auto& note : notes) progress.message("  " + note);
  validate(o, group.size());
  validate(o.network);
  if (!given.batch_gpu)
    progress.message(
        "  " + choose_batch_gpu(trainer, group, static_cast<double>(a.memory_limit.value_or(0))));
}

void print_estimate(const TrainArguments& a, Trainer& trainer, ProcessGroup& group,
                    Progress& progress) {
  const RunEstimate estimate = estimate_run(trainer, group);
  if (!group.is_main()) return;
  if (a.json)
    std::cout << estimate.json().dump(2) << std::endl;
  else
    for (const auto& line : estimate.lines()) progress.message(line);
}

/// A step may take minutes, so that Ctrl-C is answered before it has an effect.
RunEnd run_to_end(Trainer& trainer, CommandContext& context) {
  std::optional<InterruptNotice> notice;
  if (!context.quiet && context.processes().is_main())
    notice.emplace(
        "The run ends after this step and saves its state; Ctrl-C again ends it at once.");
  return trainer.run();
}

void run(const TrainArguments& arguments, CommandContext& context) {
  if (arguments.json && !arguments.estimate) throw UsageError("--json needs --estimate");
  TrainOptions options = to_options(arguments, context);
  ProcessGroup& group = context.processes();
  options.device = context.device_name;
  const auto progress = arguments.json ? make_progress(ProgressStyle::quiet) : context.progress();
  progress->message("Setting up training config...");
  options.data =
      group.main_first([&] { return resolve_source(arguments.data, context.fetch, *progress); });
  Trainer trainer(options, progress, group);
  trainer.load_data();
  const nlohmann::json earlier = earlier_configuration(options, group);
  const bool has_begun = !earlier.is_discarded();
  take_initial_structure(arguments, trainer.options(), has_begun, group, *progress);
  if (arguments.automatic)
    choose_automatically(arguments, trainer, earlier, has_begun, group, *progress);
  validate(trainer.options(), group.size());
  validate(trainer.options().network);
  print_configuration(trainer, group.size(), arguments.dry_run, *progress);
  if (arguments.estimate) print_estimate(arguments, trainer, group, *progress);
  if (arguments.dry_run) progress->message("Dry run; exiting.");
  if (arguments.estimate || arguments.dry_run) return;
  trainer.setup();
  if (run_to_end(trainer, context) == RunEnd::finished) {
    if (group.is_main()) tell_how_to_draw(trainer.options(), *progress);
    return;
  }
  context.leave_group();
  throw ProgramEnd{launcher_would_restart() ? 0 : suspended_exit_code, std::nullopt};
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

void add_monitoring_options(CLI::App& command, TrainArguments& a) {
  add_parsed_option(command, "--on-nonfinite", a.on_nonfinite, parse_on_nonfinite, "zero|skip|stop",
                    "Gradients that are NaN or infinite: count them as 0, skip the step, or stop",
                    "zero");
  add_bool_option(command, "--full-stats", a.full_stats,
                  "Norms by layer group and the loss by noise level in stats.jsonl", "true");
  add_bool_option(command, "--tensorboard", a.tensorboard, "Write an event file for TensorBoard",
                  "true");
  add_nimg_option(command, "--sample-every", a.sample_every, at_least(int64_t{0}),
                  "Images between grids of pictures in DIR/samples, 0 = off", "0");
  add_int_option(command, "--sample-count", a.samples.count, {.min = 1, .max = 4096},
                 "Pictures in a grid");
  add_int_option(command, "--sample-steps", a.samples.num_steps, at_least(int64_t{1}),
                 "Sampling steps of their pictures");
  add_parsed_option(command, "--sample-stds", a.samples.stds, parse_std_list, "LIST",
                    "EMA widths that grids are drawn from, each one of --stds", "the narrowest");
  add_text_option(command, "--vae", a.samples.vae, "PATH|URL",
                  "VAE that decodes the pictures of latent networks",
                  "one on this machine, or a cheap impression of the latents");
}

void add_run_options(CLI::App& command, TrainArguments& a) {
  add_nimg_option(command, "--batch-gpu", a.batch_gpu, at_least(int64_t{0}),
                  "Largest batch that a process computes at once, 0 = no limit", "0");
  add_bool_option(command, "--fp16", a.fp16, "Compute in float16 on CUDA", "true");
  add_float_option(command, "--ls", a.ls, greater_than(0.0), "Loss scaling");
  add_bool_option(command, "--bench", a.bench, "Let cuDNN choose by benchmark", "true");
  add_nimg_option(command, "--status", a.status, at_least(int64_t{0}),
                  "Images between status lines, 0 = off",
                  "128Ki, or a 32nd of a shorter --duration");
  add_nimg_option(command, "--snapshot", a.snapshot, at_least(int64_t{0}),
                  "Images between network snapshots, 0 = off", "8Mi");
  add_nimg_option(command, "--checkpoint", a.checkpoint, at_least(int64_t{0}),
                  "Images between training states, 0 = off", "128Mi");
  add_int_option(command, "--keep-checkpoints", a.keep_checkpoints, at_least(int64_t{1}),
                 "Newest training states to keep; older ones are deleted", "all");
  add_parsed_option(command, "--suspend-after", a.suspend_after, parse_duration, "TIME",
                    "Save the state after that time (3h50m, 90s, HH:MM:SS) and end with exit code "
                    "75, as after Ctrl-C, SIGTERM and SIGUSR1; the same command goes on",
                    "none");
  add_parsed_option(command, "--on-save-error", a.on_save_error, parse_save_errors, "continue|stop",
                    "When a file cannot be written: train on and try again later, or stop",
                    "continue");
  add_int_option(command, "--seed", a.seed, {}, "Random seed");
  add_parsed_option(command, "--streams", a.streams, parse_streams, "rank|image",
                    "What an image's random numbers depend on: the process, as in the original, or "
                    "its place in the run, so that any number of processes draws the same",
                    "rank");
  add_int_option(command, "--data-threads", a.data_threads, at_least(int64_t{1}),
                 "Threads that decode images ahead of the trainer");
  add_switch(command, "--auto", a.automatic,
             "Choose what is not given: duration, batch, learning rate and decay for the dataset, "
             "--batch-gpu by measuring");
  add_nimg_option(command, "--memory-limit", a.memory_limit, at_least(int64_t{1}),
                  "Bytes that --auto lets a step take in a process, such as 8Gi",
                  "90% of free CUDA memory, 70% of free memory");
  add_switch(command, "--estimate", a.estimate,
             "Measure some steps, print memory, speed, duration and disk use of the run, and stop");
  add_switch(command, "--json", a.json, "Print the estimate as JSON");
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
  add_parsed_option(*command, "--cond", a->cond, parse_condition, "BOOL|class|vector|none",
                    "Train a network that is told the image's label: of any kind (true), of that "
                    "kind, or not (false, none)",
                    "true");
  add_parsed_option(*command, "--encoder", a->encoder, parse_encoder, "auto|rgb|vae|none",
                    "What the dataset holds: pixels, latents of Stability's VAE, or numbers to be "
                    "taken as they are",
                    "auto");
  add_text_option(*command, "--preset", a->preset, "STR", "Settings for options that are not given",
                  default_preset);
  add_text_option(*command, "--init-from", a->init_from, "FILE|URL",
                  "Start from the weights of that network: what fits is loaded. Its structure is "
                  "taken too, unless --preset is given");
  add_nimg_option(*command, "--duration", a->duration, at_least(int64_t{1}), "Images to train for",
                  "preset");
  add_nimg_option(*command, "--batch", a->batch, at_least(int64_t{1}), "Images per step", "preset");
  add_switch(*command, "--xflip", a->xflip, "Add every image mirrored");
  add_int_option(*command, "--max-size", a->max_size, at_least(int64_t{1}),
                 "Use that many images of the dataset", "all");
  add_network_options(*command, *a);
  add_schedule_options(*command, *a);
  add_run_options(*command, *a);
  add_monitoring_options(*command, *a);
  add_fetch_options(*command, context);
  add_device_options(*command, context);
  add_process_options(*command, context);
  add_progress_options(*command, context);
  command->callback([a, &context] { run(*a, context); });
}

}  // namespace edm2::cli
