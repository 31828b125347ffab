#include "edm2/train/estimate.h"

#include <c10/util/accumulate.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <system_error>
#include <thread>

#include "core/measuring.h"
#include "edm2/core/device.h"
#include "edm2/core/format_number.h"
#include "edm2/core/platform.h"
#include "edm2/generate/presets.h"
#include "edm2/nn/network.h"
#include "edm2/nn/state_layout.h"

namespace edm2 {
namespace fs = std::filesystem;
namespace {

constexpr double busy_machine = 0.1;  // used_by_others from which it changes the speed

std::string count_text(int64_t n) { return std::to_string(n); }
std::string size_text(double bytes) { return format_bytes(static_cast<uint64_t>(bytes)); }

std::string rounded_number(double value) {
  return format_number(value < 100 ? "%.3g" : "%.0f", value);
}

std::string time_text(double seconds) {
  if (seconds < 120) return rounded_number(seconds) + " seconds";
  if (seconds < 2 * 3600) return rounded_number(seconds / 60) + " minutes";
  if (seconds < 48 * 3600) return rounded_number(seconds / 3600) + " hours";
  return rounded_number(seconds / 86400) + " days";
}

std::string line(std::string label, const std::string& value) {
  label.resize(18, ' ');
  return "  " + label + value;
}

/// The folder itself or the nearest one above it that exists.
fs::path existing_folder(const fs::path& folder) {
  std::error_code error;
  fs::path path = fs::absolute(folder, error);
  while (!fs::exists(path, error) && path.has_relative_path()) path = path.parent_path();
  return path;
}

/// What the processors do from its making on.
class ProcessorUse {
 public:
  /// Part of their time that went to other programs than those of the group; 0 as long as there was
  /// time for both. All processes call it. With several machines it may come out too small.
  double by_others(ProcessGroup& group) const {
    const double own = group.sum(own_processor_seconds() - own_);
    const double time = (seconds_now() - begin_) * std::thread::hardware_concurrency();
    const double busy = machine_processor_seconds() - all_;
    // Beyond all time processors are counted on which this program may not run: nothing is known.
    if (busy < 0.9 * time || busy > 1.1 * time) return 0;
    return std::clamp((busy - own) / time, 0.0, 1.0);
  }

