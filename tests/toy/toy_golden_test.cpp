// The toy example against numbers of the original.
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>

#include "edm2/toy/mixture.h"
#include "edm2/toy/models.h"
#include "edm2/toy/network.h"
#include "edm2/toy/train.h"
#include "support/golden.h"

namespace edm2::toy {
namespace {

namespace fs = std::filesystem;

at::Generator generator_of(const Tensor& seed) {
  return at::detail::createCPUGenerator(static_cast<uint64_t>(seed.item<int64_t>()));
}

class ToyGolden : public testing::Test {
 protected:
  void SetUp() override {
    EDM2_REQUIRE_REFERENCE();
    numbers = std::make_unique<NpzFile>(test::reference_dir() / "toy" / "toy.npz");
  }
  Tensor stored(const std::string& name) const { return numbers->get(name); }
  Network snapshot(const std::string& name) const {
    return load_network(test::reference_dir() / "toy" / "snap" / (name + ".pkl"));
  }

  std::unique_ptr<NpzFile> numbers;
};

TEST_F(ToyGolden, Mixtures) {
  for (const std::string letter : {"A", "B"}) {
    const Mixture mixture(letter);
    const std::string prefix = "gt" + letter + ".";
    EXPECT_EQ(mixture.weights().size(0), 1016);
    EXPECT_LE(test::relative_error(mixture.weights(), stored(prefix + "phi")), 1e-7);
    EXPECT_LE(test::relative_error(mixture.means(), stored(prefix + "mu")), 1e-7);
    EXPECT_LE(test::relative_error(mixture.covariances(), stored(prefix + "Sigma")), 1e-7);
    EXPECT_LE(test::relative_error(mixture.variances(), stored(prefix + "L")), 1e-6);
    EXPECT_TRUE(at::equal(mixture.table_begin(), stored(prefix + "lut_begin")));
  }
}

TEST_F(ToyGolden, DensitiesAndScores) {
  const Tensor x = stored("points");
  for (const std::string letter : {"A", "B"}) {
    const Mixture mixture(letter);
    const std::pair<const char*, Tensor> levels[] = {{"s0", at::tensor(0.0f)},
                                                     {"s0p1", at::tensor(0.1f)},
                                                     {"s5", at::tensor(5.0f)},
                                                     {"svec", stored("sigma")}};
    for (const auto& [name, sigma] : levels) {
      const auto [log_density, score] = mixture.density(x, sigma);
      const std::string prefix = "gt" + letter + ".";
      EXPECT_LE(test::relative_error(log_density.exp(), stored(prefix + "pdf_" + name)), 1e-5)
          << name;
      // Far from the data the original's density underflows, and loses its digits before.
      const Tensor expected = stored(prefix + "logp_" + name),
                   expected_score = stored(prefix + "score_" + name);
      const Tensor known = stored(prefix + "pdf_" + name) > 1e-30;
      EXPECT_TRUE(log_density.isfinite().all().item<bool>());
      EXPECT_LE(
          test::relative_error(log_density.masked_select(known), expected.masked_select(known)),
          1e-5)
          << name;
      const Tensor known_score = known.unsqueeze(1);
      EXPECT_LE(test::relative_error(score.masked_select(known_score),
                                     expected_score.masked_select(known_score)),
                1e-5)
          << name;
    }
  }
}

TEST_F(ToyGolden, Samples) {
  for (const std::string letter : {"A", "B"}) {
    const Mixture mixture(letter);
    const std::string prefix = "gt" + letter + ".";
    const auto expect = [&](const char* name, int64_t count, const Tensor& sigma) {
      const Tensor points =
          mixture.sample(count, sigma, generator_of(stored(prefix + "sample_seed")));
      EXPECT_LE(test::relative_error(points, stored(prefix + name)), 1e-6) << name;
    };
    expect("sample256_s0", 256, at::tensor(0.0f));
    expect("sample256_s5", 256, at::tensor(5.0f));
    expect("sample24_svec", 24, stored("sigma"));
  }
}

TEST_F(ToyGolden, InitialWeightsAndModel) {
  at::manual_seed(0);
  Network network{NetworkOptions{}};
  const auto names = network.parameter_names();
  EXPECT_EQ(network.parameters()[0].item<float>(), 0);
  network.parameters()[0].fill_(0.7);  // as in the stored network
  for (size_t i = 0; i < names.size(); ++i)
    EXPECT_TRUE(at::equal(network.parameters()[i], stored("init." + names[i]))) << names[i];
  const Tensor x = stored("points"), sigma = stored("model.sigma");
  EXPECT_LE(test::relative_error(network.log_density(x, sigma), stored("model.logp")), 1e-5);
  EXPECT_LE(test::relative_error(network.score(x, sigma), stored("model.score")), 1e-5);
  const Tensor log_density = network.log_density(x, at::tensor(1.0f));
  EXPECT_LE(test::relative_error((log_density - log_density.max()).exp(), stored("model.pdf_s1")),
            1e-5);
}

TEST_F(ToyGolden, Training) {
  struct Run {
    const char* name;
    const char* classes;
    int64_t hidden_dim, batch_size, iterations;
    const char* snapshot;
  };
  const Run runs[] = {{"train0", "A", 64, 4096, 10, "clsA-layers04-dim64-b4096-iter0010"},
                      {"train1", "A", 64, 1024, 150, "clsA-layers04-dim64-b1024-iter0150"},
                      {"train2", "A", 32, 1024, 60, "clsA-layers04-dim32-b1024-iter0060"},
                      {"train3", "AB", 32, 1024, 60, "clsAB-layers04-dim32-b1024-iter0060"}};
  for (const Run& run : runs) {
    TrainOptions options;
    options.classes = run.classes;
    options.network.hidden_dim = run.hidden_dim;
    options.batch_size = run.batch_size;
    Trainer trainer(options);
    const Tensor expected = stored(std::string(run.name) + ".loss");
    ASSERT_EQ(expected.size(0), run.iterations);
    double worst = 0;
    for (int64_t i = 0; i < run.iterations; ++i) {
      const double loss = trainer.step(), other = expected[i].item<double>();
      const double difference = std::abs(loss / other - 1);
      if (i < 10) {
        EXPECT_LE(difference, 1e-5) << run.name << ", iteration " << i;
      }
      worst = std::max(worst, difference);
    }
    EXPECT_LE(worst, 1e-4) << run.name;
    const Network reference = snapshot(run.snapshot);
    EXPECT_EQ(reference.options(), trainer.ema().options());
    for (size_t i = 0; i < reference.parameters().size(); ++i)
      EXPECT_LE(test::rms_relative_error(trainer.ema().parameters()[i], reference.parameters()[i]),
                run.iterations == 10 ? 1e-5 : 1e-3)
          << run.name << " " << reference.parameter_names()[i];
    std::cout << run.name << ": largest relative difference of a loss " << worst << "\n";
  }
}

TEST_F(ToyGolden, Trajectories) {
  const LearnedModel main(snapshot("clsA-layers04-dim64-b1024-iter0150"));
  const LearnedModel weak(snapshot("clsA-layers04-dim32-b1024-iter0060"));
  const LearnedModel both(snapshot("clsAB-layers04-dim32-b1024-iter0060"));
  const ExactModel exact{Mixture("A")};
  const Tensor start = stored("x_init");
  const auto expect = [&](const std::string& name, const Tensor& positions) {
    const Tensor expected = stored("sample." + name + ".trajectory");
    const Tensor actual = expected.dim() == 3 ? positions : positions[-1];
    ASSERT_EQ(actual.sizes(), expected.sizes()) << name;
    // Points near a watershed amplify rounding; their factor is known.
    const Tensor allowed = (stored("sample." + name + ".amplification") * 1e-6).clamp_min(1e-4);
    const Tensor error = (actual - expected).norm(2, -1) / allowed;
    EXPECT_LE(error.max().item<double>(), 1) << name;
    EXPECT_LE(test::max_difference(actual, expected), 1e-3) << name;
  };
  SamplerOptions options = default_sampler_options();
  expect("gt_g1", sample_trajectories(exact, nullptr, start, options).positions);
  expect("net_g1", sample_trajectories(main, nullptr, start, options).positions);
  options.guidance = 3;
  expect("auto_g3", sample_trajectories(main, &weak, start, options).positions);
  options.guidance = 2;
  expect("cfg_g2", sample_trajectories(main, &both, start, options).positions);
  options.guidance = 1;
  options.num_steps = 8;
  options.sigma_max = 0.3;
  expect("net_g1_local", sample_trajectories(main, nullptr, start * 0.06, options).positions);
}

}  // namespace
}  // namespace edm2::toy
