#include "edm2/ema/power_function.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "support/small_models.h"

namespace edm2 {

TEST(PowerFunction, WidthsAndExponents) {
  EXPECT_NEAR(exp_to_std(0.5), 0.261861468283191, 1e-14);
  EXPECT_NEAR(exp_to_std(16.97), 0.050005488615774, 1e-14);
  EXPECT_NEAR(std_to_exp(0.010), 96.9948978237, 1e-9);
  EXPECT_NEAR(std_to_exp(0.050), 16.9721986023, 1e-9);
  EXPECT_NEAR(std_to_exp(0.100), 6.9372039376, 1e-9);
  EXPECT_NEAR(std_to_exp(0.288), 0.0139374361102, 1e-11);
  for (double std = 0.002; std < 0.288; std += 0.001)
    EXPECT_NEAR(exp_to_std(std_to_exp(std)), std, 1e-12);
}

TEST(PowerFunction, DecayFactors) {
  EXPECT_EQ(power_function_beta(0.05, 2048, 2048), 0);
  EXPECT_NEAR(power_function_beta(0.05, 4096, 2048), 3.88892110520422e-06, 1e-16);
  EXPECT_NEAR(power_function_beta(0.10, 4096, 2048), 0.00408003165965019, 1e-14);
  EXPECT_NEAR(power_function_beta(0.10, int64_t{1} << 31, 2048), 0.9999924305175, 1e-13);
}

TEST(PowerFunctionEma, FirstUpdateCopiesAndLaterOnesAverage) {
  Precond network(test::tiny_options(/*label_dim=*/0));
  PowerFunctionEma ema(network.state_dict(), {0.05, 0.10});
  const auto weight = [&](const StateDict& state) {
    return find_tensor(state, "unet.out_conv.weight");
  };
  const Tensor before = weight(network.state_dict()).clone();
  for (auto& parameter : network.named_parameters()) parameter.tensor->mul_(2);
  EXPECT_TRUE(weight(ema.weights(0)).equal(before));
  ema.update(network.state_dict(), 2048, 2048);
  EXPECT_TRUE(weight(ema.weights(1)).equal(before * 2));
  for (auto& parameter : network.named_parameters()) parameter.tensor->mul_(2);
  ema.update(network.state_dict(), 4096, 2048);
  const double beta = power_function_beta(0.10, 4096, 2048);
  const Tensor expected = before * (2 * beta + 4 * (1 - beta));
  EXPECT_TRUE(weight(ema.weights(1)).allclose(expected, 1e-6, 1e-7));
}

TEST(PowerFunctionEma, BuffersOfAnyNetworkAreCopied) {
  const StateDict live = {{"weight", at::ones({3})},
                          {"running_mean", at::ones({3})},
                          {"count", at::full({}, 1, at::kLong)}};
  PowerFunctionEma ema(live, {0.1}, {"running_mean"});
  for (const auto& [name, tensor] : live) tensor.mul_(5);
  ema.update(live, 10, 1);
  const auto value = [&](const char* name) {
    return find_tensor(ema.weights(0), name).reshape({-1})[0].item<double>();
  };
  const double beta = power_function_beta(0.1, 10, 1);
  EXPECT_NEAR(value("weight"), beta + 5 * (1 - beta), 1e-6);
  EXPECT_EQ(value("running_mean"), 1);
  EXPECT_EQ(value("count"), 1);
  ema.copy_buffers(live);
  EXPECT_EQ(value("running_mean"), 5);
  EXPECT_EQ(value("count"), 5);
  EXPECT_THROW(ema.update({{"other", at::ones({3})}}, 11, 1), c10::Error);
}

}  // namespace edm2
