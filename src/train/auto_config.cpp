#include "edm2/train/auto_config.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "edm2/core/error.h"
#include "edm2/core/format_number.h"
#include "edm2/nn/network.h"
#include "edm2/train/measure.h"

namespace edm2 {
namespace {

constexpr int64_t imagenet_images = 1281167;
constexpr int64_t mebi = int64_t{1} << 20;
constexpr int64_t smallest_batch = 32;

std::string text(int64_t n) { return std::to_string(n); }

/// "8Mi" where that is exact.
std::string nimg_text(int64_t n) {
  for (const auto& [unit, shift] : {std::pair{"Gi", 30}, std::pair{"Mi", 20}, std::pair{"Ki", 10}})
    if (n > 0 && n % (int64_t{1} << shift) == 0) return text(n >> shift) + unit;
  return text(n);
}

std::string number_text(double value) { return format_number("%.4g", value); }

double three_digits(double value) {
  return std::strtod(format_number("%.3g", value).c_str(), nullptr);
}

/// The multiple of `unit` next to `value`, at least one.
int64_t round_to(double value, int64_t unit) {
  return std::max<int64_t>(std::llround(value / static_cast<double>(unit)), 1) * unit;
}

int64_t largest_power_of_two(int64_t at_most) {
  return static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(at_most)));
}

void choose_interval(std::optional<int64_t>& interval, bool given, double scale, int64_t unit,
                     const char* option, std::vector<std::string>& notes) {
  if (given || !interval) return;
  interval = round_to(static_cast<double>(*interval) * scale, unit);
  notes.push_back(std::string(option) + "=" + nimg_text(*interval));
}

}  // namespace

std::vector<std::string> scale_to_dataset(TrainOptions& o, const TrainOptions& preset,
                                          const GivenOptions& given, int64_t images,
                                          int processes) {
  std::vector<std::string> notes;
  const auto preset_duration = static_cast<double>(preset.total_nimg);
  const auto preset_batch = static_cast<double>(preset.batch_size);
  auto duration = static_cast<double>(o.total_nimg);
  if (!given.duration)
    duration =
        std::max(preset_duration * std::min(static_cast<double>(images) / imagenet_images, 1.0),
                 std::min(preset_duration, static_cast<double>(mebi)));
  const double scale = std::min(duration / preset_duration, 1.0);

  if (!given.batch) {
    const double share = preset_batch * std::sqrt(scale) / processes;
    const int64_t smallest = (smallest_batch + processes - 1) / processes;
    o.batch_size =
        largest_power_of_two(std::max(static_cast<int64_t>(share), smallest)) * processes;
    notes.push_back("--batch=" + text(o.batch_size) + ": " + text(preset.batch_size) +
                    " of the preset, times the square root of the run's length against the "
                    "preset's (" +
                    number_text(std::sqrt(scale)) + "), a power of two for each of " +
                    text(processes) + (processes == 1 ? " process" : " processes"));
  }
  const double batch_scale = static_cast<double>(o.batch_size) / preset_batch;
  if (!given.duration) {
    o.total_nimg = round_to(duration, std::lcm(o.batch_size, mebi / 16));
    notes.push_back("--duration=" + nimg_text(o.total_nimg) + ": " +
                    number_text(static_cast<double>(o.total_nimg) / static_cast<double>(images)) +
                    " passes over " + text(images) + " images; the preset makes " +
                    number_text(preset_duration / imagenet_images) + " over ImageNet");
  }
  if (!given.lr) {
    o.learning_rate.ref_lr = three_digits(preset.learning_rate.ref_lr * std::sqrt(batch_scale));
    notes.push_back("--lr=" + number_text(o.learning_rate.ref_lr) + ": " +
                    number_text(preset.learning_rate.ref_lr) +
                    " of the preset, times the square root of the batch against the preset's, so "
                    "that an image moves the weights as far");
  }
  if (!given.decay) {
    const double part = preset.learning_rate.ref_batches * preset_batch / preset_duration;
    o.learning_rate.ref_batches =
        std::max(std::round(preset.learning_rate.ref_batches * scale / batch_scale), 1.0);
    o.learning_rate.ref_batches_is_integer = true;
    notes.push_back("--decay=" + text(static_cast<int64_t>(o.learning_rate.ref_batches)) +
                    ": batches until the learning rate begins to fall as 1/sqrt(t), at the "
                    "preset's " +
                    number_text(100 * part) + "% of the run");
  }
  if (!given.rampup && scale != 1) {
    o.learning_rate.rampup_nimg = std::round(preset.learning_rate.rampup_nimg * scale);
    notes.push_back("--rampup=" + text(static_cast<int64_t>(o.learning_rate.rampup_nimg)) +
                    ": the same part of the run");
  }
  const int64_t unit = std::lcm(o.batch_size, int64_t{1024});
  choose_interval(o.status_nimg, given.status, scale, unit, "--status", notes);
  choose_interval(o.snapshot_nimg, given.snapshot, scale, unit, "--snapshot", notes);
  choose_interval(o.checkpoint_nimg, given.checkpoint, scale, unit, "--checkpoint", notes);
  return notes;
}

