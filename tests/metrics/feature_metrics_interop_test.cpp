// Metrics of given features against numpy, scipy and torch-fidelity.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <functional>

#include "edm2/io/npz.h"
#include "edm2/metrics/frechet.h"
#include "edm2/metrics/inception_score.h"
#include "edm2/metrics/kernel_distance.h"
#include "edm2/metrics/manifold.h"
#include "support/golden.h"
#include "support/python.h"

namespace edm2 {
namespace {

constexpr const char* no_partner =
    "no Python with numpy and scipy (set EDM2_TORCH_PYTHON or EDM2_INTEROP_VENV)";

/// Not negative, with directions of very different spread, as activations are.
Tensor random_features(int64_t count, int64_t dim, double shift, uint64_t seed) {
  at::manual_seed(7);
  const Tensor mix = at::randn({dim, dim}) * at::pow(10.f, at::linspace(0, -2, dim)) / 8;
  at::manual_seed(seed);
  return (at::randn({count, dim}).matmul(mix) + shift).relu();
}

FeatureStatistics feature_statistics(const Tensor& features) {
  FeatureAccumulator accumulator(features.size(1));
  accumulator.append(features);
  return accumulator.finish();
}

/// Both sides' scores of the same features.
class FeatureMetrics {
 public:
  FeatureMetrics(const std::string& python, int64_t count, int64_t dim,
                 const std::vector<std::string>& arguments) {
    x = random_features(count, dim, 0.30, 1);
    y = random_features(count, dim, 0.25, 2);
    logits = random_features(count, 50, 0, 3) * 2;
    const test::TempDir dir;
    write_npz(dir / "features.npz", {{"x", x}, {"y", y}, {"logits", logits}});
    std::vector<std::string> words = {dir.path().string()};
    words.insert(words.end(), arguments.begin(), arguments.end());
    test::run_interop_script(python, "feature_metrics.py", words);
    const NpzFile file(dir / "expected.npz");
    for (const std::string& name : file.names())
      expected_.emplace_back(name, file.get(name).item<double>());
  }
  /// Records it; NaN where the other side does not compute it.
  double expected(const std::string& name) const {
    for (const auto& [key, value] : expected_)
      if (key == name) return value;
    return std::nan("");
  }
  void compare(const std::string& name, double value, double tolerance) const {
    const double other = expected(name);
    if (name.starts_with("fidelity_") && std::isnan(other)) return;
    EXPECT_NEAR(value, other, tolerance * std::max(1.0, std::abs(other))) << name;
    testing::Test::RecordProperty(name, std::to_string((value - other) * 1e9) + "e-9");
  }

  Tensor x, y, logits;

 private:
  std::vector<std::pair<std::string, double>> expected_;
};

/// Seconds of the median of a few calls.
double median_seconds(const std::function<void()>& work) {
  std::vector<double> seconds;
  for (int i = 0; i < 5; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    work();
    seconds.push_back(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  std::sort(seconds.begin(), seconds.end());
  return seconds[2];
}

}  // namespace

TEST(FeatureMetricsInterop, EqualNumpyScipyAndTorchFidelity) {
  const std::string python = test::find_python("numpy, scipy");
  if (python.empty()) GTEST_SKIP() << no_partner;
  const FeatureMetrics both(python, 600, 64, {"200"});
  both.compare(
      "fid", frechet_distance(feature_statistics(both.x), feature_statistics(both.y)).value, 1e-6);
  const auto kid = kernel_distance(both.x, both.y, {.subset_size = 200});
  both.compare("kid", kid.value, 1e-9);
  both.compare("kid_deviation", kid.deviation, 1e-9);
  both.compare("fidelity_kid", kid.value, 1e-4);  // theirs are float32
  both.compare("fidelity_kid_deviation", kid.deviation, 1e-4);
  const auto shares = manifold_scores(both.x, both.y);
  both.compare("precision", shares.precision.value, 1e-12);
  both.compare("recall", shares.recall.value, 1e-12);
  both.compare("density", shares.density.value, 1e-12);
  both.compare("coverage", shares.coverage.value, 1e-12);
  both.compare("fidelity_precision", shares.precision.value, 0.005);  // ties of float32
  both.compare("fidelity_recall", shares.recall.value, 0.005);
  const auto score = inception_score(both.logits);
  both.compare("is", score.value, 1e-9);
  both.compare("is_deviation", score.deviation, 1e-9);
  both.compare("fidelity_is", score.value, 1e-4);
}

// As large as features of InceptionV3, with more pictures than features and with fewer.
TEST(FrechetInteropLong, EqualsScipyAndIsFiveTimesAsFast) {
  const std::string python = test::find_python("numpy, scipy");
  if (python.empty()) GTEST_SKIP() << no_partner;
  for (const int64_t count : {4200, 2000}) {
    const FeatureMetrics both(python, count, 2048, {});
    const FeatureStatistics a = feature_statistics(both.x), b = feature_statistics(both.y);
    both.compare("fid", frechet_distance(a, b).value, 1e-6);
    const double seconds = median_seconds([&] { frechet_distance(a, b); });
    const double of_scipy = both.expected("sqrtm_seconds");
    RecordProperty("times_as_fast_" + std::to_string(count), std::to_string(of_scipy / seconds));
    EXPECT_GT(of_scipy, 5 * seconds) << count;
  }
}

}  // namespace edm2
