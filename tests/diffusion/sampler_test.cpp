// Known answers of the sampler with a closed-form denoiser.
#include "edm2/diffusion/sampler.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "support/golden.h"

namespace edm2 {
namespace {

/// The ideal denoiser of a Gaussian with that variance: x * (variance / (sigma^2 + variance)).
class GaussianDenoiser : public Denoiser {
 public:
  explicit GaussianDenoiser(double variance) : variance_(variance) {}
  Tensor denoise(const Tensor& x, const Tensor& sigma, const Tensor&) override {
    ++calls;
    return x * ((sigma.pow(2) + variance_).reciprocal() * variance_);
  }
  int64_t img_channels() const override { return 1; }
  int64_t img_resolution() const override { return 2; }
  int64_t label_dim() const override { return 0; }
  c10::Device device() const override { return c10::kCPU; }
  int calls = 0;

 private:
  double variance_;
};

Tensor run(const SamplerOptions& options) {
  GaussianDenoiser net(0.25), gnet(0.36);
  const Tensor noise = at::tensor({1.f, -0.5f, 0.25f, 2.f}).reshape({1, 1, 2, 2});
  const Tensor x = edm_sampler(net, gnet, noise, {}, options,
                               [](const Tensor& like) { return at::full_like(like, 0.5); });
  EXPECT_EQ(net.calls, 2 * options.num_steps - 1);
  EXPECT_EQ(gnet.calls, options.guidance == 1 ? 0 : net.calls);
  return x.flatten();
}

void expect_near(const Tensor& actual, std::vector<double> expected, double tolerance = 2e-6) {
  EXPECT_LE(test::relative_error(actual, at::tensor(expected)), tolerance) << actual;
}

}  // namespace

TEST(NoiseLevels, KnownAnswers) {
  SamplerOptions options;
  const Tensor t = noise_levels(options, at::kCPU);
  ASSERT_EQ(t.numel(), 33);
  EXPECT_FLOAT_EQ(t[0].item<float>(), 79.9999847f);
  EXPECT_FLOAT_EQ(t[1].item<float>(), 66.9308701f);
  EXPECT_FLOAT_EQ(t[30].item<float>(), 0.00426683482f);
  EXPECT_FLOAT_EQ(t[31].item<float>(), 0.00199999963f);
  EXPECT_EQ(t[32].item<float>(), 0.f);
  options.num_steps = 5;
  options.dtype = at::kDouble;
  expect_near(
      noise_levels(options, at::kCPU),
      {80, 17.527831964644111, 2.5152189761471591, 0.16975275626876413, 0.0020000000000000031, 0},
      1e-14);
}

/// 18 steps as two schedulers of diffusers 0.42.1 give them: EDMEulerScheduler, which computes in
/// float64 and rounds at the end, and EDMDPMSolverMultistepScheduler, which computes in float32 as
/// we do and the original does.
TEST(NoiseLevels, AreThoseOfDiffusersUpToRounding) {
  SamplerOptions options;
  options.num_steps = 18;
  const std::vector<double> rounded_at_the_end = {80.0,
                                                  57.58598327636719,
                                                  40.78557205200195,
                                                  28.374584197998047,
                                                  19.352453231811523,
                                                  12.910082817077637,
                                                  8.400935173034668,
                                                  5.315194606781006,
                                                  3.256821632385254,
                                                  1.92333984375,
                                                  1.0881706476211548,
                                                  0.5853481292724609,
                                                  0.29644227027893066,
                                                  0.13951647281646729,
                                                  0.059947311878204346,
                                                  0.02293451875448227,
                                                  0.007528020069003105,
                                                  0.0020000000949949026,
                                                  0.0};
  const std::vector<double> in_float32 = {79.99998474121094,
                                          57.58597183227539,
                                          40.78556823730469,
                                          28.37458038330078,
                                          19.35245132446289,
                                          12.91008186340332,
                                          8.400935173034668,
                                          5.315194606781006,
                                          3.256821870803833,
                                          1.923338770866394,
                                          1.088170051574707,
                                          0.5853478312492371,
                                          0.2964421212673187,
                                          0.13951639831066132,
                                          0.059947285801172256,
                                          0.022934509441256523,
                                          0.007528017740696669,
                                          0.0019999996293336153,
                                          0.0};
  const Tensor ours = noise_levels(options, at::kCPU);
  options.dtype = at::kDouble;
  const Tensor exact = noise_levels(options, at::kCPU);
  ASSERT_EQ(ours.numel(), 19);
  for (size_t i = 0; i < 19; ++i) {
    const auto index = static_cast<int64_t>(i);
    const double level = ours[index].item<double>();
    EXPECT_NEAR(exact[index].item<double>(), rounded_at_the_end[i], 6e-8 * rounded_at_the_end[i]);
    EXPECT_NEAR(level, in_float32[i], 5e-7 * in_float32[i]) << i;
    EXPECT_NEAR(level, rounded_at_the_end[i], 1e-6 * rounded_at_the_end[i]) << i;
  }
}

TEST(NoiseLevels, OneStepStartsAtSigmaMax) {
  SamplerOptions options;
  options.num_steps = 1;
  expect_near(noise_levels(options, at::kCPU), {80, 0});
}

TEST(Sampler, ClosedFormKnownAnswers) {
  SamplerOptions options;
  expect_near(run(options), {0.507838249, -0.253919125, 0.126959562, 1.01567650});
  options.num_steps = 5;
  expect_near(run(options), {1.25788558, -0.628942788, 0.314471394, 2.51577115});
  options.guidance = 1.4;
  expect_near(run(options), {1.21369922, -0.606849611, 0.303424805, 2.42739844});
  options.guidance = 1;
  options.dtype = at::kDouble;
  expect_near(run(options), {1.25788631, -0.628943154, 0.314471577, 2.51577262}, 1e-8);
  options.dtype = at::kFloat;
  options.S_churn = 40;
  options.S_min = 0.05;
  options.S_max = 50;
  options.S_noise = 1.003;
  expect_near(run(options), {1.90889549, 0.609330118, 1.25911164, 2.77528334});
}

}  // namespace edm2
