/// Sampling: noise levels, guidance, and solvers of the probability flow ODE (arXiv 2206.00364;
/// guidance of arXiv 2406.02507 and 2404.07724). docs/solvers.md has formulas and measurements.
#pragma once

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "edm2/nn/denoiser.h"

namespace edm2 {

/// How the images are carried from one noise level to the next. N steps evaluate the network N
/// times, with heun 2 N - 1 times.
enum class Solver {
  heun,      ///< second order (arXiv 2206.00364, Algorithm 2); the original's, to the last rounding
  euler,     ///< first order: heun without its correction; the same as DDIM
  dpmpp_2m,  ///< DPM-Solver++(2M), second order (arXiv 2211.01095, Algorithm 2)
  dpmpp_3m,  ///< DPM-Solver++ with a third-order multistep formula
  unipc,     ///< UniPC-3: third-order predictor and corrector (arXiv 2302.04867)
};

/// "heun", "euler", "dpmpp-2m", "dpmpp-3m", "unipc", in this order.
const std::vector<std::string>& solver_names();
const std::string& solver_name(Solver solver);
/// Throws UsageError for other text.
Solver parse_solver(const std::string& name);

/// Noise levels with guidance: low < sigma <= high (arXiv 2404.07724). Outside of them the guiding
/// network is not evaluated.
struct GuidanceInterval {
  double low = 0;                                         ///< >= 0
  double high = std::numeric_limits<double>::infinity();  ///< > low

  /// There are noise levels without guidance.
  bool limits() const { return low > 0 || high < std::numeric_limits<double>::infinity(); }

  /// Asked with the exact noise level (Eq. 5 in float64), not with the rounded one that networks
  /// see. A level within one part in a million of a bound counts as equal to it, so that rounding
  /// does not decide whether sigma_max is <= high.
  bool contains(double sigma) const;
};

/// How images are drawn; sampler_options.h describes the program's options of the same names.
struct SamplerOptions {
  Solver solver = Solver::heun;
  int64_t num_steps = 32;    ///< >= 1; one step goes from sigma_max to 0
  double sigma_min = 0.002;  ///< lowest noise level, > 0
  double sigma_max = 80;     ///< highest noise level, > sigma_min
  double rho = 7;            ///< > 0; larger = more steps at low noise
  double guidance = 1;       ///< lerp weight from the guiding network to the main one; 1 = off
  GuidanceInterval guidance_interval;  ///< where guidance applies; 1 elsewhere
  double S_churn = 0;                  ///< stochasticity (heun and euler only); 0 = deterministic
  double S_min = 0, S_max = std::numeric_limits<double>::infinity();  ///< noise levels with churn
  double S_noise = 1;                                                 ///< noise inflation of churn
  /// Type of all arithmetic outside the networks; the original uses float32.
  c10::ScalarType dtype = c10::kFloat;
};

/// Throws UsageError, naming the option of the program, if the numbers cannot be used: not finite,
/// out of range, levels too close for options.dtype, or churn with a solver that has none.
void validate(const SamplerOptions& options);

/// How often edm_sampler() evaluates the main network for each image.
int64_t num_evaluations(const SamplerOptions& options);

/// [num_steps + 1] noise levels from sigma_max down to sigma_min, then 0 (arXiv 2206.00364, Eq. 5),
/// computed and rounded in options.dtype: in float32 the first one is 79.9999847 for sigma_max 80.
Tensor noise_levels(const SamplerOptions& options, c10::Device device);

/// Draws noise like its argument; one stream per image.
using NoiseSource = std::function<Tensor(const Tensor&)>;

/// A view of the sampler's state after one step; valid during the call that it is given to.
struct SamplerStep {
  int64_t step;            ///< the step just made, 0 to num_steps - 1
  double sigma;            ///< noise level of x, not rounded to options.dtype; 0 after the last
  const Tensor& x;         ///< [N,C,H,W] in options.dtype: noisy images; the result after the last
  const Tensor& denoised;  ///< [N,C,H,W] in options.dtype: latest guided estimate of clean images
};
using StepCallback = std::function<void(const SamplerStep&)>;

/// noise: [N,C,H,W] standard normal. labels: [N,K] or undefined. gnet guides when options.guidance
/// != 1 (may be the network itself); with 1 it is not touched. randn_like is called once a churned
/// step. Returns [N,C,H,W] in options.dtype. `on_step` (may be empty) is called after each of the
/// num_steps steps. Throws UsageError as validate() does.
Tensor edm_sampler(Denoiser& net, Denoiser& gnet, const Tensor& noise, const Tensor& labels,
                   const SamplerOptions& options, const NoiseSource& randn_like,
                   const StepCallback& on_step = {});

}  // namespace edm2
