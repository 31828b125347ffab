#include "edm2/toy/network.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "edm2/core/error.h"
#include "edm2/io/pickle.h"
#include "edm2/toy/explore.h"
#include "edm2/toy/train.h"
#include "support/golden.h"
#include "support/recording_progress.h"

namespace edm2::toy {
namespace {

Network small_network(uint64_t seed = 3) {
  at::manual_seed(seed);
  Network network({.num_layers = 2, .hidden_dim = 8, .sigma_data = 0.5});
  network.parameters()[0].fill_(0.4);
  return network;
}

}  // namespace

TEST(ToyNetwork, ScoreIsTheGradient) {
  const Network network = small_network();
  const Tensor x = at::randn({5, 2}), sigma = at::rand({5}) + 0.5;
  const Tensor score = network.score(x, sigma);
  for (int64_t axis = 0; axis < 2; ++axis) {
    Tensor step = at::zeros({1, 2});
    step[0][axis] = 1e-2;
    const Tensor slope =
        (network.log_density(x + step, sigma) - network.log_density(x - step, sigma)) / 2e-2;
    EXPECT_LE(test::max_difference(score.select(1, axis), slope), 2e-3);
  }
}

TEST(ToyNetwork, NormalisationKeepsTheFunction) {
  Network network = small_network();
  const Tensor x = at::randn({5, 2}), sigma = at::tensor(0.7f);
  const Tensor before = network.log_density(x, sigma);
  network.normalize_weights();
  EXPECT_LE(test::relative_error(network.log_density(x, sigma), before), 1e-3);
  EXPECT_NEAR(network.parameters()[2].norm(2, -1).mean().item<double>(), std::sqrt(8.0), 1e-3);
}

TEST(ToyNetwork, SnapshotsComeBack) {
  test::TempDir dir;
  const Network network = small_network();
  save_network(dir / "net.pkl", network);
  const Network loaded = load_network(dir / "net.pkl");
  EXPECT_EQ(loaded.options(), network.options());
  for (size_t i = 0; i < network.parameters().size(); ++i)
    EXPECT_TRUE(at::equal(loaded.parameters()[i], network.parameters()[i]));
}

TEST(ToyNetwork, RefusesOtherFiles) {
  test::TempDir dir;
  write_pickle_file(dir / "other.pkl", PickleValue::dict({{"ema", 3}}));
  try {
    load_network(dir / "other.pkl");
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("other.pkl' is not a network of the toy example"),
              std::string::npos);
  }
  EXPECT_THROW(Network({.num_layers = -1}), Error);
  EXPECT_THROW(Network({.hidden_dim = 0}), Error);
}

TEST(ToyTraining, WritesSnapshotsAndLearns) {
  test::TempDir dir;
  TrainOptions options;
  options.network = {.num_layers = 1, .hidden_dim = 16};
  options.batch_size = 256;
  options.iterations = 60;
  options.snapshot_iterations = 25;
  options.outdir = dir / "run";
  test::RecordingProgress progress;
  std::vector<int64_t> seen;
  const Network network = train(
      options, progress, [&](const Trainer& trainer) { seen.push_back(trainer.iteration()); });
  EXPECT_EQ(seen.size(), 60u);
  EXPECT_TRUE(std::filesystem::exists(dir / "run" / "iter0025.pkl"));
  EXPECT_TRUE(std::filesystem::exists(dir / "run" / "iter0050.pkl"));
  Trainer again(options);
  const double first = again.step();
  double last = 0;
  for (int i = 1; i < 60; ++i) last = again.step();
  EXPECT_LT(last, 0.97 * first);
  EXPECT_TRUE(at::equal(network.parameters()[1], again.ema().parameters()[1])) << "repeatable";
}

TEST(ToyExploration, TheDataJudgeThemselves) {
  const ExactModel exact{Mixture("A")};
  ExploreOptions options;
  options.num_samples = 1000;
  options.outlier_quantile = 0.01;
  options.guidances = {1, 3};
  test::RecordingProgress progress;
  const auto rows =
      explore_guidance(exact, {{"itself", &exact}, {"again", &exact}}, options, progress);
  ASSERT_EQ(rows.size(), 5u);
  EXPECT_EQ(rows[0].guide, "data");
  EXPECT_EQ(rows[3].guide, "again");
  EXPECT_EQ(rows[3].outliers, rows[1].outliers) << "weight 1 is no guidance";
  for (const ExploreRow& row : rows) {  // a model guided by itself is itself
    EXPECT_LT(row.outliers, 0.025) << row.guide;
    EXPECT_GT(row.coverage, 0.9) << row.guide;
  }
  const std::string csv = to_csv(rows);
  EXPECT_TRUE(csv.starts_with("guide,guidance,outliers,mean_log_density,coverage\ndata,1,"));
  options.outlier_quantile = 0;
  EXPECT_THROW(explore_guidance(exact, {}, options, progress), UsageError);
}

TEST(ToyExploration, AnimationIsAWebpFile) {
  const ExactModel exact{Mixture("A")};
  SamplerOptions sampler = default_sampler_options();
  sampler.num_steps = 3;
  const auto trajectories = sample_trajectories(exact, nullptr, at::randn({32, 2}) * 5, sampler);
  EXPECT_EQ(trajectories.positions.sizes(), at::IntArrayRef({4, 32, 2}));
  test::RecordingProgress progress;
  const auto bytes = animate_trajectories(trajectories, 64, progress);
  ASSERT_GT(bytes.size(), 100u);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(bytes.data()), 4), "RIFF");
}

}  // namespace edm2::toy
