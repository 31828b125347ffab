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
