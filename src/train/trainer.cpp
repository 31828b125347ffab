#include "edm2/train/trainer.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>

#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>

#include "core/measuring.h"
#include "edm2/core/error.h"
#include "edm2/core/platform.h"
#include "edm2/core/random.h"
#include "edm2/data/encoder.h"
#include "edm2/data/latents.h"
#include "edm2/data/loader.h"
#include "edm2/diffusion/loss.h"
#include "edm2/ema/snapshot_name.h"
#include "edm2/io/torch_file.h"
#include "edm2/nn/snapshot.h"
#include "edm2/train/init_from.h"
#include "edm2/train/statistics.h"
#include "train/data_notes.h"
#include "train/event_log.h"
#include "train/gradient_average.h"
#include "train/kept_settings.h"
#include "train/run_files.h"
#include "train/sample_grid.h"
#include "train/summary.h"
#include "train/suspend.h"
#include "train/training_monitor.h"
#include "train/training_state.h"

namespace edm2 {
namespace fs = std::filesystem;
namespace {

double unix_time() {
  using std::chrono::duration;
  return duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string kimg_text(int64_t nimg) { return std::to_string(nimg / 1000); }

void set_backend_flags(const TrainOptions& options) {
  auto& context = at::globalContext();
  context.setBenchmarkCuDNN(options.cudnn_benchmark);
  context.setAllowTF32CuDNN(false);
  context.setAllowTF32CuBLAS(false);
  context.setAllowFP16ReductionCuBLAS(false);
}

}  // namespace

struct Trainer::State {
  State(TrainOptions train_options, std::shared_ptr<Progress> sink, ProcessGroup& all)
      : options(std::move(train_options)),
        group(all),
        progress(all.is_main() ? std::move(sink) : make_progress(ProgressStyle::quiet)),
        files(options, progress),
        log(files.log) {}

  TrainOptions options;
  ProcessGroup& group;
  std::shared_ptr<Progress> progress;  // quiet but for the first process
  RunFiles files;
  RunLog& log;

  std::unique_ptr<ImageDataset> dataset;
  std::unique_ptr<Encoder> encoder;
  std::unique_ptr<Precond> network;
  std::unique_ptr<GradientAverage> average;  // after the network: it hooks into its tensors
  std::unique_ptr<Adam> optimizer;
  std::unique_ptr<PowerFunctionEma> ema;
  std::unique_ptr<TrainingMonitor> monitor;
  std::unique_ptr<EventLog> events;         // of the first process
  std::unique_ptr<SampleGrid> sample_grid;  // likewise, if wanted
  std::unique_ptr<PrefetchLoader> loader;   // after the dataset: its threads read from it
  LossOptions loss;
  c10::Device device = c10::kCPU;
  int64_t batch_gpu = 0, num_rounds = 0;

  RunProgress run;
  int64_t start_nimg = 0;
  double last_lr = 0;
  Statistics statistics;
  double status_time = 0, training_time = 0;
  int64_t status_nimg = 0, saved_nimg = 0;
  SuspendRequest suspension{options.suspend_after};
  std::string save_error;  // of the newest training state; empty: it is on the disk

