#include "edm2/train/measure.h"

#include <ATen/ATen.h>
#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>
#include <c10/util/accumulate.h>

#include <algorithm>
#include <memory>

#include "core/measuring.h"
#include "edm2/core/device.h"
#include "edm2/core/platform.h"
#include "edm2/nn/network.h"
#include "edm2/nn/state_layout.h"

namespace edm2 {
namespace {

/// Bytes of the tensors that this thread (and its backward passes) makes on the CPU.
class TensorBytes : public c10::MemoryReportingInfoBase {
 public:
  void reportMemoryUsage(void*, int64_t change, size_t, size_t, c10::Device device) override {
    if (!device.is_cpu()) return;
    current_ += change;
    peak_ = std::max(peak_, current_);
  }
  bool memoryProfilingEnabled() const override { return true; }
  void reset() { peak_ = current_; }
  double peak() const { return static_cast<double>(peak_); }

 private:
  int64_t current_ = 0, peak_ = 0;
};

/// Memory that this process (or the device) has taken since the meter was made. On the CPU it is
/// the larger one of what its memory has grown by, scratch space of kernels included, and of its
/// tensors: it does not grow by what was free already.
class MemoryMeter {
 public:
  explicit MemoryMeter(c10::Device device) : device_(device) {
    reset();
    resting_ = on_device() ? peak_device_memory(device_).peak_allocated
                           : static_cast<double>(own_memory().resident);
  }
  void reset() {
    if (on_device())
      reset_peak_device_memory(device_);
    else
      reset_own_peak_memory();
    tensors_->reset();
  }
  double peak() const {
    if (on_device()) return peak_device_memory(device_).peak_allocated - resting_;
    return std::max(static_cast<double>(own_memory().peak) - resting_, tensors_->peak());
  }
  bool on_device() const { return device_.is_cuda(); }

 private:
  c10::Device device_;
  double resting_ = 0;
  std::shared_ptr<TensorBytes> tensors_ = std::make_shared<TensorBytes>();
  c10::DebugInfoGuard guard_{c10::DebugInfoKind::PROFILER_STATE, tensors_};
};

/// Median time of a step of that many rounds, after one that allocates and chooses algorithms.
double time_of_step(Trainer& trainer, ProcessGroup& group, int64_t batch_gpu, int64_t rounds,
                    double least_seconds) {
  constexpr int repeats = 3;
  constexpr double long_step = 4;  // seconds; one is enough then
  trainer.use_batch(batch_gpu, rounds);
  std::vector<double> times;
  double spent = 0;  // the same in all processes
  for (int i = 0; i <= repeats || spent < least_seconds; ++i) {
    check_interrupt();
    const double begin = seconds_now();
    trainer.step();
    if (trainer.network().device().is_cuda())  // which computes behind the program's back
      trainer.network().named_parameters().front().tensor->detach().sum().item<float>();
    times.push_back(group.max(seconds_now() - begin));
    if (i >= 1) spent += times.back();
    if (times.back() > long_step && i >= 1 && spent >= least_seconds) break;
  }
  times.erase(times.begin());
  return median(times);
}

StepMeasurement measure_size(Trainer& trainer, ProcessGroup& group, MemoryMeter& memory,
                             int64_t batch_gpu, double least_seconds) {
  StepMeasurement m;
  m.batch_gpu = batch_gpu;
  memory.reset();
  const double one = time_of_step(trainer, group, batch_gpu, 1, least_seconds);
  m.peak_bytes = group.max(memory.peak());
  const double two = time_of_step(trainer, group, batch_gpu, 2, least_seconds);
  m.round_seconds = std::clamp(two - one, one / 4, one);  // noise must not make rounds free
  m.step_seconds = one - m.round_seconds;
  return m;
}

}  // namespace

std::vector<StepMeasurement> measure_steps(Trainer& trainer, ProcessGroup& group,
                                           const std::vector<int64_t>& sizes,
                                           const MeasureLimits& limits) {
  MemoryMeter memory(trainer.network().device());
  trainer.use_batch(sizes.front(), 1);
  trainer.step();  // first uses of everything
  std::vector<StepMeasurement> measured;
  for (const int64_t size : sizes) {
    if (!measured.empty()) {
      const StepMeasurement next = extrapolate(measured, size);
      if (limits.bytes > 0 && next.peak_bytes > limits.bytes) break;
      if (measured.back().round_seconds > limits.round_seconds) break;
    }
    measured.push_back(measure_size(trainer, group, memory, size, limits.least_seconds));
  }
  return measured;
}

StepMeasurement extrapolate(const std::vector<StepMeasurement>& measured, int64_t batch_gpu) {
  for (const StepMeasurement& m : measured)
    if (m.batch_gpu == batch_gpu) return m;
  const StepMeasurement& last = measured.back();
  const auto ratio = static_cast<double>(batch_gpu) / static_cast<double>(last.batch_gpu);
  StepMeasurement m = last;
  m.batch_gpu = batch_gpu;
  m.round_seconds *= ratio;
  m.peak_bytes *= std::max(ratio, 1.0);
  if (measured.size() < 2) return m;
  const StepMeasurement& before = measured[measured.size() - 2];
  const double per_image = std::max(last.peak_bytes - before.peak_bytes, 0.0) /
                           static_cast<double>(last.batch_gpu - before.batch_gpu);
  m.peak_bytes = last.peak_bytes + per_image * static_cast<double>(batch_gpu - last.batch_gpu);
  return m;
}

std::vector<int64_t> doubling_sizes(int64_t most) {
  std::vector<int64_t> sizes;
  for (int64_t size = 1; size < most; size *= 2) sizes.push_back(size);
  sizes.push_back(most);
  return sizes;
}

double memory_for_this_process(const c10::Device& device, ProcessGroup& group) {
  if (device.is_cuda()) return group.min(free_device_memory(device));
  // Processes of one machine are numbered from 0.
  const double neighbours = group.max(group.local_rank()) + 1;
  return group.min(static_cast<double>(available_memory()) / neighbours);
}

RestingMemory resting_memory(const TrainOptions& options) {
  double parameters = 0, buffers = 0;
  for (const StateEntry& entry : state_layout(options.network)) {
    const auto numel = static_cast<double>(c10::multiply_integers(entry.shape));
    (entry.is_buffer ? buffers : parameters) += numel;
  }
  constexpr double bytes = sizeof(float);
  return {.weights = bytes * (parameters + buffers),
          .gradients = bytes * parameters,
          .optimizer = 2 * bytes * parameters,
          .emas = bytes * (parameters + buffers) * static_cast<double>(options.stds.size())};
}

}  // namespace edm2