 private:
  double begin_ = seconds_now(), all_ = machine_processor_seconds(), own_ = own_processor_seconds();
};

/// The largest size again, for as long as it takes to know the speed well.
void measure_longer(StepMeasurement& step, Trainer& trainer, ProcessGroup& group, double seconds) {
  const auto longer =
      measure_steps(trainer, group, {step.batch_gpu}, {.least_seconds = seconds / 2}).front();
  step.round_seconds = longer.round_seconds;
  step.step_seconds = longer.step_seconds;  // the memory was seen to grow at the first time
}

void count_files(const TrainOptions& o, RunEstimate& estimate) {
  const auto stds = static_cast<int64_t>(o.stds.size());
  if (o.snapshot_nimg)  // one before the first step
    estimate.snapshots = (o.total_nimg / *o.snapshot_nimg + 1) * stds;
  if (o.checkpoint_nimg)  // one at the end
    estimate.states = (o.total_nimg + *o.checkpoint_nimg - 1) / *o.checkpoint_nimg;
  estimate.snapshot_bytes = snapshot_file_size(o.network);
  estimate.state_bytes = training_state_file_size(o);
}

}  // namespace

double snapshot_file_size(const NetworkOptions& options) {
  double bytes = 6000;
  for (const StateEntry& entry : state_layout(options)) {
    const auto numel = static_cast<double>(c10::multiply_integers(entry.shape));
    bytes += 2 * numel + 1440;  // float16, and what the pickle says of it
  }
  return bytes;
}

double training_state_file_size(const TrainOptions& options) {
  double bytes = 4000;
  const double copies = static_cast<double>(options.stds.size()) + 1;
  for (const StateEntry& entry : state_layout(options.network)) {
    const auto numel = static_cast<double>(c10::multiply_integers(entry.shape));
    const double moments = entry.is_buffer ? 0 : 2;
    bytes += (copies + moments) * (4 * numel + 330) + (entry.is_buffer ? 0 : 330);
  }
  return bytes;
}

double RunEstimate::activations() const {
  return step ? std::max(step->peak_bytes - memory.gradients, 0.0) : 0;
}
double RunEstimate::memory_of_process() const {
  return memory.weights + memory.gradients + memory.optimizer + memory.emas + activations();
}
double RunEstimate::seconds_per_step() const {
  return step ? step->step_seconds + step->round_seconds * static_cast<double>(rounds) : 0;
}
double RunEstimate::images_per_second() const {
  return step ? static_cast<double>(batch_size) / seconds_per_step() : 0;
}
double RunEstimate::seconds() const {
  return step ? static_cast<double>(total_nimg) / images_per_second() : 0;
}
double RunEstimate::disk_bytes() const {
  return static_cast<double>(snapshots) * snapshot_bytes +
         static_cast<double>(states) * state_bytes;
}

std::vector<std::string> RunEstimate::lines() const {
  std::vector<std::string> out;
  out.push_back("Estimate (nothing is written):");
  out.push_back(line(
      "Network:", rounded_number(static_cast<double>(parameters) / 1e6) + " million parameters"));
  out.push_back(line("Memory:", "weights " + size_text(memory.weights) + ", gradients " +
                                    size_text(memory.gradients) + ", Adam " +
                                    size_text(memory.optimizer) + ", EMAs " +
                                    size_text(memory.emas)));
  const double all = memory_of_process();
  const std::string total =
      size_text(all) +
      (processes > 1 ? " in each of " + count_text(processes) + " processes, " +
                           size_text(all * processes) + " in all"
                     : std::string()) +
      (available_memory > 0
           ? "; " + size_text(available_memory) + " available" + (processes > 1 ? " to each" : "")
           : std::string());
  if (step) {
    out.push_back(line("", "activations " + size_text(activations()) + " for " +
                               count_text(step->batch_gpu) + " images at once (--batch-gpu), " +
                               (step->batch_gpu == measured_batch_gpu
                                    ? "measured"
                                    : "extrapolated from " + count_text(measured_batch_gpu))));
    out.push_back(line("", total));
    out.push_back(line("Speed:", rounded_number(images_per_second()) + " images/s, " +
                                     time_text(seconds_per_step()) + " for a step of " +
                                     count_text(batch_size) + " images, on " + device));
    out.push_back(
        line("Duration:", time_text(seconds()) + " for " + count_text(total_nimg) + " images"));
  } else {
    out.push_back(line("", total));
    out.push_back(line("Speed:", "not measured, because the network does not fit into memory"));
  }
  out.push_back(line("Snapshots:", count_text(snapshots) + " of " + size_text(snapshot_bytes)));
  out.push_back(line("Training states:", count_text(states) + " of " + size_text(state_bytes)));
  out.push_back(line("Disk:", size_text(disk_bytes()) + ", and " + size_text(free_disk) +
                                  " are free in " + folder));
  if (used_by_others > busy_machine)
    out.push_back("Warning: the machine is busy: other programs took " +
                  format_number("%.0f", 100 * used_by_others) +
                  "% of its processors meanwhile, without them the run is faster");
  if (available_memory > 0 && all > available_memory)
    out.push_back("Warning: " + size_text(all) + " of memory are needed, and only " +
                  size_text(available_memory) +
                  " are available; use a smaller --batch-gpu, or --auto");
  if (disk_bytes() > free_disk)
    out.push_back(
        "Warning: the run's files do not fit on the disk; use larger intervals for "
        "--snapshot and --checkpoint, or another --outdir");
  return out;
}

nlohmann::ordered_json RunEstimate::json() const {
  nlohmann::ordered_json json = {
      {"processes", processes},
      {"device", device},
      {"parameters", parameters},
      {"memory_bytes_per_process",
       {{"weights", memory.weights},
        {"gradients", memory.gradients},
        {"optimizer", memory.optimizer},
        {"emas", memory.emas},
        {"activations", step ? nlohmann::ordered_json(activations()) : nullptr},
        {"total", memory_of_process()},
        {"available", available_memory}}},
      {"batch_size", batch_size},
      {"total_nimg", total_nimg}};
  if (step) {
    json["batch_gpu"] = step->batch_gpu;
    json["measured_batch_gpu"] = measured_batch_gpu;
    json["images_per_second"] = images_per_second();
    json["seconds_per_step"] = seconds_per_step();
    json["used_by_others"] = used_by_others;
    json["days"] = seconds() / 86400;
  }
  json["snapshots"] = {{"files", snapshots}, {"bytes", snapshot_bytes}};
  json["training_states"] = {{"files", states}, {"bytes", state_bytes}};
  json["disk_bytes"] = disk_bytes();
  json["free_disk_bytes"] = free_disk;
  json["fits_on_disk"] = disk_bytes() <= free_disk;
  return json;
}

RunEstimate estimate_run(Trainer& trainer, ProcessGroup& group, double least_seconds) {
  const TrainOptions wanted = trainer.options();
  RunEstimate e;
  e.processes = group.size();
  e.parameters = count_parameters(wanted.network);
  e.memory = resting_memory(wanted);
  e.batch_size = wanted.batch_size;
  e.total_nimg = wanted.total_nimg;
  count_files(wanted, e);
  const fs::path folder = existing_folder(wanted.outdir);
  e.folder = folder.string();
  std::error_code error;
  e.free_disk = static_cast<double>(fs::space(folder, error).available);

  const int64_t share = wanted.batch_size / group.size();
  int64_t batch_gpu = wanted.batch_gpu.value_or(0);
  if (batch_gpu <= 0 || batch_gpu > share) batch_gpu = share;
  e.rounds = share / batch_gpu;
  const c10::Device device = select_device(wanted.device);
  e.device = device.str();
  e.available_memory = memory_for_this_process(device, group);
  if (e.available_memory > 0 && e.memory_of_process() > e.available_memory) return e;

  TrainOptions& measured = trainer.options();
  measured.batch_size = measured.total_nimg = group.size();
  measured.batch_gpu = 1;
  measured.status_nimg = measured.snapshot_nimg = measured.checkpoint_nimg = std::nullopt;
  trainer.setup_to_measure();
  MeasureLimits limits;
  limits.round_seconds = 2;
  limits.bytes = e.available_memory * 0.8;
  auto steps = measure_steps(trainer, group, doubling_sizes(batch_gpu), limits);
  const ProcessorUse use;
  measure_longer(steps.back(), trainer, group, least_seconds);
  if (device.is_cpu()) e.used_by_others = use.by_others(group);
  trainer.options() = wanted;
  e.step = extrapolate(steps, batch_gpu);
  e.measured_batch_gpu = steps.back().batch_gpu;
  return e;
}

}  // namespace edm2
