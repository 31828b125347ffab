#include "edm2/metrics/statistics.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <functional>
#include <limits>

#include "edm2/core/error.h"
#include "edm2/io/atomic_file.h"
#include "edm2/io/npz.h"
#include "edm2/io/pickle.h"
#include "edm2/io/safetensors.h"
#include "edm2/io/torch_file.h"
#include "support/checks.h"
#include "support/golden.h"

namespace edm2 {
namespace {

Tensor random_features(int64_t n, int64_t dim, uint64_t seed = 1) {
  at::manual_seed(seed);
  return at::randn({n, dim}).matmul(at::randn({dim, dim})) + 2 * at::randn({dim});
}

FeatureStatistics statistics_in_pieces(const Tensor& features, const std::vector<int64_t>& pieces) {
  FeatureAccumulator accumulator(features.size(1));
  int64_t begin = 0;
  for (size_t i = 0; begin < features.size(0); ++i) {
    const int64_t size = std::min(pieces[i % pieces.size()], features.size(0) - begin);
    accumulator.append(features.narrow(0, begin, size));
    begin += size;
  }
  return accumulator.finish();
}

FeatureStatistics some_statistics(int64_t dim = 4) {
  return statistics_in_pieces(random_features(20, dim), {20});
}

}  // namespace

TEST(FeatureAccumulator, EqualsTheTextbook) {
  const Tensor features = random_features(700, 12).to(at::kDouble);
  const FeatureStatistics statistics = statistics_in_pieces(features.to(at::kFloat), {64});
  const Tensor x = features.to(at::kFloat).to(at::kDouble);
  EXPECT_LT(test::relative_error(statistics.mu, x.mean(0)), 1e-14);
  EXPECT_LT(test::relative_error(statistics.sigma, at::cov(x.t())), 1e-13);
}

TEST(FeatureAccumulator, NeedsTwoImages) {
  FeatureAccumulator accumulator(3);
  EXPECT_EQ(test::error_of([&] { accumulator.finish(); }),
            "statistics need at least 2 images, there are none");
  accumulator.append(at::ones({1, 3}));
  EXPECT_EQ(test::error_of([&] { accumulator.finish(); }),
            "statistics need at least 2 images, there is 1");
  accumulator.append(at::zeros({1, 3}));
  EXPECT_TRUE(at::equal(accumulator.finish().sigma, at::full({3, 3}, 0.5, at::kDouble)));
}

TEST(FeatureAccumulator, NamesTheImageWithoutFiniteFeatures) {
  FeatureAccumulator accumulator(3);
  accumulator.append(at::ones({5, 3}));
  Tensor features = at::ones({4, 3});
  features[2][1] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_NE(
      test::error_of([&] { accumulator.append(features); }).find("features of image 7 are not"),
      std::string::npos);
}

// The caller's memory may change after append().
TEST(FeatureAccumulator, KeepsItsOwnCopy) {
  FeatureAccumulator accumulator(2);
  Tensor features = at::eye(2, at::kDouble);
  accumulator.append(features);
  features.fill_(9);
  EXPECT_TRUE(at::allclose(accumulator.finish().mu, at::full({2}, 0.5, at::kDouble)));
}

RC_GTEST_PROP(FeatureAccumulatorProperty, PiecesDoNotMatterToTheLastBit, ()) {
  const auto n = *rc::gen::inRange<int64_t>(2, 900);
  const auto dim = *rc::gen::inRange<int64_t>(1, 20);
  const auto pieces = *rc::gen::nonEmpty(
      rc::gen::container<std::vector<int64_t>>(rc::gen::inRange<int64_t>(1, 400)));
  const Tensor features = random_features(n, dim);
  const FeatureStatistics whole = statistics_in_pieces(features, {n}),
                          parts = statistics_in_pieces(features, pieces);
  RC_ASSERT(at::equal(whole.mu, parts.mu));
  RC_ASSERT(at::equal(whole.sigma, parts.sigma));
}

TEST(FeatureAccumulatorGolden, EqualsTheOriginal) {
  EDM2_REQUIRE_REFERENCE();
  const NpzFile file(test::reference_dir() / "metrics" / "frechet.npz");
  for (const std::string name : {"d8_well", "d64_well", "d64_rankdef"}) {
    const auto statistics = statistics_in_pieces(file.get(name + ".features1"), {32});
    EXPECT_LT(test::relative_error(statistics.mu, file.get(name + ".mu1")), 1e-14) << name;
    EXPECT_LT(test::relative_error(statistics.sigma, file.get(name + ".sigma1")), 1e-13) << name;
  }
}

TEST(StatisticsFile, SurvivesBothFormats) {
  const test::TempDir dir;
  const FeatureStatistics fid = some_statistics(4), dino = some_statistics(3);
  save_statistics(dir / "new/folder/a.pkl", {{{"fid", fid}, {"fd_dinov2", dino}}, 20});
  const StatisticsFile pkl = load_statistics(dir / "new/folder/a.pkl");
  ASSERT_EQ(pkl.metrics.size(), 2u);
  EXPECT_EQ(pkl.metrics[1].first, "fd_dinov2");
  EXPECT_EQ(pkl.num_images, 20);
  EXPECT_TRUE(at::equal(pkl.find("fid")->mu, fid.mu));
  EXPECT_TRUE(at::equal(pkl.find("fid")->sigma, fid.sigma));
  EXPECT_TRUE(at::equal(pkl.find("fd_dinov2")->sigma, dino.sigma));

  save_statistics(dir / "a.NPZ", {{{"fid", fid}}, 20});
  const StatisticsFile npz = load_statistics(dir / "a.NPZ");
  ASSERT_EQ(npz.metrics.size(), 1u);
  EXPECT_FALSE(npz.num_images);
  EXPECT_TRUE(at::equal(npz.find("fid")->sigma, fid.sigma));
  EXPECT_EQ(npz.find("fd_dinov2"), nullptr);

  EXPECT_NE(test::error_of([&] {
              save_statistics(dir / "b.npz", {{{"fid", fid}, {"fd_dinov2", dino}}, 20});
            }).find("the statistics of fid alone"),
            std::string::npos);
}

// One pair of mean and covariance in every container, under every name of a file.
TEST(StatisticsFile, ContentsCountAndNotNames) {
  const test::TempDir dir;
  const FeatureStatistics s = some_statistics(5);
  const auto as_pickle = [&](PickleValue::TensorType type) {
    return PickleValue::dict(
        {{"mu", PickleValue(s.mu, type)}, {"sigma", PickleValue(s.sigma, type)}});
  };
  using Type = PickleValue::TensorType;
  const std::vector<std::function<void(const std::string&)>> writers = {
      [&](const std::string& file) {
        write_npz(file, {{"mu", s.mu}, {"sigma", s.sigma}});
      },
      [&](const std::string& file) {  // guided-diffusion's, with the pictures and those of sFID
        write_npz(file, {{"arr_0", at::zeros({2, 4, 4, 3}, at::kByte)},
                         {"mu", s.mu},
                         {"sigma", s.sigma},
                         {"mu_s", at::zeros({2023})},
                         {"sigma_s", at::zeros({2, 2})}});
      },
      [&](const std::string& file) {
        write_npz(file, {{"mean", s.mu}, {"cov", s.sigma}});
      },
      [&](const std::string& file) {
        save_safetensors(file, {{"mu", s.mu}, {"sigma", s.sigma}});
      },
      [&](const std::string& file) { write_pickle_file(file, as_pickle(Type::ndarray)); },
      [&](const std::string& file) { save_torch_file(file, as_pickle(Type::tensor)); },
      [&](const std::string& file) {  // the original's
        write_pickle_file(file, PickleValue::dict({{"num_images", 20},
                                                   {"fid", as_pickle(Type::ndarray)},
                                                   {"fd_dinov2", as_pickle(Type::ndarray)}}));
      }};
  for (size_t i = 0; i < writers.size(); ++i)
    for (const char* name : {"a.npz", "a.npy", "a.pkl", "a.pt", "a", "a.safetensors", "a.NPZ"}) {
      SCOPED_TRACE(std::to_string(i) + " " + name);
      writers[i](dir / name);
      const StatisticsFile read = load_statistics(dir / name);
      ASSERT_NE(read.find("fid"), nullptr);
      EXPECT_TRUE(at::equal(read.find("fid")->mu, s.mu));
      EXPECT_TRUE(at::equal(read.find("fid")->sigma, s.sigma));
    }
}

TEST(StatisticsFile, OtherContentsAreNamed) {
  const test::TempDir dir;
  const std::string path = dir / "stats.npz";
  const auto expect = [&](const std::string& words) {
    const std::string message = test::error_of([&] { load_statistics(path); });
    EXPECT_NE(message.find(words), std::string::npos) << message;
    EXPECT_EQ(message.find(path), 0u) << message;
    EXPECT_EQ(message.find_first_of("\n\x1b"), std::string::npos) << message;
  };
  write_npz(path, {{"pool_3\x1b", at::zeros({9, 4})}});
  expect("it has 'pool_3\\x1b'");
  write_npz(path, {{"fid", at::zeros({9, 4})}});
  expect("it has 'fid'; it seems to be a file of features, which is given as --ref-features");
  write_npz(path, {{"mu_s", at::zeros({4})}, {"sigma_s", at::eye(4)}});
  expect("those named ..._s are of sFID");
  std::vector<std::pair<std::string, Tensor>> many;
  for (int i = 0; i < 9; ++i) many.emplace_back("x" + std::to_string(i), at::zeros({1}));
  write_npz(path, many);
  expect("'x5' and 3 others");
  write_pickle_file(path, PickleValue::dict({{"raw_mean", 1.0}, {"num_items", 3}}));
  expect("it has 'raw_mean', 'num_items'");
  save_torch_file(path, PickleValue::list({1}));
  expect("this is a list, not a dict");
  write_file(path, npy_bytes(at::zeros({4})));
  expect("(it is a numpy array)");
  write_file(path, "version https://git-lfs.github.com/spec/v1\n");
  expect("a pointer of Git LFS");
  write_file(path, "<html>404</html>");
  expect("a web page");
  write_file(path, "");
  expect("(it is empty)");
}

TEST(StatisticsFile, OddFilesAreNamed) {
  const test::TempDir dir;
  const std::string path = dir / "x.pkl";
  const auto error_for = [&](const PickleValue& root) {
    write_pickle_file(path, root);
    const std::string message = test::error_of([&] { load_statistics(path); });
    EXPECT_EQ(message.rfind(path, 0), 0u) << message;
    return message;
  };
  const auto entry = [](const Tensor& mu, const Tensor& sigma) {
    return PickleValue::dict(
        {{"fid", PickleValue::dict(
                     {{"mu", PickleValue::ndarray(mu)}, {"sigma", PickleValue::ndarray(sigma)}})}});
  };
  const Tensor mu = at::zeros({3}, at::kDouble), sigma = at::eye(3, at::kDouble);
  const auto contains = [](const std::string& text, const char* part) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  };
  contains(error_for(PickleValue::list()), "not a dict of statistics");
  contains(error_for(PickleValue::dict({{"num_images", 3}})), "no feature statistics");
  contains(error_for(entry(mu, at::eye(4, at::kDouble))), "a mean [D] and a covariance [D,D]");
  contains(error_for(entry(sigma, sigma)), "a mean [D] and a covariance [D,D]");
  contains(error_for(entry(at::zeros({0}), at::zeros({0, 0}))), "a mean [D]");
  contains(error_for(entry(mu.to(at::kLong), sigma)), "floating-point");
  contains(error_for(entry(mu / 0.0, sigma)), "not finite");
  contains(error_for(entry(mu, sigma + at::ones({3, 3}, at::kDouble).triu(1))), "not symmetric");
  write_file(dir / "x.npz", "no zip");
  contains(test::error_of([&] { load_statistics(dir / "x.npz"); }), "x.npz");
  write_npz(dir / "y.npz", {{"mu", mu}});
  contains(test::error_of([&] { load_statistics(dir / "y.npz"); }), "sigma");
  contains(test::error_of([&] { load_statistics(dir / "absent.pkl"); }), "absent.pkl");
}

TEST(StatisticsFileGolden, ReadsFilesOfTheOriginal) {
  EDM2_REQUIRE_REFERENCE();
  const auto folder = test::reference_dir() / "metrics";
  const NpzFile expected(folder / "frechet.npz");
  const StatisticsFile stats = load_statistics(folder / "stats.pkl");
  ASSERT_NE(stats.find("fid"), nullptr);
  ASSERT_NE(stats.find("fd_dinov2"), nullptr);
  EXPECT_TRUE(at::equal(stats.find("fid")->sigma, expected.get("d8_well.sigma1")));
  const StatisticsFile npz = load_statistics(folder / "stats_edm1_style.npz");
  EXPECT_EQ(npz.metrics.front().first, "fid");
  EXPECT_EQ(npz.metrics.front().second.mu.numel(), 8);
}

}  // namespace edm2
