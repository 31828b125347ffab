// Random streams against numbers drawn by Python, numpy and torch.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <numeric>

#include "edm2/core/random.h"
#include "support/golden.h"

namespace edm2 {

using test::max_difference;

TEST(StackedGeneratorGolden, NoiseIntegersAndFurtherNoise) {
  EDM2_REQUIRE_REFERENCE();
  const NpzFile expected(test::reference_dir() / "rng" / "stacked_generator.npz");
  const Tensor seed_tensor = expected.get("seeds");
  const std::vector<int64_t> seeds(seed_tensor.data_ptr<int64_t>(),
                                   seed_tensor.data_ptr<int64_t>() + seed_tensor.numel());
  const std::vector<std::vector<int64_t>> shapes = {{1, 3, 3}, {3, 5, 7}, {4, 8, 8}, {4, 64, 64}};
  for (const auto& shape : shapes) {
    std::string name;
    for (const int64_t size : shape) name += (name.empty() ? "" : "x") + std::to_string(size);
    SCOPED_TRACE(name);
    StackedGenerator random(at::kCPU, seeds);
    const Tensor noise = random.randn(shape).flatten(1);
    const Tensor integers = random.randint(1000);
    const Tensor more = random.randn(shape).flatten(1);
    const int64_t head = std::min<int64_t>(16, noise.size(1));
    EXPECT_LE(max_difference(noise.narrow(1, 0, head), expected.get("randn_" + name + "_first16")),
              1e-6);
    EXPECT_LE(max_difference(noise.narrow(1, noise.size(1) - 4, 4),
                             expected.get("randn_" + name + "_last4")),
              1e-6);
    EXPECT_LE(
        max_difference(noise.to(at::kDouble).sum(1), expected.get("randn_" + name + "_sum64")),
        1e-3);
    EXPECT_TRUE(integers.equal(expected.get("then_randint1000_" + name)));
    EXPECT_LE(max_difference(more.narrow(1, 0, head),
                             expected.get("then_randn_like_" + name + "_first16")),
              1e-6);
  }
  StackedGenerator fresh(at::kCPU, seeds);
  EXPECT_TRUE(fresh.randint(1000).equal(expected.get("randint1000_fresh")));
  StackedGenerator fresh3(at::kCPU, seeds);
  EXPECT_TRUE(fresh3.randint(10, {3}).equal(expected.get("randint10_fresh_3")));
}

TEST(TrainingSeedsGolden, HashesSeedsAndDraws) {
  EDM2_REQUIRE_REFERENCE();
  const NpzFile expected(test::reference_dir() / "rng" / "training_seeds.npz");
  int tuples = 0;
  for (const auto& name : expected.names()) {
    if (!name.starts_with("hash_")) continue;
    const std::string key = name.substr(5);
    SCOPED_TRACE(key);
    std::vector<int64_t> values;
    for (size_t begin = 0; begin <= key.size();) {
      const size_t end = std::min(key.find('_', begin), key.size());
      values.push_back(std::stoll(key.substr(begin, end - begin)));
      begin = end + 1;
    }
    ++tuples;
    const bool three = values.size() == 3;
    ASSERT_TRUE(three || values.size() == 2);
    const uint64_t hash =
        three ? tuple_hash({values[0], values[1], values[2]}) : tuple_hash({values[0], values[1]});
    EXPECT_EQ(static_cast<int64_t>(hash), expected.get(name).item<int64_t>());
    const auto seed = static_cast<int64_t>(hash & 0x7fffffff);
    EXPECT_EQ(seed, expected.get("seed_" + key).item<int64_t>());
    if (three)
      set_seed({values[0], values[1], values[2]});
    else
      set_seed({values[0], values[1]});
    EXPECT_LE(max_difference(at::randn({20}), expected.get("torch_randn20_" + key)), 1e-6);
    EXPECT_LE(max_difference(at::rand({5}), expected.get("torch_rand5_" + key)), 1e-6);
    NumpyRandom numpy(static_cast<uint32_t>(seed));
    const Tensor normals = expected.get("np_randn3_" + key);
    for (int64_t i = 0; i < 3; ++i) EXPECT_NEAR(numpy.normal(), normals[i].item<double>(), 1e-12);
  }
  EXPECT_GE(tuples, 9);
}

TEST(NumpyRandomGolden, NormalUniformShuffle) {
  EDM2_REQUIRE_REFERENCE();
  const NpzFile expected(test::reference_dir() / "rng" / "training_seeds.npz");
  NumpyRandom numpy(2);
  const Tensor normals = expected.get("RandomState_randn8");
  const Tensor uniforms = expected.get("RandomState_uniform8");
  for (int64_t i = 0; i < 8; ++i) EXPECT_NEAR(numpy.normal(), normals[i].item<double>(), 1e-12);
  for (int64_t i = 0; i < 8; ++i) EXPECT_EQ(numpy.uniform(), uniforms[i].item<double>());
  std::vector<int64_t> order(50);
  std::iota(order.begin(), order.end(), 0);
  NumpyRandom(0).shuffle(order);
  EXPECT_TRUE(at::tensor(order, at::kLong).equal(expected.get("RandomState_shuffle50")));
}

}  // namespace edm2