std::string choose_batch_gpu(Trainer& trainer, ProcessGroup& group, double memory_limit) {
  const TrainOptions wanted = trainer.options();
  const int64_t share = wanted.batch_size / group.size();
  std::vector<int64_t> sizes;
  for (int64_t size = 1; share % size == 0; size *= 2) sizes.push_back(size);

  trainer.options().batch_size = group.size();
  trainer.options().batch_gpu = 1;
  trainer.options().total_nimg = group.size();
  trainer.options().status_nimg = trainer.options().snapshot_nimg =
      trainer.options().checkpoint_nimg = std::nullopt;
  trainer.setup_to_measure();
  const c10::Device device = trainer.network().device();
  MeasureLimits limits;
  limits.bytes = memory_limit > 0
                     ? memory_limit
                     : memory_for_this_process(device, group) * (device.is_cuda() ? 0.9 : 0.7);
  const auto measured = measure_steps(trainer, group, sizes, limits);
  trainer.options() = wanted;

  const StepMeasurement* best = nullptr;
  double fastest = 0;  // images a second
  for (const StepMeasurement& m : measured) {
    if (limits.bytes > 0 && m.peak_bytes > limits.bytes) break;
    const double speed = static_cast<double>(m.batch_gpu) / m.round_seconds;
    fastest = std::max(fastest, speed);
    if (speed >= 0.95 * fastest) best = &m;
  }
  const auto bytes = [](double value) { return format_bytes(static_cast<uint64_t>(value)); };
  if (best == nullptr)
    throw Error("--auto: a step with a single image takes " + bytes(measured.front().peak_bytes) +
                " of memory, and " + bytes(limits.bytes) +
                " may be taken; use a smaller network (--channels), or --memory-limit");
  trainer.options().batch_gpu = best->batch_gpu;
  const StepMeasurement& last = measured.back();
  std::string why = "the whole share of a process";
  if (last.batch_gpu > best->batch_gpu)
    why = "more is slower or does not fit";
  else if (best->batch_gpu < sizes.back())
    why = best->round_seconds > limits.round_seconds ? "more would be tried for too long"
                                                     : "more would not fit";
  return "--batch-gpu=" + text(best->batch_gpu) + ": measured, takes " + bytes(best->peak_bytes) +
         " beside weights and moments" +
         (limits.bytes > 0 ? " (limit " + bytes(limits.bytes) + ")" : std::string()) +
         " and makes " + number_text(static_cast<double>(best->batch_gpu) / best->round_seconds) +
         " images/s in a process; " + why;
}

std::string take_earlier_choices(TrainOptions& o, const GivenOptions& given,
                                 const nlohmann::json& earlier) {
  if (!earlier.is_object() || !earlier.value("auto", false))
    throw Error("--auto: the run in '" + o.outdir.string() +
                "' was begun without it; leave it out, or choose another --outdir");
  const auto interval = [&](const char* key, bool is_given, std::optional<int64_t>& value) {
    if (is_given) return;
    value.reset();
    if (!earlier.at(key).is_null()) value = earlier.at(key).get<int64_t>();
  };
  try {
    if (!given.duration) o.total_nimg = earlier.at("total_nimg").get<int64_t>();
    if (!given.batch) o.batch_size = earlier.at("batch_size").get<int64_t>();
    const auto& lr = earlier.at("lr_kwargs");
    if (!given.lr) o.learning_rate.ref_lr = lr.at("ref_lr").get<double>();
    if (!given.decay) {
      o.learning_rate.ref_batches = lr.at("ref_batches").get<double>();
      o.learning_rate.ref_batches_is_integer = lr.at("ref_batches").is_number_integer();
    }
    if (!given.rampup && lr.contains("rampup_Mimg"))
      o.learning_rate.rampup_nimg = std::round(lr.at("rampup_Mimg").get<double>() * 1e6);
    interval("batch_gpu", given.batch_gpu, o.batch_gpu);
    interval("status_nimg", given.status, o.status_nimg);
    interval("snapshot_nimg", given.snapshot, o.snapshot_nimg);
    interval("checkpoint_nimg", given.checkpoint, o.checkpoint_nimg);
  } catch (const nlohmann::json::exception&) {
    throw Error("--auto: '" + (o.outdir / "training_options.json").string() +
                "' is damaged; choose another --outdir");
  }
  return "the run has begun, and keeps what was chosen then";
}

}  // namespace edm2
