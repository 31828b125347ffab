#include "edm2/diffusion/sampler.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>

#include "diffusion/solvers.h"
#include "edm2/core/error.h"

namespace edm2 {
namespace {

std::vector<NoiseLevel> make_levels(const SamplerOptions& options, c10::Device device) {
  SamplerOptions exact = options;
  exact.dtype = at::kDouble;
  const Tensor levels = noise_levels(options, device), sigmas = noise_levels(exact, at::kCPU);
  std::vector<NoiseLevel> result;
  for (int64_t i = 0; i < levels.size(0); ++i)
    result.push_back({levels[i], sigmas.data_ptr<double>()[i]});
  return result;
}

bool is_multistep(Solver solver) { return solver != Solver::heun && solver != Solver::euler; }

void check_finite(double value, const char* option) {
  if (!std::isfinite(value)) throw UsageError(std::string(option) + " must be a finite number");
}

/// Solvers divide by noise levels, and multistep ones by their differences.
void check_levels(const SamplerOptions& options) {
  const auto levels = make_levels(options, at::kCPU);
  for (size_t i = 0; i + 1 < levels.size(); ++i) {
    const double rounded = levels[i].t.item<double>();
    if (!(std::isfinite(rounded) && rounded > 0))
      throw UsageError(
          "--sigma_min, --sigma_max and --rho give noise levels that are too small or too large");
    if (is_multistep(options.solver) && levels[i + 1].sigma >= levels[i].sigma)
      throw UsageError("--steps=" + std::to_string(options.num_steps) +
                       " noise levels do not fit between --sigma_min and --sigma_max");
  }
}

}  // namespace

const std::vector<std::string>& solver_names() {
  static const std::vector<std::string> names = {"heun", "euler", "dpmpp-2m", "dpmpp-3m", "unipc"};
  return names;
}

const std::string& solver_name(Solver solver) {
  return solver_names().at(static_cast<size_t>(solver));
}

Solver parse_solver(const std::string& name) {
  const auto& names = solver_names();
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end())
    throw UsageError("'" + name + "' is not one of heun, euler, dpmpp-2m, dpmpp-3m, unipc.");
  return static_cast<Solver>(found - names.begin());
}

int64_t num_evaluations(const SamplerOptions& options) {
  return options.solver == Solver::heun ? 2 * options.num_steps - 1 : options.num_steps;
}

void validate(const SamplerOptions& options) {
  if (options.num_steps < 1) throw UsageError("--steps must be at least 1");
  check_finite(options.sigma_min, "--sigma_min");
  check_finite(options.sigma_max, "--sigma_max");
  check_finite(options.rho, "--rho");
  check_finite(options.guidance, "--guidance");
  check_finite(options.S_churn, "--S_churn");
  check_finite(options.S_noise, "--S_noise");
  if (options.sigma_min <= 0) throw UsageError("--sigma_min must be greater than 0");
  if (options.sigma_min >= options.sigma_max)
    throw UsageError("--sigma_min must be less than --sigma_max");
  if (options.rho <= 0) throw UsageError("--rho must be greater than 0");
  const GuidanceInterval& interval = options.guidance_interval;
  if (!(interval.low >= 0 && interval.low < interval.high))
    throw UsageError("--guidance-interval=LO,HI must have 0 <= LO < HI");
  if (options.S_churn > 0 && is_multistep(options.solver))
    throw UsageError("--S_churn works with --solver=heun and --solver=euler only: " +
                     solver_name(options.solver) +
                     " builds on earlier steps, which fresh noise would make worthless");
  check_levels(options);
}

Tensor noise_levels(const SamplerOptions& options, c10::Device device) {
  const auto tensor_options = at::TensorOptions().dtype(options.dtype).device(device);
  if (options.num_steps == 1)  // (i / (N - 1)) is 0 / 0 there: the one step starts at sigma_max
    return at::cat(
        {at::full({1}, options.sigma_max, tensor_options), at::zeros({1}, tensor_options)});
  const double a = std::pow(options.sigma_max, 1 / options.rho);
  const double b = std::pow(options.sigma_min, 1 / options.rho) - a;
  const Tensor i = at::arange(options.num_steps, tensor_options);
  const Tensor t = i.div(static_cast<double>(options.num_steps - 1)).mul(b).add(a).pow(options.rho);
  return at::cat({t, at::zeros({1}, tensor_options)});
}

Tensor edm_sampler(Denoiser& net, Denoiser& gnet, const Tensor& noise, const Tensor& labels,
                   const SamplerOptions& options, const NoiseSource& randn_like,
                   const StepCallback& on_step) {
  c10::NoGradGuard no_grad;
  validate(options);
  const auto levels = make_levels(options, noise.device());
  const GuidedDenoiser denoise(net, gnet, labels, options);
  const SamplingProblem problem{options, denoise, levels, randn_like, on_step};
  Tensor x = noise.to(options.dtype) * levels[0].t;
  switch (options.solver) {
    case Solver::heun:
      return solve_heun(problem, x);
    case Solver::euler:
      return solve_euler(problem, x);
    case Solver::dpmpp_2m:
      return solve_dpmpp_2m(problem, x);
    case Solver::dpmpp_3m:
      return solve_dpmpp_3m(problem, x);
    case Solver::unipc:
      return solve_unipc(problem, x);
  }
  TORCH_CHECK(false, "no such solver");
}

}  // namespace edm2
