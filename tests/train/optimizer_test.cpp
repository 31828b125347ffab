// One pass over the parameters against Adam and the averages one after the other.
#include "edm2/train/optimizer.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <limits>

#include "edm2/core/cpu.h"
#include "support/golden.h"
#include "train/update_kernels.h"

namespace edm2 {
namespace {

NetworkOptions small_network() {
  NetworkOptions o;
  o.img_resolution = 8;
  o.img_channels = 3;
  o.label_dim = 3;
  o.model_channels = 16;
  o.channel_mult = {1, 2};
  o.num_blocks = 1;
  o.attn_resolutions = {4};
  o.channels_per_head = 16;
  return o;
}

struct Training {
  Training()
      : network((at::manual_seed(3), small_network())),
        adam(network),
        ema(start_averages(network, {0.05, 0.1})) {
    network.requires_grad(true);
  }

  void set_gradients(int step) {
    at::manual_seed(static_cast<uint64_t>(100 + step));
    for (auto& parameter : network.named_parameters())
      parameter.tensor->mutable_grad() =
          at::randn(parameter.tensor->sizes()).mul_(step % 2 == 0 ? 1.0 : 1e-4);
    if (step != 2) return;
    auto bad = network.named_parameters()[5].tensor->mutable_grad().flatten();
    constexpr float infinity = std::numeric_limits<float>::infinity();
    bad[0].fill_(infinity);
    bad[1].fill_(-infinity);
    bad[bad.numel() - 1].fill_(std::nanf(""));
  }

  StateDict everything() {
    StateDict all = network.state_dict();
    for (size_t i = 0; i < 2; ++i)
      for (const auto& entry : ema.weights(i)) all.push_back(entry);
    for (const auto& moments : adam.moments) {
      all.emplace_back("exp_avg", moments.exp_avg);
      all.emplace_back("exp_avg_sq", moments.exp_avg_sq);
    }
    for (const auto& parameter : network.named_parameters())
      all.emplace_back(parameter.name + " gradient", parameter.tensor->grad());
    return all;
  }

  Precond network;
  Adam adam;
  PowerFunctionEma ema;
};

/// Five steps in one pass each.
StateDict fused_steps(int threads) {
  const int before = at::get_num_threads();
  at::set_num_threads(threads);
  Training training;
  for (int step = 0; step < 5; ++step) {
    training.set_gradients(step);
    update_weights(training.network, training.adam, 0.01, training.ema, (step + 1) * 64, 64);
  }
  at::set_num_threads(before);
  return training.everything();
}

}  // namespace

TEST(UpdateWeights, IsAdamAndThenTheAverages) {
  Training plain;
  for (int step = 0; step < 5; ++step) {
    plain.set_gradients(step);
    zero_nonfinite_gradients(plain.network);
    plain.adam.step(plain.network, 0.01);
    plain.ema.update(plain.network.state_dict(), (step + 1) * 64, 64);
  }
  const StateDict expected = plain.everything(), actual = fused_steps(2);
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i)
    EXPECT_LE(test::relative_error(actual[i].second.detach(), expected[i].second.detach()), 3e-7)
        << actual[i].first;
  for (const auto& moments : plain.adam.moments) EXPECT_EQ(moments.step, 5);
}

TEST(UpdateWeights, DoesNotDependOnThreads) {
  const StateDict two = fused_steps(2), one = fused_steps(1);
  for (size_t i = 0; i < one.size(); ++i)
    EXPECT_TRUE(one[i].second.equal(two[i].second)) << one[i].first;
}

TEST(UpdateWeights, WithoutGradientNothingMoves) {
  // A parameter without a gradient, as the uncertainty head has if it is not asked for.
  Training training;
  training.set_gradients(0);
  auto last = training.network.named_parameters().back();
  last.tensor->mutable_grad() = Tensor();
  const Tensor before = last.tensor->detach().clone();
  update_weights(training.network, training.adam, 0.01, training.ema, 64, 64);
  EXPECT_TRUE(last.tensor->detach().equal(before));
  EXPECT_EQ(training.adam.moments.back().step, 0);
  EXPECT_EQ(training.adam.moments.front().step, 1);
}

TEST(UpdateWeights, InstructionSetsGiveTheSameBits) {
  constexpr int64_t size = 1003;
  update_kernels::Rates rates{0.1f, 0.99f, 0.01f, 0.3f, 1e-8f, -0.02f, 2, {0.02f, 0.9f}};
  const auto run = [&](update_kernels::Update update) {
    at::manual_seed(1);
    Tensor all = at::randn({6, size});
    all[1][17].fill_(std::nanf(""));
    all[3].abs_();
    float* data = all.mutable_data_ptr<float>();
    update_kernels::Parts parts{
        data, data + size, data + 2 * size, data + 3 * size, {data + 4 * size, data + 5 * size}};
    EXPECT_EQ(update(parts, size, rates), 1);
    EXPECT_EQ(all[1][17].item<float>(), 0);
    return all;
  };
  const Tensor expected = run(update_kernels::update_portable);
  EXPECT_TRUE(expected.isfinite().all().item<bool>());
  if (highest_cpu_level() >= CpuLevel::avx2) {
    EXPECT_TRUE(run(update_kernels::update_avx2).equal(expected));
  }
  if (highest_cpu_level() >= CpuLevel::avx512) {
    EXPECT_TRUE(run(update_kernels::update_avx512).equal(expected));
  }
}

}  // namespace edm2