  void set_up(bool measuring);
  void clear();
  void prepare();
  void build_network();
  void start_loader();
  nlohmann::ordered_json config() const;
  void resume();
  void keep_settings_of(const fs::path& state);
  void initialize(std::optional<LoadedWeights> weights);
  RunEnd suspend(const std::string& reason);
  [[noreturn]] void explain(const Error& error);
  std::vector<int64_t> positions_of_round(int64_t round) const;
  void report_status(double tick, double per_kimg);
  void status();
  void save_snapshots();
  void draw_samples();
  void save_state();
  nlohmann::json collect_more();
  void restore_more();
};

namespace {
ProcessGroup& this_process_alone() {
  static const auto alone = ProcessGroup::single();  // has no state
  return *alone;
}
}  // namespace

Trainer::Trainer(TrainOptions options, std::shared_ptr<Progress> progress)
    : Trainer(std::move(options), std::move(progress), this_process_alone()) {}

Trainer::Trainer(TrainOptions options, std::shared_ptr<Progress> progress, ProcessGroup& group)
    : state_(new State(std::move(options), std::move(progress), group)) {}

Trainer::~Trainer() = default;

Precond& Trainer::network() { return *state_->network; }
PowerFunctionEma& Trainer::ema() { return *state_->ema; }
int64_t Trainer::cur_nimg() const { return state_->run.cur_nimg; }
double Trainer::last_learning_rate() const { return state_->last_lr; }
const ImageDataset& Trainer::dataset() const { return *state_->dataset; }
TrainOptions& Trainer::options() { return state_->options; }
nlohmann::ordered_json Trainer::configuration() const {
  return with_kept_settings(state_->config(), state_->options.outdir);
}

void Trainer::load_data() {
  State& s = *state_;
  try {
    s.dataset =
        std::make_unique<ImageDataset>(ImageDatasetOptions{.path = s.options.data,
                                                           .use_labels = s.options.use_labels,
                                                           .max_size = s.options.max_size,
                                                           .xflip = s.options.xflip});
  } catch (const Error& error) {
    throw Error(std::string("--data: ") + error.what());
  }
  if (s.options.use_labels && s.dataset->label_dim() == 0)
    throw Error("--cond=True, but no labels found in the dataset; label it or use --cond=False");
  check_label_kind(*s.dataset, s.options.label_kind);
  const auto& shape = s.dataset->image_shape();
  const auto encoder = with_measured_statistics(
      choose_encoder(s.options.encoder, shape[0], s.dataset->image_type()), s.options.data);
  s.encoder = make_encoder(encoder);
  if (shape[1] != shape[2])
    throw Error("--data: the images are not square; convert the dataset with a crop first");
  auto& net = s.options.network;
  const bool has_deviations =
      encoder.kind == EncoderOptions::Kind::stability_vae && shape[0] == s.encoder->raw_channels();
  net.img_channels = has_deviations ? shape[0] / 2 : shape[0];
  net.img_resolution = shape[1];
  net.label_dim = s.dataset->label_dim();
}

/// Finds out everything that can be wrong, before the run's folder is touched.
void Trainer::State::prepare() {
  validate(options, group.size());
  validate(options.network);
  status_time = seconds_now();
  device = select_device(options.device);
  set_seed({options.seed, group.rank()});
  set_backend_flags(options);
  const int64_t share = options.batch_size / group.size();
  batch_gpu = options.batch_gpu.value_or(0);
  if (batch_gpu <= 0 || batch_gpu > share) batch_gpu = share;
  num_rounds = share / batch_gpu;
  // As in the original, which learns the latents' shape so: with a VAE it draws random numbers.
  encoder->encode_latents(dataset->item(0).image.unsqueeze(0).to(device));
  loss = {options.P_mean, options.P_std, options.network.sigma_data};
}

void Trainer::setup() {
  if (!state_->dataset) load_data();
  state_->set_up(/*measuring=*/false);
}

void Trainer::setup_to_measure() {
  State& s = *state_;
  if (!s.dataset) load_data();
  const auto progress = std::exchange(s.progress, make_progress(ProgressStyle::quiet));
  s.log.report_to(s.progress);
  s.set_up(/*measuring=*/true);
  s.progress = progress;
  s.log.report_to(progress);
}

void Trainer::State::set_up(bool measuring) {
  clear();
  prepare();
  std::optional<LoadedWeights> init;
  if (!measuring && group.is_main()) {
    if (!options.init_from.empty() && training_states(options.outdir).empty())
      init = load_init_weights(options, *progress);
    const auto& samples = options.samples;
    if (samples.every_nimg && *samples.every_nimg > 0)
      sample_grid = std::make_unique<SampleGrid>(options, *dataset, *encoder, log);
    files.open();
  }
  log.line("Loading dataset...");
  log.line("Setting up encoder...");
  for (const auto& note : notes_on_data(*dataset, encoder->options(), options.network))
    log.line("Note: " + note);
  log.line("Constructing network...");
  build_network();
  log.line("Setting up training state...");
  optimizer = std::make_unique<Adam>(*network);
  monitor = std::make_unique<TrainingMonitor>(options, *network, group, log);
  ema = std::make_unique<PowerFunctionEma>(start_averages(*network, options.stds));
  if (!measuring) resume();
  if (!measuring && !options.init_from.empty() && run.cur_nimg == 0) initialize(std::move(init));
  average = std::make_unique<GradientAverage>(*network, group);
  start_nimg = saved_nimg = run.cur_nimg;
  if (!measuring)
    events = std::make_unique<EventLog>(options.outdir, start_nimg,
                                        options.tensorboard && group.is_main(), log);
  start_loader();
}

/// Forgets what an earlier setup has made.
void Trainer::State::clear() {
  loader.reset();
  events.reset();
  sample_grid.reset();
  monitor.reset();
  average.reset();
  ema.reset();
  optimizer.reset();
  network.reset();
  statistics = {};
  run = {};
  training_time = last_lr = 0;
  status_nimg = 0;
}

/// The first process loads the weights, and all start from those.
void Trainer::State::initialize(std::optional<LoadedWeights> weights) {
  if (group.is_main()) {
    if (!weights) weights = load_init_weights(options, *progress);
    const InitReport report = initialize_from(*network, weights->snapshot);
    log.line("Starting from the weights of " + without_password(options.init_from) + ":");
    for (const auto& note : weights->notes) log.line("Note: " + note);
    for (const auto& line : report.lines()) log.line(line);
  }
  group.barrier();  // large files take their time
  broadcast_weights(*network, group);
  ema = std::make_unique<PowerFunctionEma>(start_averages(*network, options.stds));
}

void Trainer::State::start_loader() {
  loader.reset();
  loader = std::make_unique<PrefetchLoader>(
      *dataset,
      InfiniteSampler(dataset->size(), group.rank(), group.size(), options.seed, run.cur_nimg),
      batch_gpu, options.data_threads);
}

void Trainer::use_batch(int64_t batch_gpu, int64_t rounds) {
  State& s = *state_;
  s.batch_gpu = batch_gpu;
  s.num_rounds = rounds;
  s.options.batch_gpu = batch_gpu;
  s.options.batch_size = batch_gpu * rounds * s.group.size();
  s.start_loader();
}

nlohmann::ordered_json Trainer::State::config() const {
  return training_config(options, encoder->options(), dataset->label_kind());
}

/// From here on the options say what the training state has brought along.
void Trainer::State::keep_settings_of(const fs::path& state) {
  const nlohmann::json earlier = group.is_main() ? read_run_config(options.outdir) : nullptr;
  std::string kept;
  for (const auto& sentence : keep_settings(options, loss, ema->stds(), earlier))
    kept += (kept.empty() ? "" : "; ") + sentence;
  if (!kept.empty())
    log.line("Note: the run goes on from " + state.filename().string() +
             " with what that holds: " + kept);
}

/// The first process chooses the state, so that all resume from the same.
void Trainer::State::resume() {
  std::optional<WholeState> state;
  if (group.is_main()) state = files.newest_state();
  const fs::path chosen = group.broadcast(state ? state->path.string() : std::string());
  if (!chosen.empty()) {
    const PickleValue root = state ? std::move(state->root) : load_torch_file(chosen);
    run = load_training_state(chosen, root, *network, loss, *optimizer, *ema);
    log.line("Loading " + chosen.string() + " ... done");
    keep_settings_of(chosen);
  }
  status_nimg = run.cur_nimg;
  restore_more();
  if (group.is_main()) {
    files.note_settings(config());
    files.begin(run.cur_nimg);
  }
  group.barrier();  // large files take their time
  check_same_weights(*network, group);
}

void Trainer::State::build_network() {
  network = std::make_unique<Precond>(options.network);
  network->precision = options.precision;
  network->context.training = true;
  network->to(device);
  network->requires_grad(true);
  // The first process's forward pass normalises the weights, and all start from those.
  if (group.is_main()) log.line("\n" + summarize_network(*network, batch_gpu));
  broadcast_weights(*network, group);
}

RunEnd Trainer::run() {
  State& s = *state_;
  const auto& o = s.options;
  if (s.run.cur_nimg >= o.total_nimg) {
    s.log.line("This run is finished: it has seen " + kimg_text(s.run.cur_nimg) + " kimg of " +
               kimg_text(o.total_nimg) + " kimg; use a larger --duration to train on");
    s.files.close();
    return RunEnd::finished;
  }
  s.log.line("Training from " + kimg_text(s.run.cur_nimg) + " kimg to " + kimg_text(o.total_nimg) +
             " kimg:\n");
  s.progress->start("Training", o.total_nimg - s.run.cur_nimg, "img");
  for (;;) {
    const int64_t cur = s.run.cur_nimg;
    const bool done = cur >= o.total_nimg;
    const bool begun = cur != s.start_nimg, fresh = s.start_nimg == 0;
    const auto due = [&](const std::optional<int64_t>& interval) {
      return interval && *interval > 0 && cur % *interval == 0;
    };
    if (o.status_nimg && (done || due(o.status_nimg)) && (begun || fresh)) s.status();
    if (due(o.snapshot_nimg) && (begun || fresh)) s.save_snapshots();
    const bool retry = !s.save_error.empty() && due(o.status_nimg);
    if (due(o.samples.every_nimg) && (begun || fresh)) s.draw_samples();
    if (o.checkpoint_nimg && (done || due(o.checkpoint_nimg) || retry) && begun) s.save_state();
    if (done) break;
    if (const std::string reason = s.suspension.reason(s.group, begun); !reason.empty())
      return s.suspend(reason);
    try {
      step();
    } catch (const GroupError&) {
      throw;
    } catch (const Error& error) {
      s.explain(error);
    }
    s.progress->advance(o.batch_size);
  }
  s.progress->finish();
  s.files.close();
  if (!s.save_error.empty()) throw Error("the run has come to its end, but " + s.save_error);
  return RunEnd::finished;
}

RunEnd Trainer::State::suspend(const std::string& reason) {
  if (run.cur_nimg != saved_nimg) save_state();
  progress->finish();
  files.close();
  if (!save_error.empty()) throw Error("suspended " + reason + ", but " + save_error);
  char kimg[64];
  std::snprintf(kimg, sizeof kimg, "%.3f", static_cast<double>(run.cur_nimg) / 1e3);
  log.line("Suspended " + reason + " at " + kimg + " kimg; the same command goes on from there");
  return RunEnd::suspended;
}

/// A step has failed, because of a broken image for example.
void Trainer::State::explain(const Error& error) {
  log.note(std::string("Error: ") + error.what());
  throw Error(std::string(error.what()) + "; the run in '" + options.outdir.string() +
              "' stops at " + kimg_text(run.cur_nimg) +
              " kimg, and goes on from its newest training state once this is mended");
}

/// Places in the run of the images that this process takes in that round of the step.
std::vector<int64_t> Trainer::State::positions_of_round(int64_t round) const {
  std::vector<int64_t> positions;
  for (int64_t i = 0; i < batch_gpu; ++i)
    positions.push_back(run.cur_nimg + group.rank() + group.size() * (round * batch_gpu + i));
  return positions;
}

namespace {
/// Seeds of images by their places in the run, apart from all other uses of the run's seed.
std::vector<int64_t> image_seeds(int64_t seed, const std::vector<int64_t>& positions) {
  constexpr int64_t images = 0x696d6167;
  std::vector<int64_t> seeds;
  for (const int64_t position : positions)
    seeds.push_back(static_cast<int64_t>(tuple_hash({seed, images, position}) & 0xffffffffu));
  return seeds;
}
}  // namespace

void Trainer::step() {
  State& s = *state_;
  const auto& o = s.options;
  const int64_t share = o.batch_size / s.group.size();
  const double begin = seconds_now();
  set_seed({o.seed, s.group.rank(), s.run.cur_nimg});
  clear_gradients(*s.network);
  for (int64_t round = 0; round < s.num_rounds; ++round) {
    auto batch = s.loader->next();
    const auto positions = s.positions_of_round(round);
    std::optional<StackedGenerator> streams;
    DrawNormal draw = [](const Tensor& like) { return at::randn_like(like); };
    if (o.streams == Streams::image) {
      streams.emplace(s.device, image_seeds(o.seed, positions));
      draw = [&](const Tensor& like) { return streams->randn_like(like); };
      s.network->context.dropout = [&](const Tensor& y, double p) {
        return y * streams->bernoulli_like(y, 1 - p).div_(1 - p);
      };
    }
    const Tensor images = s.encoder->encode_latents(batch.images.to(s.device), draw);
    const Tensor labels = batch.labels.to(s.device);
    auto [loss, sigma] = edm2_loss(*s.network, images, labels, s.loss, draw);
    if (streams) s.network->context.dropout = nullptr;  // it refers to `streams`
    s.statistics.report("Loss/loss", loss);
    s.monitor->after_forward(loss, sigma);
    if (on_round) on_round({loss.detach(), sigma, batch.indices, positions});
    if (round + 1 == s.num_rounds) s.average->begin();
    loss.sum().mul(o.loss_scaling / static_cast<double>(share)).backward();
  }
  s.average->finish();

  s.last_lr = learning_rate_at(o.learning_rate, s.run.cur_nimg, o.batch_size);
  s.statistics.report("Loss/learning_rate", s.last_lr);
  const bool move = s.monitor->after_backward(s.run.cur_nimg);
  s.run.cur_nimg += o.batch_size;
  if (move)
    update_weights(*s.network, *s.optimizer, s.last_lr, *s.ema, s.run.cur_nimg, o.batch_size);
  s.training_time += seconds_now() - begin;
}

/// What the first process says of the run as a whole.
void Trainer::State::report_status(double tick, double per_kimg) {
  constexpr double gib = 1 << 30;
  const double maintenance = tick - training_time;
  const double cpu = static_cast<double>(resident_memory()) / gib;
  const DeviceMemory gpu = peak_device_memory(device);
  const double kimg = static_cast<double>(run.cur_nimg) / 1e3;
  const std::pair<const char*, double> values[] = {
      {"Progress/kimg", kimg},
      {"Timing/total_sec", run.total_elapsed_time},
      {"Timing/sec_per_tick", tick},
      {"Timing/sec_per_kimg", per_kimg},
      {"Timing/maintenance_sec", maintenance},
      {"Resources/cpu_mem_gb", cpu},
      {"Resources/peak_gpu_mem_gb", gpu.peak_allocated / gib},
      {"Resources/peak_gpu_mem_reserved_gb", gpu.peak_reserved / gib}};
  for (const auto& [name, value] : values) {
    if (group.is_main())
      statistics.report(name, value);
    else
      statistics.declare(name);
  }
  char line[256];
  std::snprintf(line, sizeof line,
                "Status: kimg %-9.1f time %-12s sec/tick %-8.2f sec/kimg %-7.3f maintenance %-7.2f "
                "cpumem %-6.2f gpumem %-6.2f reserved %-6.2f",
                kimg, format_duration(run.total_elapsed_time).c_str(), tick, per_kimg, maintenance,
                cpu, gpu.peak_allocated / gib, gpu.peak_reserved / gib);
  log.line(line);
}

void Trainer::State::status() {
  const double now = seconds_now(), tick = now - status_time;
  run.total_elapsed_time += tick;
  const auto images = static_cast<double>(std::max<int64_t>(run.cur_nimg - status_nimg, 1));
  report_status(tick, training_time / images * 1e3);
  reset_peak_device_memory(device);
  statistics.sum_over(group);
  const NamedValues values = statistics.take_means(), extra = monitor->take_status();
  const std::string line = stats_line(values, unix_time(), extra);
  if (group.is_main()) {
    files.add_stats(line);
    events->add(run.cur_nimg, values);
    events->add(run.cur_nimg, extra);
  }
  status_time = now;
  status_nimg = run.cur_nimg;
  training_time = 0;
}

void Trainer::State::save_snapshots() {
  if (!group.is_main()) return;  // the others meet it at the next sum
  ema->copy_buffers(network->state_dict());
  for (size_t i = 0; i < ema->stds().size(); ++i) {
    Snapshot snapshot = make_snapshot(network->options(), ema->weights(i));
    snapshot.encoder = encoder->options();
    snapshot.dataset = DatasetOptions{options.data.string(), options.use_labels,
                                      dataset->label_kind() == LabelKind::vectors};
    snapshot.loss = loss;
    const std::string name =
        SnapshotName{"network-snapshot", kimg_from_nimg(run.cur_nimg), ema->stds()[i]}.file_name();
    files.save(name, name, [&](const fs::path& path) {
      save_snapshot(path, snapshot, SnapshotFormat::pickle);
    });
  }
}

/// What has been collected since the last status line, so that the next one comes out as if the run
/// had not been interrupted.
nlohmann::json Trainer::State::collect_more() {
  const nlohmann::json own = {{"statistics", statistics.save()}, {"monitor", monitor->save()}};
  return {{"processes", group.gather(own.dump())},
          {"status_nimg", status_nimg},
          {"seconds_since_status", seconds_now() - status_time},
          {"training_seconds", training_time}};
}

void Trainer::State::restore_more() {
  if (run.more.is_null()) return;  // a state of the original
  try {
    std::vector<std::string> collected;
    std::vector<nlohmann::json> watched;
    for (const auto& text : run.more.at("processes").get<std::vector<std::string>>()) {
      const auto one = nlohmann::json::parse(text);
      collected.push_back(one.at("statistics").get<std::string>());
      watched.push_back(one.at("monitor"));
    }
    statistics.add_share_of(group, collected);
    monitor->restore(watched);
    status_nimg = run.more.at("status_nimg").get<int64_t>();
    status_time -= run.more.at("seconds_since_status").get<double>();
    training_time = run.more.at("training_seconds").get<double>();
  } catch (const nlohmann::json::exception& error) {
    throw Error(std::string("cannot resume: the training state's edm2.json makes no sense: ") +
                error.what());
  }
}

void Trainer::State::draw_samples() {
  if (group.is_main()) {
    ema->copy_buffers(network->state_dict());
    write_sample_grids(sample_grid->draw(*ema, device), options.outdir, run.cur_nimg, *events, log);
  }
  group.barrier();  // sampling takes its time
}

void Trainer::State::save_state() {
  run.more = collect_more();
  std::string error;
  if (group.is_main())
    error = files.save_state(training_state_name(run.cur_nimg), [&](const fs::path& path) {
      save_training_state(path, run, *network, loss, last_lr, *optimizer, *ema);
    });
  group.barrier();  // large files take their time
  save_error = group.broadcast(error);
  if (save_error.empty()) saved_nimg = run.cur_nimg;
  check_same_weights(*network, group);
}

}  // namespace edm2
