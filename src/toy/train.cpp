#include "edm2/toy/train.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>

#include "edm2/core/error.h"
#include "edm2/core/platform.h"
#include "edm2/ema/power_function.h"

namespace edm2::toy {
namespace {

constexpr double beta1 = 0.9, beta2 = 0.99, epsilon = 1e-8;  // of Adam

Network draw_network(const TrainOptions& options) {
  at::manual_seed(static_cast<uint64_t>(options.seed));
  return Network(options.network);
}

}  // namespace

Trainer::Trainer(const TrainOptions& options)
    : options_(options),
      mixture_(options.classes),
      network_(draw_network(options)),
      ema_(network_.clone()) {
  for (Tensor& parameter : network_.parameters()) {
    parameter.requires_grad_(true);
    moments_.push_back({at::zeros_like(parameter), at::zeros_like(parameter)});
  }
}

double Trainer::step() {
  const auto t = static_cast<double>(iteration_);
  const Tensor sigma = (at::randn({options_.batch_size}) * options_.P_std + options_.P_mean).exp();
  const Tensor x = mixture_.sample(options_.batch_size, sigma);  // [B,2]
  const Tensor exact = mixture_.density(x, sigma).score;         // [B,2]
  network_.normalize_weights();
  const Tensor score = network_.score(x, sigma, /*differentiable=*/true);  // [B,2]
  const Tensor loss = (sigma.square() * (exact - score).square().mean(1)).mean();

  std::vector<Tensor>& parameters = network_.parameters();
  const auto gradients = torch::autograd::grad({loss}, parameters);
  const c10::NoGradGuard no_grad;
  const double rate =
      options_.learning_rate / std::sqrt(std::max(t / options_.decay_iterations, 1.0));
  const double bias1 = 1 - std::pow(beta1, t + 1), bias2 = 1 - std::pow(beta2, t + 1);
  const double beta = power_function_beta(options_.ema_std, iteration_ + 1, 1);
  for (size_t i = 0; i < parameters.size(); ++i) {
    auto& [mean, square] = moments_[i];
    mean.lerp_(gradients[i], 1 - beta1);
    square.mul_(beta2).addcmul_(gradients[i], gradients[i], 1 - beta2);
    const Tensor denominator = square.sqrt().div_(std::sqrt(bias2)).add_(epsilon);
    parameters[i].addcdiv_(mean, denominator, -rate / bias1);
    ema_.parameters()[i].lerp_(parameters[i], 1 - beta);
  }
  ++iteration_;
  return loss.item<double>();
}

Network train(const TrainOptions& options, Progress& progress,
              const std::function<void(const Trainer&)>& before_step) {
  Trainer trainer(options);
  if (options.outdir) {
    std::filesystem::create_directories(*options.outdir);
    progress.message("Will save snapshots to " + options.outdir->string());
  }
  progress.message("Training...");
  progress.start("Training", options.iterations, "iteration");
  while (trainer.iteration() < options.iterations) {
    check_interrupt();
    if (before_step) before_step(trainer);
    const double loss = trainer.step();
    if (!std::isfinite(loss))
      throw Error("the training of the toy network diverged in iteration " +
                  std::to_string(trainer.iteration()) + "; use a smaller network");
    if (options.outdir && trainer.iteration() % options.snapshot_iterations == 0) {
      char name[32];
      std::snprintf(name, sizeof name, "iter%04lld.pkl",
                    static_cast<long long>(trainer.iteration()));
      save_network(*options.outdir / name, trainer.ema());
    }
    progress.advance();
  }
  progress.finish();
  progress.message("Done.");
  return trainer.ema().clone();
}

}  // namespace edm2::toy
