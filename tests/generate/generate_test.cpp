// Generation: batches, names, and that a picture depends on its seed alone.
#include "edm2/generate/generate.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <limits>
#include <numeric>

#include "edm2/core/error.h"
#include "edm2/nn/network.h"
#include "support/golden.h"
#include "support/small_models.h"

namespace edm2 {
namespace {

std::vector<int64_t> seeds_from(int64_t first, int64_t count) {
  std::vector<int64_t> seeds(static_cast<size_t>(count));
  std::iota(seeds.begin(), seeds.end(), first);
  return seeds;
}

std::unique_ptr<Precond> small_network(int64_t label_dim) {
  return std::make_unique<Precond>(test::small_snapshot(label_dim));
}

/// All seeds in batches of at most that size.
Tensor latents_in_batches(Precond& net, int64_t count, int64_t batch,
                          const SamplerOptions& sampler) {
  const auto encoder = make_encoder({});
  const auto seeds = seeds_from(100, count);
  std::vector<Tensor> parts;
  for (const auto& [begin, end] : split_batches(count, batch))
    parts.push_back(generate_batch(net, net, *encoder,
                                   std::span(seeds).subspan(static_cast<size_t>(begin),
                                                            static_cast<size_t>(end - begin)),
                                   std::nullopt, sampler)
                        .latents);
  return at::cat(parts);
}

}  // namespace

TEST(SplitBatches, AsEvenAsPossible) {
  using Parts = std::vector<std::pair<int64_t, int64_t>>;
  EXPECT_EQ(split_batches(8, 32), (Parts{{0, 8}}));
  EXPECT_EQ(split_batches(10, 4), (Parts{{0, 4}, {4, 7}, {7, 10}}));
  EXPECT_EQ(split_batches(100, 32).size(), 4u);
  EXPECT_TRUE(split_batches(0, 4).empty());
}

TEST(SplitBatches, ManyProcessesTakeTurns) {
  using Parts = std::vector<std::pair<int64_t, int64_t>>;
  // max(floor((n - 1) / (b W)) + 1, 1) W parts.
  EXPECT_EQ(split_batches(10, 4, 2), (Parts{{0, 3}, {3, 6}, {6, 8}, {8, 10}}));
  EXPECT_EQ(split_batches(8, 4, 2), (Parts{{0, 4}, {4, 8}}));
  EXPECT_EQ(split_batches(9, 4, 2), (Parts{{0, 3}, {3, 5}, {5, 7}, {7, 9}}));
  EXPECT_EQ(split_batches(2, 8, 3), (Parts{{0, 1}, {1, 2}, {2, 2}}));
}

TEST(ImageFileName, PadsAndGroups) {
  EXPECT_EQ(image_file_name(16, false), "000016.png");
  EXPECT_EQ(image_file_name(1234567, true), "1234000/1234567.png");
  EXPECT_EQ(image_file_name(-5, false), "-00005.png");
  EXPECT_EQ(image_file_name(-5, true), "-01000/-00005.png");
  EXPECT_EQ(image_file_name(999, true), "000000/000999.png");
  EXPECT_EQ(image_file_name(-12000, true), "-12000/-12000.png");
  EXPECT_EQ(image_file_name(-12001, true), "-13000/-12001.png");
  EXPECT_EQ(image_file_name(std::numeric_limits<int64_t>::min(), true),
            "-9223372036854776000/-9223372036854775808.png");
  EXPECT_EQ(trajectory_file_name(16, false, TrajectoryFormat::strip), "000016-steps.png");
  EXPECT_EQ(trajectory_file_name(1016, true, TrajectoryFormat::webp), "001000/001016-steps.webp");
}

TEST(GenerateBatch, AnImageDependsOnItsSeedAlone) {
  for (const int64_t label_dim : {0, 5}) {
    const auto net = small_network(label_dim);
    SamplerOptions sampler;
    sampler.num_steps = 6;
    sampler.S_churn = 20;
    const Tensor whole = latents_in_batches(*net, 8, 8, sampler);
    for (const int64_t batch : {1, 2, 3, 5}) {
      const Tensor parts = latents_in_batches(*net, 8, batch, sampler);
      EXPECT_TRUE(parts.equal(whole))
          << "batch " << batch << ", largest difference " << test::max_difference(parts, whole);
    }
  }
}

TEST(GenerateBatch, ForcedClassKeepsTheNoise) {
  const auto net = small_network(5);
  const auto encoder = make_encoder({});
  const auto seeds = seeds_from(0, 3);
  SamplerOptions sampler;
  sampler.num_steps = 2;
  const auto drawn = generate_batch(*net, *net, *encoder, seeds, std::nullopt, sampler);
  const auto forced = generate_batch(*net, *net, *encoder, seeds, 2, sampler);
  EXPECT_TRUE(drawn.noise.equal(forced.noise));
  EXPECT_TRUE(forced.labels.argmax(1).equal(at::full({3}, 2, at::kLong)));
  EXPECT_EQ(forced.images.sizes(), at::IntArrayRef({3, 3, 16, 16}));
  EXPECT_EQ(forced.images.scalar_type(), at::kByte);
}

TEST(RgbEncoder, KnownAnswers) {
  const auto encoder = make_encoder({});
  const Tensor latents = at::tensor({-2.f, -1.0039f, -1.f, 0.f, 0.003f, 0.996f, 1.f, 2.f});
  EXPECT_TRUE(
      encoder->decode(latents).equal(at::tensor({0, 0, 0, 128, 128, 254, 255, 255}, at::kByte)));
  const Tensor bytes = at::arange(256, at::kByte);
  EXPECT_TRUE(encoder->decode(encoder->encode_latents(bytes)).equal(bytes));
}

}  // namespace edm2
