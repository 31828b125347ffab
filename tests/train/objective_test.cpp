#include "train/objective.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "support/small_models.h"
#include "train/round_draws.h"

namespace edm2 {

TEST(Objective, DenoisingIsTheLossOfEdm2) {
  TrainOptions options;
  options.P_mean = -1;
  options.P_std = 1.5;
  options.network = test::tiny_options(0, 8, 8);
  options.network.sigma_data = 0.7;
  const auto objective = make_objective(options);
  const LossOptions settings = objective->settings(options);
  EXPECT_EQ(settings, (LossOptions{-1, 1.5, 0.7}));
  EXPECT_EQ(objective->config(options).at("P_std"), 1.5);

  at::manual_seed(1);
  Precond network(options.network);
  const Tensor images = at::randn({2, 3, 8, 8});
  for (const Streams streams : {Streams::rank, Streams::image}) {
    options.streams = streams;
    const auto draws = [&] {
      at::manual_seed(2);
      return draws_for(options, at::kCPU, {5, 6});
    };
    const LossTerms ours = objective->loss(
        network, settings, {.images = images, .labels = {}, .cur_nimg = 4}, draws());
    const LossTerms plain = edm2_loss(network, images, {}, settings, draws().normal);
    EXPECT_TRUE(ours.loss.equal(plain.loss));
    EXPECT_TRUE(ours.sigma.equal(plain.sigma));
  }
}

TEST(RoundDraws, OfAnImageDependOnItsPlaceAlone) {
  TrainOptions options;
  options.streams = Streams::image;
  const RoundDraws both = draws_for(options, at::kCPU, {5, 6}),
                   second = draws_for(options, at::kCPU, {6});
  EXPECT_TRUE(both.normal(at::zeros({2, 3}))[1].equal(second.normal(at::zeros({1, 3}))[0]));
  EXPECT_TRUE(
      both.dropout(at::ones({2, 9}), 0.5)[1].equal(second.dropout(at::ones({1, 9}), 0.5)[0]));
  const auto group = ProcessGroup::single();
  EXPECT_EQ(positions_of_round(*group, 8, 2, 1), (std::vector<int64_t>{10, 11}));
}

}  // namespace edm2
