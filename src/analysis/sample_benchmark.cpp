#include "edm2/analysis/sample_benchmark.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <chrono>

#include "analysis/convolution_speed.h"
#include "core/measuring.h"
#include "core/page_tensor.h"
#include "core/peak_memory.h"
#include "edm2/analysis/operation_counts.h"
#include "edm2/core/platform.h"
#include "edm2/nn/network.h"

namespace edm2 {
namespace {

/// Seconds since the clock's last lap.
class LapClock {
 public:
  explicit LapClock(c10::Device device) : device_(device) {}
  double lap() {
    synchronize(device_);
    const auto now = std::chrono::steady_clock::now();
    return std::chrono::duration<double>(now - std::exchange(last_, now)).count();
  }

 private:
  c10::Device device_;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

}  // namespace

Snapshot random_network(const NetworkOptions& options) {
  const c10::NoGradGuard no_grad;
  Precond network(options);
  for (const auto& entry : network.named_parameters())
    if (entry.tensor->dim() == 0) entry.tensor->fill_(1);
  Snapshot snapshot;
  snapshot.network = options;
  for (auto& [name, tensor] : network.state_dict())
    // As snapshots are stored; in pages that are free for others as soon as they are done with.
    snapshot.tensors.emplace_back(
        name, tensor_in_huge_pages(tensor.numel(), at::kHalf).view(tensor.sizes()).copy_(tensor));
  return snapshot;
}

namespace {

/// [N,label_dim] one-hot, or undefined for unconditional networks.
Tensor random_labels(int64_t label_dim, int64_t batch, c10::Device device) {
  if (label_dim == 0) return {};
  return at::one_hot(at::randint(label_dim, {batch}, at::kLong), label_dim).to(device, at::kFloat);
}

}  // namespace

SampleBenchmark benchmark_sampling(StoredSnapshot snapshot, const SampleBenchmarkOptions& options) {
  TORCH_CHECK(options.batch > 0 && options.seconds >= 0, "[benchmark_sampling] batch, seconds");
  const c10::NoGradGuard no_grad;
  const NetworkOptions net = snapshot.description().network;
  SampleBenchmark result;
  for (const Operation& operation : trace_forward_pass(net).operations)
    result.flops += operation.flops;
  for (const auto& [name, tensor] : snapshot.description().tensors)
    result.parameters += tensor.numel();

  reset_peak_memory(options.device);
  LapClock clock(options.device);
  const auto network =
      make_denoiser(std::move(snapshot), options.precision, options.device, options.engine);
  result.setup_seconds = clock.lap();
  const Tensor x =
      at::randn({options.batch, net.img_channels, net.img_resolution, net.img_resolution})
          .to(options.device);
  const Tensor sigma = at::scalar_tensor(1.0).to(options.device);
  const Tensor labels = random_labels(net.label_dim, options.batch, options.device);
  const auto evaluate = [&] {
    clock.lap();
    network->denoise(x, sigma, labels);
    return clock.lap();
  };
  result.first_seconds = evaluate();
  evaluate();  // with memory that was planned in the first
  result.peak_memory = peak_memory(options.device);

  const auto dtype = activation_dtype(options.precision, net.use_fp16, options.device);
  std::vector<ConvolutionTimer> convolutions;
  for (const ConvolutionShape& shape : convolutions_of(net)) {
    check_interrupt();
    convolutions.emplace_back(shape, options.batch, dtype, options.device, /*gradients=*/false);
  }

  std::vector<double> evaluations, ratios;
  std::vector<std::vector<double>> alone(convolutions.size());
  LapClock total(options.device);
  for (double passed = 0; passed < options.seconds || evaluations.size() < 2;) {
    check_interrupt();
    evaluations.push_back(evaluate());
    double sum = 0;
    for (size_t i = 0; i < convolutions.size(); ++i) {
      alone[i].push_back(convolutions[i].measure());
      sum += alone[i].back() * static_cast<double>(convolutions[i].shape().count);
    }
    ratios.push_back(evaluations.back() / sum);
    passed += total.lap();
  }
  const auto batch = static_cast<double>(options.batch);
  result.seconds_per_image_evaluation = median(evaluations) / batch;
  for (size_t i = 0; i < alone.size(); ++i)
    result.convolution_floor_seconds +=
        median(alone[i]) * static_cast<double>(convolutions[i].shape().count) / batch;
  result.ratio = median(ratios);
  result.rounds = static_cast<int64_t>(evaluations.size());
  return result;
}

}  // namespace edm2
