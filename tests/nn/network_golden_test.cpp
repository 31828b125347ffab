// The network against activations, outputs and gradients of the original.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <map>

#include "edm2/core/random.h"
#include "edm2/nn/network.h"
#include "support/golden.h"

namespace edm2 {

using test::relative_error;

class DenoiserGolden : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { EDM2_REQUIRE_REFERENCE(); }
  std::filesystem::path file(const std::string& extension) const {
    return test::reference_dir() / "denoiser" / (GetParam() + extension);
  }
};

TEST_P(DenoiserGolden, InferenceWithStoredWeights) {
  const NpzFile expected(file(".npz"));
  Precond network(load_snapshot(file(".pkl")));
  const Tensor x = expected.get("x"), sigma = expected.get("sigma");
  const Tensor labels = expected.contains("labels") ? expected.get("labels") : Tensor();
  const auto out = network.forward(x, sigma, labels, true);
  EXPECT_LE(relative_error(out.denoised, expected.get("D_x")), 1e-5);
  EXPECT_LE(relative_error(out.logvar, expected.get("logvar")), 1e-5);
  if (expected.contains("D_x_nolabels")) {
    EXPECT_LE(relative_error(network.denoise(x, sigma, {}), expected.get("D_x_nolabels")), 1e-5);
  }
  EXPECT_LE(relative_error(network.denoise(x, at::scalar_tensor(0.5), labels),
                           expected.get("D_x_scalar_sigma0p5")),
            1e-5);
}

TEST_P(DenoiserGolden, InferenceWithFloat32WeightsAndActivations) {
  const NpzFile expected(file(".npz"));
  Precond network(load_snapshot(file(".pkl")));
  network.to(at::kFloat);
  std::map<std::string, Tensor> activations;
  network.context.observe = [&](const std::string& name, const Tensor& output) {
    if (name.starts_with("unet.")) activations["act_" + name.substr(5)] = output.clone();
  };
  const Tensor labels = expected.contains("labels") ? expected.get("labels") : Tensor();
  const auto out = network.forward(expected.get("x"), expected.get("sigma"), labels, true);
  EXPECT_LE(relative_error(out.denoised, expected.get("D_x_fp32weights")), 1e-5);
  EXPECT_LE(relative_error(out.logvar, expected.get("logvar_fp32weights")), 1e-5);
  int compared = 0;
  for (const auto& name : expected.names()) {
    if (!name.starts_with("act_")) continue;
    SCOPED_TRACE(name);
    ASSERT_TRUE(activations.count(name));
    Tensor actual = activations[name];
    const Tensor stored = expected.get(name);
    if (stored.dim() == 4) {
      actual = actual.narrow(0, 1, 1);  // sample 1 alone is stored, large maps every second pixel
      if (actual.size(2) != stored.size(2))
        actual = actual.slice(2, 0, INT64_MAX, 2).slice(3, 0, INT64_MAX, 2);
    }
    EXPECT_LE(relative_error(actual, stored), 1e-5);
    ++compared;
  }
  if (GetParam() == "rgb16_cond") {
    EXPECT_GE(compared, 14);
  }
}

