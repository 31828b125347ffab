#include "edm2/analysis/sample_benchmark.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "analysis/convolution_speed.h"
#include "core/page_tensor.h"
#include "core/peak_memory.h"
#include "edm2/analysis/operation_counts.h"
#include "edm2/core/platform.h"
#include "edm2/nn/network.h"

namespace edm2 {
namespace {

/// [N,label_dim] one-hot, or undefined for unconditional networks.
Tensor random_labels(int64_t label_dim, int64_t batch, c10::Device device) {
  if (label_dim == 0) return {};
  return at::one_hot(at::randint(label_dim, {batch}, at::kLong), label_dim).to(device, at::kFloat);
}

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

  ConvolutionFloor convolutions(net, options.batch, options.precision, options.device,
                                /*gradients=*/false);
  std::vector<double> evaluations, ratios;
  LapClock total(options.device);
  for (double passed = 0; passed < options.seconds || evaluations.size() < 2;) {
    check_interrupt();
    evaluations.push_back(evaluate());
    ratios.push_back(evaluations.back() / convolutions.measure());
    passed += total.lap();
  }
  const auto batch = static_cast<double>(options.batch);
  result.seconds_per_image_evaluation = median(evaluations) / batch;
  result.convolution_floor_seconds = convolutions.seconds() / batch;
  result.ratio = median(ratios);
  result.rounds = static_cast<int64_t>(evaluations.size());
  return result;
}

}  // namespace edm2
