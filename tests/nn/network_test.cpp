// Known answers of the network's building blocks and initial weights.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "edm2/core/random.h"
#include "edm2/nn/network.h"
#include "edm2/nn/state_layout.h"
#include "support/golden.h"
#include "support/small_models.h"

namespace edm2 {
namespace {

void expect_values(const Tensor& actual, std::vector<float> expected, double tolerance = 1e-6) {
  EXPECT_LE(test::max_difference(actual.flatten(), at::tensor(expected)), tolerance) << actual;
}

// The example of the specification.
NetworkOptions example_options() { return test::tiny_options(/*label_dim=*/10); }

NetworkOptions preset_options(int64_t channels, int64_t img_channels) {
  NetworkOptions options;
  options.img_resolution = 64;
  options.img_channels = img_channels;
  options.label_dim = 1000;
  options.model_channels = channels;
  return options;
}

Tensor named(Precond& network, const std::string& name) {
  const Tensor tensor = find_tensor(network.state_dict(), name);
  EXPECT_TRUE(tensor.defined()) << name;
  return tensor;
}

}  // namespace

TEST(Layers, NormalizeRows) {
  expect_values(normalize(at::tensor({3.f, 4.f, 0.f, 0.f, 1e-3f, 0.f}).reshape({3, 2})),
                {0.84850419f, 1.13133883f, 0, 0, 1.23899353f, 0});
}

TEST(Layers, MagnitudePreservingFunctions) {
  expect_values(mp_silu(at::tensor({-1.f, 0.f, 1.f, 2.f})),
                {-0.45124400f, 0, 1.22660840f, 2.95569468f});
  const Tensor a = at::tensor({1.f, -2.f}), b = at::tensor({3.f, 0.5f});
  expect_values(mp_sum(a, b, 0.3), {2.10090303f, -1.64133036f});
  expect_values(mp_sum(a, b, 0.5), {2.82842708f, -1.06066024f});
  expect_values(mp_cat(at::ones({1, 2}), at::ones({1, 6}), 0.5),
                {1.41421354f, 1.41421354f, 0.81649661f, 0.81649661f, 0.81649661f, 0.81649661f,
                 0.81649661f, 0.81649661f});
}

TEST(Layers, ResampleHalvesByMeanAndDoublesByRepetition) {
  const Tensor x = at::arange(16, at::kFloat).reshape({1, 1, 4, 4});
  expect_values(resample(x, {1, 1}, Resample::down), {2.5f, 4.5f, 10.5f, 12.5f});
  const Tensor doubled = resample(x, {1, 1}, Resample::up);
  EXPECT_TRUE(doubled.equal(x.repeat_interleave(2, 2).repeat_interleave(2, 3)));
  EXPECT_TRUE(resample(x, {1, 1}, Resample::keep).is_same(x));
}

TEST(Layers, FourierFeatures) {
  MPFourier fourier(4);
  std::vector<NamedTensor> tensors;
  fourier.collect("f", tensors);
  *tensors[0].tensor = at::tensor({1.f, 2.f, 3.f, 4.f});
  *tensors[1].tensor = at::tensor({0.f, 0.5f, 1.f, 1.5f});
  expect_values(fourier.forward(at::tensor({0.f, 0.25f})),
                {1.41421354f, 1.24108911f, 0.76410288f, 0.10003750f, 1.37024903f, 0.76410288f,
                 -0.25207797f, -1.13298810f});
}

TEST(Network, LayoutOfTheExample) {
  Precond network(example_options());
  EXPECT_EQ(network.num_parameters(), 181691);
  const auto layout = state_layout(example_options());
  const auto tensors = network.named_tensors();
  ASSERT_EQ(layout.size(), tensors.size());
  int64_t buffers = 0;
  for (size_t i = 0; i < layout.size(); ++i) {
    EXPECT_EQ(layout[i].name, tensors[i].name);
    EXPECT_EQ(at::IntArrayRef(layout[i].shape), tensors[i].tensor->sizes()) << layout[i].name;
    EXPECT_EQ(layout[i].is_buffer, tensors[i].is_buffer);
    if (layout[i].is_buffer) buffers += tensors[i].tensor->numel();
  }
  EXPECT_EQ(buffers, 288);
}

TEST(Network, ParameterCountsOfThePresets) {
  const auto count = [](const NetworkOptions& options) {
    int64_t total = 0;
    for (const auto& entry : state_layout(options)) {
      if (entry.is_buffer) continue;
      int64_t size = 1;
      for (const int64_t n : entry.shape) size *= n;
      total += size;
    }
    return total;
  };
  EXPECT_EQ(count(preset_options(64, 4)), 31309029);
  EXPECT_EQ(count(preset_options(128, 4)), 124713253);
  EXPECT_EQ(count(preset_options(192, 4)), 280212837);
  EXPECT_EQ(count(preset_options(448, 4)), 1523164773);
  EXPECT_EQ(count(preset_options(128, 3)), 124710949);
  EXPECT_EQ(count(preset_options(384, 3)), 1119276837);
  NetworkOptions unconditional = preset_options(192, 4);
  unconditional.label_dim = 0;
  EXPECT_EQ(count(unconditional), 279444837);
}

TEST(Network, InitialWeightsOfTheExample) {
  at::manual_seed(397586535);
  Precond network(example_options());
  const auto check = [&](const std::string& name, float first, float second, double sum) {
    const Tensor tensor = named(network, name).flatten();
    EXPECT_FLOAT_EQ(tensor[0].item<float>(), first) << name;
    EXPECT_FLOAT_EQ(tensor[1].item<float>(), second) << name;
    EXPECT_NEAR(tensor.to(at::kDouble).sum().item<double>(), sum, 2e-6 * (1 + std::abs(sum)))
        << name;
  };
  check("unet.emb_fourier.freqs", 8.1058226f, 7.4955659f, 32.270578);
  check("unet.emb_fourier.phases", 4.1513186f, 1.3371575f, 51.386299);
  check("unet.emb_noise.weight", -0.035464387f, 0.37232426f, 24.278832);
  check("unet.emb_label.weight", 0.69971418f, 0.54727024f, 7.183290);
  check("unet.enc.8x8_conv.weight", -0.14291106f, 1.0826923f, 13.372318);
  check("unet.out_conv.weight", 0.5921793f, -1.0413003f, 45.049597);
  check("logvar_linear.weight", 0.76876462f, 0.0047942824f, 1.966541);
}

TEST(Network, InitialWeightsOfXxs) {
  at::manual_seed(397586535);
  Precond network(preset_options(64, 4));
  const auto sum = [&](const std::string& name) {
    return named(network, name).to(at::kDouble).sum().item<double>();
  };
  EXPECT_NEAR(sum("unet.emb_fourier.freqs"), 10.108166, 1e-5);
  EXPECT_NEAR(sum("unet.emb_label.weight"), 657.739197, 1e-3);
  EXPECT_NEAR(sum("unet.enc.64x64_conv.weight"), 52.057297, 1e-4);
  EXPECT_NEAR(sum("unet.out_conv.weight"), 24.284372, 1e-4);
  EXPECT_NEAR(sum("logvar_linear.weight"), -7.812352, 1e-5);
  EXPECT_FLOAT_EQ(named(network, "unet.out_conv.weight").flatten()[0].item<float>(), 1.2146344f);
}

class ExampleForward : public testing::Test {
 protected:
  void SetUp() override {
    at::manual_seed(397586535);
    network = std::make_unique<Precond>(example_options());
    for (auto& entry : network->named_parameters()) {
      if (entry.name.ends_with("emb_gain")) entry.tensor->fill_(0.5);
      if (entry.name.ends_with("out_gain")) entry.tensor->fill_(1);
    }
    x = at::arange(2 * 3 * 8 * 8, at::kFloat).mul(0.37).sin().reshape({2, 3, 8, 8});
    sigma = at::tensor({0.3f, 5.f});
    labels = at::zeros({2, 10});
    labels[0][3] = 1;
    labels[1][7] = 1;
  }
  void expect(const Tensor& denoised, std::vector<float> first, double sum) {
    expect_values(denoised.flatten().narrow(0, 0, static_cast<int64_t>(first.size())), first, 1e-5);
    EXPECT_NEAR(denoised.to(at::kDouble).sum().item<double>(), sum, 2e-4);
  }
  std::unique_ptr<Precond> network;
  Tensor x, sigma, labels;
};

TEST_F(ExampleForward, WithAndWithoutLabels) {
  const auto out = network->forward(x, sigma, labels, true);
  expect(out.denoised, {-0.3633263f, -0.0000962f, 0.3941572f, 0.6468817f}, 63.131736);
  expect_values(out.logvar, {0.41453922f, -0.85797149f}, 1e-5);
  expect(network->denoise(x, sigma, {}), {-0.2971088f, 0.0515858f, 0.3966792f}, 58.875908);
}

TEST_F(ExampleForward, Float16WeightsRoundTheGains) {
  network->to(at::kHalf);
  expect(network->denoise(x, sigma, labels), {-0.3631870f, 0.0000895f, 0.3942818f}, 63.157987);
}

TEST_F(ExampleForward, TrainingForcesNormalisedWeights) {
  const auto row_rms = [&] {
    return named(*network, "unet.out_conv.weight")[0].square().mean().sqrt().item<float>();
  };
  network->context.training = true;
  EXPECT_NEAR(row_rms(), 0.958667, 1e-6);
  expect(network->denoise(x, sigma, labels), {-0.3633288f, -0.0000981f, 0.3941601f}, 63.132580);
  EXPECT_NEAR(row_rms(), 0.999896, 1e-6);
  network->denoise(x, sigma, labels);
  EXPECT_NEAR(row_rms(), 0.999900, 1e-6);
}

TEST_F(ExampleForward, UntrainedNetworkReturnsSkipPath) {
  Precond fresh(example_options());
  const Tensor c_skip = at::tensor({0.735294118f, 0.00990099010f}).reshape({2, 1, 1, 1});
  EXPECT_LE(test::relative_error(fresh.denoise(x, sigma, labels), x * c_skip), 1e-6);
}

}  // namespace edm2
