#include "edm2/train/trainer.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "edm2/core/error.h"
#include "edm2/core/platform.h"
#include "edm2/core/random.h"
#include "edm2/data/encoder.h"
#include "edm2/data/loader.h"
#include "edm2/diffusion/loss.h"
#include "edm2/io/atomic_file.h"
#include "edm2/nn/snapshot.h"
#include "edm2/train/statistics.h"
#include "train/run_log.h"
#include "train/summary.h"
#include "train/training_state.h"

namespace edm2 {
namespace fs = std::filesystem;
namespace {

double seconds_now() {
  using std::chrono::duration;
  return duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double unix_time() {
  using std::chrono::duration;
  return duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string kimg_text(int64_t nimg) { return std::to_string(nimg / 1000); }

std::string snapshot_name(int64_t nimg, double std) {
  char name[64];
  std::snprintf(name, sizeof name, "network-snapshot-%07lld", static_cast<long long>(nimg / 1000));
  return name + PowerFunctionEma::suffix(std) + ".pkl";
}

void set_backend_flags(const TrainOptions& options) {
  auto& context = at::globalContext();
  context.setBenchmarkCuDNN(options.cudnn_benchmark);
  context.setAllowTF32CuDNN(false);
  context.setAllowTF32CuBLAS(false);
  context.setAllowFP16ReductionCuBLAS(false);
}

/// Says which settings of an earlier start of this run are now others.
void report_changed_settings(const fs::path& file, const nlohmann::ordered_json& now, RunLog& log) {
  const auto before = nlohmann::json::parse(read_text_file(file), nullptr, false);
  if (before.is_discarded()) return;
  for (const auto& change : nlohmann::json::diff(before, nlohmann::json(now)))
    log.line(
        "Note: unlike at the start of this run, " + change["path"].get<std::string>() +
        (change.contains("value") ? " is now " + change["value"].dump() : " is no longer set"));
}

}  // namespace

struct Trainer::State {
  State(TrainOptions train_options, std::shared_ptr<Progress> sink)
      : options(std::move(train_options)), progress(sink), log(sink) {}

  TrainOptions options;
  std::shared_ptr<Progress> progress;
  RunLog log;

  std::unique_ptr<ImageDataset> dataset;
  std::unique_ptr<Encoder> encoder;
  std::unique_ptr<Precond> network;
  std::unique_ptr<Adam> optimizer;
  std::unique_ptr<PowerFunctionEma> ema;
  std::unique_ptr<PrefetchLoader> loader;  // after the dataset: its threads read from it
  LossOptions loss;
  c10::Device device = c10::kCPU;
  int64_t batch_gpu = 0, num_rounds = 0;

  RunProgress run;
  int64_t start_nimg = 0;
  double last_lr = 0;
  Statistics statistics;
  double status_time = 0, training_time = 0;
  int64_t status_nimg = 0;

  void build_network();
  void create_outdir();
  void status();
  void save_snapshots();
  void save_state();
};

Trainer::Trainer(TrainOptions options, std::shared_ptr<Progress> progress)
    : state_(new State(std::move(options), std::move(progress))) {}

Trainer::~Trainer() = default;

Precond& Trainer::network() { return *state_->network; }
PowerFunctionEma& Trainer::ema() { return *state_->ema; }
int64_t Trainer::cur_nimg() const { return state_->run.cur_nimg; }
double Trainer::last_learning_rate() const { return state_->last_lr; }
int64_t Trainer::raw_channels() const { return state_->dataset->image_shape()[0]; }

void Trainer::load_data() {
  State& s = *state_;
  validate(s.options);
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
  s.encoder = make_encoder(encoder_for_dataset(raw_channels()));
}

void Trainer::setup() {
  State& s = *state_;
  s.status_time = seconds_now();
  if (const char* world = std::getenv("WORLD_SIZE"); world && std::string(world) != "1")
    throw Error("Distributed execution is not supported; unset WORLD_SIZE");
  if (!s.dataset) load_data();
  s.device = select_device(s.options.device);
  set_seed({s.options.seed, 0});
  set_backend_flags(s.options);
  s.batch_gpu = s.options.batch_gpu.value_or(0);
  if (s.batch_gpu <= 0 || s.batch_gpu > s.options.batch_size) s.batch_gpu = s.options.batch_size;
  s.num_rounds = s.options.batch_size / s.batch_gpu;
  // Everything that can be wrong is found out before the run's folder is touched.
  const Tensor item = s.dataset->item(0).image.unsqueeze(0).to(s.device);
  const Tensor latents = s.encoder->encode_latents(item);
  auto& net = s.options.network;
  if (latents.size(2) != latents.size(3))
    throw Error("--data: the images are not square; convert the dataset with a crop first");
  net.img_channels = latents.size(1);
  net.img_resolution = latents.size(2);
  net.label_dim = s.dataset->label_dim();
  validate(net);

  s.create_outdir();
  s.log.line("Loading dataset...");
  s.log.line("Setting up encoder...");
  s.log.line("Constructing network...");
  s.build_network();

  s.log.line("Setting up training state...");
  s.loss = {s.options.P_mean, s.options.P_std, net.sigma_data};
  s.optimizer = std::make_unique<Adam>(*s.network);
  s.ema = std::make_unique<PowerFunctionEma>(*s.network, s.options.stds);
  if (const auto path = newest_training_state(s.options.outdir)) {
    s.run = load_training_state(*path, *s.network, s.loss, *s.optimizer, *s.ema);
    s.log.line("Loading " + path->string() + " ... done");
  }
  s.start_nimg = s.status_nimg = s.run.cur_nimg;
  s.loader = std::make_unique<PrefetchLoader>(
      *s.dataset, InfiniteSampler(s.dataset->size(), 0, 1, s.options.seed, s.run.cur_nimg),
      s.batch_gpu, s.options.data_threads);
}

void Trainer::State::create_outdir() {
  const fs::path& outdir = options.outdir;
  const auto config = training_config(options, dataset->image_shape()[0]);
  const bool existed = fs::exists(outdir);
  prepare_output_folder(outdir);
  if (!existed) progress->message("Creating output directory...");
  log.open(outdir / "log.txt");
  const fs::path config_file = outdir / "training_options.json";
  if (fs::exists(config_file))
    report_changed_settings(config_file, config, log);
  else
    write_file(config_file, config.dump(2));
}

void Trainer::State::build_network() {
  network = std::make_unique<Precond>(options.network);
  network->precision = options.precision;
  network->context.training = true;
  network->to(device);
  network->requires_grad(true);
  log.line("\n" + summarize_network(*network, batch_gpu));
}

void Trainer::run() {
  State& s = *state_;
  const auto& o = s.options;
  if (s.run.cur_nimg >= o.total_nimg) {
    s.log.line("This run is finished: it has seen " + kimg_text(s.run.cur_nimg) + " kimg of " +
               kimg_text(o.total_nimg) + " kimg; use a larger --duration to train on");
    return;
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
    if (o.checkpoint_nimg && (done || due(o.checkpoint_nimg)) && begun) s.save_state();
    if (done) break;
    check_interrupt();
    step();
    s.progress->advance(o.batch_size);
  }
  s.progress->finish();
}

void Trainer::step() {
  State& s = *state_;
  const auto& o = s.options;
  const double begin = seconds_now();
  set_seed({o.seed, 0, s.run.cur_nimg});
  clear_gradients(*s.network);
  for (int64_t round = 0; round < s.num_rounds; ++round) {
    auto batch = s.loader->next();
    const Tensor images = s.encoder->encode_latents(batch.images.to(s.device));
    const Tensor labels = batch.labels.to(s.device);
    auto [loss, sigma] = edm2_loss(*s.network, images, labels, s.loss);
    s.statistics.report("Loss/loss", loss);
    if (on_round) on_round({loss.detach(), sigma, batch.indices});
    loss.sum().mul(o.loss_scaling / static_cast<double>(o.batch_size)).backward();
  }

  s.last_lr = learning_rate_at(o.learning_rate, s.run.cur_nimg, o.batch_size);
  s.statistics.report("Loss/learning_rate", s.last_lr);
  zero_nonfinite_gradients(*s.network);
  s.optimizer->step(*s.network, s.last_lr);

  s.run.cur_nimg += o.batch_size;
  s.ema->update(*s.network, s.run.cur_nimg, o.batch_size);
  s.training_time += seconds_now() - begin;
}

void Trainer::State::status() {
  const double now = seconds_now(), tick = now - status_time;
  const double per_kimg =
      training_time / static_cast<double>(std::max<int64_t>(run.cur_nimg - status_nimg, 1)) * 1e3;
  const double maintenance = tick - training_time;
  run.total_elapsed_time += tick;
  constexpr double gib = 1 << 30;
  const double cpu = static_cast<double>(resident_memory()) / gib;
  const DeviceMemory gpu = peak_device_memory(device);
  reset_peak_device_memory(device);

  const double kimg = static_cast<double>(run.cur_nimg) / 1e3;
  statistics.report("Progress/kimg", kimg);
  statistics.report("Timing/total_sec", run.total_elapsed_time);
  statistics.report("Timing/sec_per_tick", tick);
  statistics.report("Timing/sec_per_kimg", per_kimg);
  statistics.report("Timing/maintenance_sec", maintenance);
  statistics.report("Resources/cpu_mem_gb", cpu);
  statistics.report("Resources/peak_gpu_mem_gb", gpu.peak_allocated / gib);
  statistics.report("Resources/peak_gpu_mem_reserved_gb", gpu.peak_reserved / gib);

  char line[256];
  std::snprintf(line, sizeof line,
                "Status: kimg %-9.1f time %-12s sec/tick %-8.2f sec/kimg %-7.3f maintenance %-7.2f "
                "cpumem %-6.2f gpumem %-6.2f reserved %-6.2f",
                kimg, format_duration(run.total_elapsed_time).c_str(), tick, per_kimg, maintenance,
                cpu, gpu.peak_allocated / gib, gpu.peak_reserved / gib);
  log.line(line);
  std::ofstream file(options.outdir / "stats.jsonl", std::ios::app);
  file << statistics.flush(unix_time());
  if (!file.flush())
    throw Error("cannot write '" + (options.outdir / "stats.jsonl").string() +
                "'; is the disk full?");

  status_time = now;
  status_nimg = run.cur_nimg;
  training_time = 0;
}

void Trainer::State::save_snapshots() {
  ema->copy_buffers(*network);
  for (size_t i = 0; i < ema->stds().size(); ++i) {
    Snapshot snapshot = make_snapshot(network->options(), ema->weights(i));
    snapshot.encoder = encoder->options();
    snapshot.dataset = DatasetOptions{options.data.string(), options.use_labels};
    snapshot.loss = loss;
    const std::string name = snapshot_name(run.cur_nimg, ema->stds()[i]);
    save_snapshot(options.outdir / name, snapshot, SnapshotFormat::pickle);
    log.line("Saving " + name + " ... done");
  }
}

void Trainer::State::save_state() {
  const fs::path path = options.outdir / training_state_name(run.cur_nimg);
  save_training_state(path, run, *network, loss, last_lr, *optimizer, *ema);
  log.line("Saving " + path.string() + " ... done");
}

}  // namespace edm2