TEST_P(DenoiserGolden, LossGradientsAndForcedNormalisation) {
  const NpzFile expected(file(".npz"));
  Precond network(load_snapshot(file(".pkl")));
  network.to(at::kFloat);
  network.requires_grad(true);
  network.context.training = true;
  int masks_used = 0;
  network.context.dropout = [&](const Tensor& y, double p) {
    char name[32];
    std::snprintf(name, sizeof name, "dropmask%02d", masks_used++);
    const Tensor mask = test::unpack_bits(expected.get(name + std::string("_bits")),
                                          expected.get(name + std::string("_shape")));
    return y * mask.div(1 - p);
  };

  const Tensor images = expected.get("train_images");
  const double P_mean = expected.get("train_P_mean").item<double>();
  const double P_std = expected.get("train_P_std").item<double>();
  const double sd = network.options().sigma_data;
  at::manual_seed(static_cast<uint64_t>(expected.get("train_seed").item<int64_t>()));
  const Tensor rnd_normal = at::randn({images.size(0), 1, 1, 1});
  const Tensor noise = at::randn_like(images);
  EXPECT_LE(test::max_difference(rnd_normal, expected.get("train_rnd_normal")), 1e-6);
  EXPECT_LE(test::max_difference(noise, expected.get("train_noise")), 1e-6);

  const Tensor sigma = (rnd_normal * P_std + P_mean).exp();
  const Tensor weight = (sigma.pow(2) + sd * sd) / (sigma * sd).pow(2);
  const Tensor labels = expected.contains("labels") ? expected.get("labels") : Tensor();
  const auto [denoised, logvar] = network.forward(images + noise * sigma, sigma, labels, true);
  const Tensor loss = (weight / logvar.exp()) * (denoised - images).pow(2) + logvar;
  EXPECT_LE(relative_error(loss, expected.get("train_loss")), 1e-5);
  loss.sum().div(4).backward();

  const auto names = expected.get_strings("grad_names");
  const Tensor norms = expected.get("grad_norms"), sums = expected.get("after_sum"),
               squares = expected.get("after_sumsq");
  const auto parameters = network.named_parameters();
  ASSERT_EQ(parameters.size(), names.size());
  const double largest = norms.max().item<double>();
  for (size_t i = 0; i < parameters.size(); ++i) {
    SCOPED_TRACE(names[i]);
    const auto k = static_cast<int64_t>(i);
    EXPECT_EQ(parameters[i].name, names[i]);
    const Tensor grad = parameters[i].tensor->grad();
    const double norm = grad.to(at::kDouble).norm().item<double>();
    EXPECT_NEAR(norm, norms[k].item<double>(),
                5e-4 * std::max(norms[k].item<double>(), 1e-3 * largest));
    if (expected.contains("grad." + names[i])) {
      EXPECT_LE(relative_error(grad, expected.get("grad." + names[i])), 5e-4);
    }
    const Tensor after = parameters[i].tensor->detach().to(at::kDouble);
    EXPECT_NEAR(after.sum().item<double>(), sums[k].item<double>(),
                1e-5 * std::max(1.0, after.abs().sum().item<double>()));
    EXPECT_NEAR(after.square().sum().item<double>(), squares[k].item<double>(),
                1e-5 * squares[k].item<double>());
    if (expected.contains("after." + names[i])) {
      EXPECT_LE(relative_error(after, expected.get("after." + names[i])), 1e-5);
    }
  }
  if (network.options().dropout > 0) {
    EXPECT_TRUE(expected.contains("dropmask00_bits"));
    EXPECT_EQ(masks_used, 10);
  }
}

INSTANTIATE_TEST_SUITE_P(Reference, DenoiserGolden,
                         testing::Values("rgb16_cond", "rgb16_uncond", "rgb8_multihead",
                                         "lat8_cond_drop"),
                         [](const auto& parameter) { return parameter.param; });

TEST(ReleasedLayoutGolden, SnapshotOfAnOlderTorch) {
  EDM2_REQUIRE_REFERENCE();
  const auto folder = test::reference_dir() / "denoiser";
  const NpzFile expected(folder / "released_layout_torch21.npz");
  Precond network(load_snapshot(folder / "released_layout_torch21.pkl"));
  Tensor labels;
  if (network.label_dim() > 0)
    labels = at::one_hot(expected.get("label_index").flatten(), network.label_dim());
  const auto out =
      network.forward(expected.get("x").to(at::kFloat), expected.get("sigma"), labels, true);
  EXPECT_LE(relative_error(out.denoised.slice(2, 0, INT64_MAX, 2).slice(3, 0, INT64_MAX, 2),
                           expected.get("D_x_every2")),
            1e-5);
  EXPECT_NEAR(out.denoised.to(at::kDouble).square().sum().item<double>(),
              expected.get("D_sumsq64").to(at::kDouble).sum().item<double>(),
              1e-5 * expected.get("D_sumsq64").to(at::kDouble).sum().item<double>());
  EXPECT_LE(relative_error(out.logvar, expected.get("logvar")), 1e-5);
}

}  // namespace edm2
