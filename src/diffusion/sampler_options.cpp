#include "edm2/diffusion/sampler_options.h"

#include "edm2/core/error.h"

namespace edm2 {
namespace {

Option<SamplerOptions> interval_option() {
  const auto from_bounds = [](const std::vector<double>& bounds, const std::string& given) {
    if (bounds.size() != 2 || !(bounds[0] >= 0 && bounds[0] < bounds[1]))
      throw UsageError("'" + given +
                       "' is not an interval LO,HI of noise levels with 0 <= LO < HI.");
    return GuidanceInterval{bounds[0], bounds[1]};
  };
  return make_option<std::vector<double>>({"guidance-interval", OptionType::numbers, "LO,HI",
                                           "Guide only at noise levels LO < sigma <= HI"},
                                          &SamplerOptions::guidance_interval, from_bounds,
                                          [](const GuidanceInterval& interval) {
                                            return std::vector{interval.low, interval.high};
                                          });
}

}  // namespace

const OptionTable<SamplerOptions>& sampler_options() {
  using S = SamplerOptions;
  static const OptionTable<S> table({
      choice_option("solver", &S::solver, parse_solver, solver_names(),
                    "How a step is made: heun, euler, dpmpp-2m, dpmpp-3m or unipc"),
      integer_option("steps", &S::num_steps, at_least(int64_t{1}), "Sampling steps"),
      number_option("sigma_min", &S::sigma_min, greater_than(0.0), "Lowest noise level"),
      number_option("sigma_max", &S::sigma_max, greater_than(0.0), "Highest noise level"),
      number_option("rho", &S::rho, greater_than(0.0), "Time step exponent"),
      number_option("guidance", &S::guidance, {}, "Guidance strength, 1 = none"),
      interval_option(),
      number_option("S_churn", &S::S_churn, at_least(0.0), "Stochasticity strength"),
      number_option("S_min", &S::S_min, at_least(0.0), "Lowest noise level with churn"),
      number_option("S_max", &S::S_max, at_least(0.0), "Highest noise level with churn"),
      number_option("S_noise", &S::S_noise, {}, "Noise inflation"),
  });
  return table;
}

}  // namespace edm2
