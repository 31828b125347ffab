// Outputs without a network before them.
#include "generate/output.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <numeric>

#include "edm2/core/error.h"
#include "edm2/core/platform.h"
#include "edm2/io/npz.h"
#include "support/paths.h"
#include "support/run_program.h"

namespace edm2 {
namespace {

/// Pictures 64x64 and latents of the same size.
GeneratedBatch random_batch(int64_t first_seed, int64_t count) {
  GeneratedBatch batch;
  batch.seeds.resize(static_cast<size_t>(count));
  std::iota(batch.seeds.begin(), batch.seeds.end(), first_seed);
  batch.labels = at::one_hot(at::arange(count) % 10, 10).to(at::kFloat);
  batch.latents = at::randn({count, 3, 64, 64});
  batch.images = at::randint(0, 256, {count, 3, 64, 64}, at::kByte);
  return batch;
}

}  // namespace

TEST(CollectedOutputs, MemoryDoesNotGrowWithTheBatches) {
  constexpr int64_t batches = 64, size = 32;  // 2048 pictures: 24 MiB of pixels, 96 MiB of latents
  const test::TempDir dir;
  GenerateOptions options;
  options.seeds.resize(batches * size);
  std::iota(options.seeds.begin(), options.seeds.end(), 0);
  options.npz = dir / "all.npz";
  options.latents = dir / "latents.safetensors";
  const Outputs outputs = make_collected_outputs(options, nullptr);
  ASSERT_EQ(outputs.size(), 2u);
  const auto add = [&](int64_t index) {
    const GeneratedBatch batch = random_batch(index * size, size);
    for (const auto& output : outputs) output->add(batch);
  };
  add(0);
  const uint64_t before = resident_memory();
  for (int64_t i = 1; i < batches; ++i) add(i);
  for (const auto& output : outputs) output->finish();
  EXPECT_LT(resident_memory(), before + (uint64_t{24} << 20));
  EXPECT_EQ(NpzFile(dir / "all.npz").get("arr_0").sizes(), at::IntArrayRef({2048, 64, 64, 3}));
}

TEST(CollectedOutputs, NothingAppearsBeforeTheEnd) {
  const test::TempDir dir;
  GenerateOptions options;
  options.seeds = {0, 1, 2, 3};
  options.npz = dir / "all.npz";
  options.latents = dir / "latents.npz";
  options.grid = dir / "grid.png";
  {
    const Outputs outputs = make_collected_outputs(options, nullptr);
    for (const auto& output : outputs) output->add(random_batch(0, 3));
    EXPECT_THROW(outputs[1]->finish(), Error);  // one picture is missing
  }
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir.path()), {}), 0);
  options.seeds.clear();
  EXPECT_TRUE(make_collected_outputs(options, nullptr).empty());
}

TEST(PictureOutputs, ManyFilesAtOnceAreAllThere) {
  const test::TempDir dir;
  GenerateOptions options;
  options.outdir = dir.path();
  options.subdirs = true;
  options.max_batch_size = 16;
  const Outputs outputs = make_picture_outputs(options, nullptr);
  std::vector<GeneratedBatch> batches;
  for (int64_t i = 0; i < 4; ++i) {
    batches.push_back(random_batch(990 + 16 * i, 16));
    outputs[0]->add(batches.back());
  }
  outputs[0]->finish();
  for (const GeneratedBatch& batch : batches)
    for (size_t i = 0; i < batch.seeds.size(); ++i) {
      const std::string file = test::read_file(dir / image_file_name(batch.seeds[i], true));
      const Image image = decode_image(std::as_bytes(std::span(file)), "picture");
      const Tensor expected = batch.images[static_cast<int64_t>(i)].permute({1, 2, 0}).contiguous();
      EXPECT_EQ(std::memcmp(image.pixels.data(), expected.data_ptr(), image.pixels.size()), 0);
    }
}

TEST(PreviewOfLatents, IsALinearMapOfThem) {
  const auto encoder = make_encoder(encoder_for_dataset(8));
  // The dataset's mean is about the mean colour of photographs: grey, not black or white.
  const Tensor mean = at::zeros({2, 4, 6, 5});
  const Tensor pixels = encoder->decode_preview(mean);
  ASSERT_EQ(pixels.sizes(), at::IntArrayRef({2, 3, 6, 5}));
  EXPECT_EQ(pixels.scalar_type(), at::kByte);
  for (int64_t c = 0; c < 3; ++c) EXPECT_NEAR(pixels[0][c][0][0].item<int>(), 128, 8);
  Tensor bright = mean.clone();
  bright.select(1, 0) += 0.5;  // the first channel is mostly brightness
  EXPECT_TRUE(encoder->decode_preview(bright).gt(pixels).all().item<bool>());
}

}  // namespace edm2
