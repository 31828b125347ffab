#include "edm2/analysis/train_benchmark.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "analysis/convolution_speed.h"
#include "core/peak_memory.h"
#include "edm2/core/error.h"
#include "edm2/core/platform.h"
#include "edm2/diffusion/loss.h"
#include "edm2/train/optimizer.h"

namespace edm2 {
namespace {

struct StepTimes {
  double forward = 0, backward = 0, update = 0;
  double total() const { return forward + backward + update; }
};

/// A network in training on one batch of random images.
class Training {
 public:
  explicit Training(const TrainBenchmarkOptions& o)
      : options_(o),
        network_(o.network),
        ema_(start_averages((prepare(network_, o), network_), o.stds)),
        optimizer_(network_) {
    const auto& net = o.network;
    images_ = at::randn({o.batch, net.img_channels, net.img_resolution, net.img_resolution})
                  .mul(net.sigma_data)
                  .to(o.device);
    if (net.label_dim > 0)
      labels_ = at::one_hot(at::randint(net.label_dim, {o.batch}, at::kLong), net.label_dim)
                    .to(o.device, at::kFloat);
  }

  StepTimes step() {
    StepTimes times;
    LapClock clock(options_.device);
    clear_gradients(network_);
    const Tensor loss = edm2_loss(network_, images_, labels_, {})
                            .loss.sum()
                            .div(static_cast<double>(options_.batch));
    times.forward = clock.lap();
    loss.backward();
    times.backward = clock.lap();
    // A rate of no consequence: the weights stay where they are.
    seen_ += options_.batch;
    update_weights(network_, optimizer_, 1e-6, ema_, seen_, options_.batch);
    times.update = clock.lap();
    return times;
  }

  int64_t num_parameters() { return network_.num_parameters(); }

 private:
  static void prepare(Precond& network, const TrainBenchmarkOptions& o) {
    network.precision = o.precision;
    network.context.training = true;
    network.to(o.device);
    network.requires_grad(true);
  }

  TrainBenchmarkOptions options_;
  Precond network_;
  PowerFunctionEma ema_;
  Adam optimizer_;
  Tensor images_, labels_;
  int64_t seen_ = 1 << 20;
};

}  // namespace

TrainBenchmark benchmark_training(const TrainBenchmarkOptions& options,
                                  const std::function<void(double)>& after_round) {
  TORCH_CHECK(options.batch > 0 && options.seconds >= 0, "[benchmark_training] batch, seconds");
  Training training(options);
  reset_peak_memory(options.device);
  for (int i = 0; i < 2; ++i) training.step();  // pages, primitives
  TrainBenchmark result;
  result.parameters = training.num_parameters();
  result.peak_memory = peak_memory(options.device);

  ConvolutionFloor convolutions(options.network, options.batch, options.precision, options.device);
  std::vector<StepTimes> steps;
  std::vector<double> ratios;
  const double begin = seconds_now();
  for (double passed = 0; passed < options.seconds || steps.size() < 3;) {
    check_interrupt();
    training.step();  // the caches hold what training leaves there
    steps.push_back(training.step());
    ratios.push_back(steps.back().total() / convolutions.measure());
    passed = seconds_now() - begin;
    if (after_round) after_round(std::min(passed / std::max(options.seconds, 1e-9), 1.0));
  }

  const auto of_steps = [&](auto part) {
    std::vector<double> values;
    for (const StepTimes& step : steps) values.push_back(part(step));
    return median(values);
  };
  result.step = of_steps([](const StepTimes& s) { return s.total(); });
  result.forward = of_steps([](const StepTimes& s) { return s.forward; });
  result.backward = of_steps([](const StepTimes& s) { return s.backward; });
  result.update = of_steps([](const StepTimes& s) { return s.update; });
  result.convolutions = convolutions.seconds();
  result.ratio = median(ratios);
  result.images_per_second = static_cast<double>(options.batch) / result.step;
  result.rounds = static_cast<int64_t>(steps.size());
  return result;
}

}  // namespace edm2
