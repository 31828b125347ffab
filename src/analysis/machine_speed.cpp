#include "edm2/analysis/machine_speed.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "core/measuring.h"
#include "edm2/nn/layers.h"

namespace edm2 {
namespace {

// The shortest of several runs; reading one number waits for the device.
double seconds_of(const std::function<Tensor()>& work) {
  constexpr double long_enough = 0.1;
  constexpr int fewest = 3;
  double best = std::numeric_limits<double>::infinity(), total = 0;
  for (int run = 0; run < fewest || total < long_enough; ++run) {
    const double begin = seconds_now();
    work().flatten()[0].item();
    const double seconds = seconds_now() - begin;
    if (run > 0) best = std::min(best, seconds);  // the first run prepares
    total += seconds;
  }
  return std::max(best, 1e-9);
}

const MachineSpeed::Level& level_for(const MachineSpeed& machine, int64_t resolution) {
  return *std::min_element(
      machine.levels.begin(), machine.levels.end(), [&](const auto& a, const auto& b) {
        return std::abs(a.resolution - resolution) < std::abs(b.resolution - resolution);
      });
}

}  // namespace

MachineSpeed measure_machine(const NetworkOptions& options, int64_t batch, at::ScalarType dtype,
                             c10::Device device) {
  validate(options);
  const c10::NoGradGuard no_grad;
  ForwardContext context;
  context.folded = true;  // the convolution alone
  MachineSpeed machine;
  int64_t widest = 0;
  for (size_t level = 0; level < options.channel_mult.size(); ++level) {
    const int64_t width = options.model_channels * options.channel_mult[level];
    const int64_t resolution = options.img_resolution >> level;
    widest = std::max(widest, width);
    const Tensor x = at::randn({batch, width, resolution, resolution}).to(device, dtype);
    MPConv conv(width, width, 3);
    std::vector<NamedTensor> weights;
    conv.collect("", weights);
    for (auto& weight : weights) *weight.tensor = weight.tensor->to(device, dtype);
    const double flops = static_cast<double>(x.numel()) * static_cast<double>(width * 9);
    const double bytes = 4 * static_cast<double>(x.nbytes());  // two operations, in and out
    machine.levels.push_back({resolution,
                              flops / seconds_of([&] { return conv.forward(x, context); }),
                              bytes / seconds_of([&] { return mp_silu(x); })});
  }
  const Tensor weight = at::randn({widest, widest, 3, 3}).to(device);
  const double moved = 5 * static_cast<double>(weight.nbytes());  // norm, quotient, product
  machine.weight_bytes_per_second = moved / seconds_of([&] { return effective_weight(weight); });
  return machine;
}

double estimate_seconds(const std::vector<Operation>& operations, const MachineSpeed& machine) {
  double seconds = 0;
  for (const Operation& operation : operations) {
    const MachineSpeed::Level& level = level_for(machine, operation.resolution);
    if (operation.on_weights || operation.resolution == 0)
      seconds += operation.bytes / machine.weight_bytes_per_second;
    else if (operation.work == Operation::Work::elements)
      seconds += operation.bytes / level.bytes_per_second;
    else
      seconds += operation.flops / level.flops_per_second;
  }
  return seconds;
}

}  // namespace edm2
