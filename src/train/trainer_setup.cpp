// Building everything that a run needs, anew or from the newest training state.
#include <ATen/Context.h>

#include <nlohmann/json.hpp>

#include "core/measuring.h"
#include "edm2/core/error.h"
#include "edm2/io/torch_file.h"
#include "train/checkpoints.h"
#include "train/kept_settings.h"
#include "train/summary.h"
#include "train/trainer_state.h"

namespace edm2 {
namespace fs = std::filesystem;
namespace {

void set_backend_flags(const TrainOptions& options) {
  auto& context = at::globalContext();
  context.setBenchmarkCuDNN(options.cudnn_benchmark);
  context.setAllowTF32CuDNN(false);
  context.setAllowTF32CuBLAS(false);
  context.setAllowFP16ReductionCuBLAS(false);
}

}  // namespace

void Trainer::State::set_up(bool measuring) {
  const double begin = seconds_now();
  clear();
  prepare();
  std::optional<LoadedWeights> init;
  if (!measuring && group.is_main()) init = open_run();
  log.line("Loading dataset...");
  log.line("Setting up encoder...");
  for (const auto& note : data.notes(options.network)) log.line("Note: " + note);
  log.line("Constructing network...");
  build_network();
  log.line("Setting up training state...");
  Precond& network = *learner.network;
  learner.optimizer = std::make_unique<Adam>(network);
  learner.ema = std::make_unique<PowerFunctionEma>(start_averages(network, options.stds));
  status = std::make_unique<StatusReport>(options, network, group, log, begin);
  if (!measuring) resume();
  if (!measuring && !options.init_from.empty() && run.cur_nimg == 0) initialize(std::move(init));
  learner.average = std::make_unique<GradientAverage>(network, group);
  start_nimg = saved_nimg = run.cur_nimg;
  if (!measuring)
    events = std::make_unique<EventLog>(options.outdir, start_nimg,
                                        options.tensorboard && group.is_main(), log);
  data.start(options, group, run.cur_nimg, batch_gpu);
}

/// Forgets what an earlier setup has made.
void Trainer::State::clear() {
  data.loader.reset();
  events.reset();
  sample_grid.reset();
  status.reset();
  learner.average.reset();
  learner = {};
  run = {};
}

/// Finds out everything that can be wrong, before the run's folder is touched.
void Trainer::State::prepare() {
  validate(options, group.size());
  validate(options.network);
  device = select_device(options.device);
  set_seed({options.seed, group.rank()});
  set_backend_flags(options);
  const int64_t share = options.batch_size / group.size();
  batch_gpu = options.batch_gpu.value_or(0);
  if (batch_gpu <= 0 || batch_gpu > share) batch_gpu = share;
  num_rounds = share / batch_gpu;
  // As in the original, which learns the latents' shape so: with a VAE it draws random numbers.
  data.encoder->encode_latents(data.dataset->item(0).image.unsqueeze(0).to(device));
  learner.objective = make_objective(options);
  learner.loss = learner.objective->settings(options);
}

/// The first process opens the run's folder, once it is known that nothing else is wrong. Returns
/// the weights that a new run starts from, if not from random ones.
std::optional<LoadedWeights> Trainer::State::open_run() {
  std::optional<LoadedWeights> init;
  if (!options.init_from.empty() && training_states(options.outdir).empty())
    init = load_init_weights(options, *progress);
  if (options.samples.every_nimg && *options.samples.every_nimg > 0)
    sample_grid = std::make_unique<SampleGrid>(options, *data.dataset, *data.encoder, log);
  files.open();
  return init;
}

void Trainer::State::build_network() {
  learner.network = std::make_unique<Precond>(options.network);
  Precond& network = *learner.network;
  network.precision = options.precision;
  network.context.training = true;
  network.to(device);
  network.requires_grad(true);
  // The first process's forward pass normalises the weights, and all start from those.
  if (group.is_main()) log.line("\n" + summarize_network(network, batch_gpu));
  broadcast_weights(network, group);
}

/// The first process loads the weights, and all start from those.
void Trainer::State::initialize(std::optional<LoadedWeights> weights) {
  Precond& network = *learner.network;
  if (group.is_main()) {
    if (!weights) weights = load_init_weights(options, *progress);
    const InitReport report = initialize_from(network, weights->snapshot);
    log.line("Starting from the weights of " + without_password(options.init_from) + ":");
    for (const auto& note : weights->notes) log.line("Note: " + note);
    for (const auto& line : report.lines()) log.line(line);
  }
  group.barrier();  // large files take their time
  broadcast_weights(network, group);
  learner.ema = std::make_unique<PowerFunctionEma>(start_averages(network, options.stds));
}

/// The first process chooses the state, so that all resume from the same.
void Trainer::State::resume() {
  std::optional<WholeState> state;
  if (group.is_main()) state = files.newest_state();
  const fs::path chosen = group.broadcast(state ? state->path.string() : std::string());
  if (!chosen.empty()) {
    const PickleValue root = state ? std::move(state->root) : load_torch_file(chosen);
    run = load_training_state(chosen, root, *learner.network, learner.loss, *learner.optimizer,
                              *learner.ema);
    log.line("Loading " + chosen.string() + " ... done");
    keep_settings_of(chosen);
  }
  status->restore(run);
  if (group.is_main()) {
    files.note_settings(config());
    files.begin(run.cur_nimg);
  }
  group.barrier();  // large files take their time
  check_same_weights(*learner.network, group);
}

/// From here on the options say what the training state has brought along.
void Trainer::State::keep_settings_of(const fs::path& state) {
  const nlohmann::json earlier = group.is_main() ? read_run_config(options.outdir) : nullptr;
  std::string kept;
  for (const auto& sentence : keep_settings(options, learner.loss, learner.ema->stds(), earlier))
    kept += (kept.empty() ? "" : "; ") + sentence;
  if (!kept.empty())
    log.line("Note: the run goes on from " + state.filename().string() +
             " with what that holds: " + kept);
}

nlohmann::ordered_json Trainer::State::config() const {
  return training_config(options, data.encoder->options(), data.dataset->label_kind());
}

// Steps for edm2/train/measure.h, which leave no traces.

void Trainer::setup_to_measure() {
  State& s = *state_;
  if (!s.data.dataset) load_data();
  const auto progress = std::exchange(s.progress, make_progress(ProgressStyle::quiet));
  s.log.report_to(s.progress);
  s.set_up(/*measuring=*/true);
  s.progress = progress;
  s.log.report_to(progress);
}

void Trainer::use_batch(int64_t batch_gpu, int64_t rounds) {
  State& s = *state_;
  s.batch_gpu = batch_gpu;
  s.num_rounds = rounds;
  s.options.batch_gpu = batch_gpu;
  s.options.batch_size = batch_gpu * rounds * s.group.size();
  s.data.start(s.options, s.group, s.run.cur_nimg, batch_gpu);
}

}  // namespace edm2
