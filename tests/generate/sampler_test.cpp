// The library's Sampler.
#include "edm2/generate/sampler.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <limits>

#include "edm2/core/error.h"
#include "edm2/nn/finite.h"
#include "edm2/nn/network.h"
#include "support/paths.h"
#include "support/small_models.h"

namespace edm2 {
namespace {

Sampler small_sampler(int64_t label_dim = 5) {
  Sampler sampler(test::small_snapshot(label_dim), "cpu");
  sampler.options.num_steps = 4;
  return sampler;
}

}  // namespace

TEST(Sampler, PicturesLabelsAndLatentsOfEverySeed) {
  Sampler sampler = small_sampler();
  const GeneratedBatch all = sampler.generate({3, 1, 4, 1, 5});
  EXPECT_EQ(all.seeds, (std::vector<int64_t>{3, 1, 4, 1, 5}));
  EXPECT_EQ(all.images.sizes(), at::IntArrayRef({5, 3, 16, 16}));
  EXPECT_EQ(all.images.scalar_type(), at::kByte);
  EXPECT_EQ(all.latents.sizes(), at::IntArrayRef({5, 3, 16, 16}));
  EXPECT_EQ(all.labels.sizes(), at::IntArrayRef({5, 5}));
  EXPECT_TRUE(all.images[1].equal(all.images[3]));
  EXPECT_FALSE(all.images[0].equal(all.images[1]));
  EXPECT_TRUE(sampler.encoder().decode(all.latents).equal(all.images));
  EXPECT_FALSE(sampler.generate({3}, /*decode=*/false).images.defined());
}

TEST(Sampler, TellsOfPicturesThatAreNotFinite) {
  class Overflowing : public Denoiser {
   public:
    Tensor denoise(const Tensor& x, const Tensor&, const Tensor&) override {
      Tensor y = x.mul(0.5);
      y[1].fill_(std::numeric_limits<double>::infinity());
      return y;
    }
    int64_t img_channels() const override { return 3; }
    int64_t img_resolution() const override { return 4; }
    int64_t label_dim() const override { return 0; }
    c10::Device device() const override { return c10::kCPU; }
  };
  Sampler sampler(std::make_shared<Overflowing>(), make_encoder({}, {}));
  sampler.options.num_steps = 2;
  sampler.generate({7, 8, 9});  // nobody wants to know
  std::vector<int64_t> told;
  sampler.on_not_finite = [&](int64_t seed) { told.push_back(seed); };
  sampler.generate({7, 8, 9});
  EXPECT_EQ(told, (std::vector<int64_t>{8}));
}

TEST(Sampler, RefusesWeightsThatAreNotFinite) {
  for (const auto type : {at::kHalf, at::kFloat})
    for (const char* name : {"unet.out_conv.weight", "unet.out_gain", "unet.emb_fourier.phases",
                             "unet.dec.16x16_block0.conv_res1.weight"})
      for (const auto kind : {EngineKind::automatic, EngineKind::reference}) {
        Snapshot snapshot = test::small_snapshot(3);
        for (auto& [tensor_name, tensor] : snapshot.tensors) {
          tensor = tensor.to(type);
          if (tensor_name == name) tensor.flatten()[0] = std::numeric_limits<double>::quiet_NaN();
        }
        try {
          Sampler(std::move(snapshot), "cpu", Precision::automatic, {}, kind);
          ADD_FAILURE() << name;
        } catch (const NotFiniteError& error) {
          EXPECT_NE(std::string(error.what()).find(name), std::string::npos) << error.what();
        }
      }
}

TEST(Sampler, BatchesDoNotMatter) {
  Sampler sampler = small_sampler();
  sampler.frames = 3;
  const GeneratedBatch whole = sampler.generate({1, 2, 3, 4, 5});
  sampler.max_batch_size = 2;
  int steps = 0;
  sampler.on_step = [&](const SamplerStep& step) { steps += step.x.size(0) > 0; };
  const GeneratedBatch parts = sampler.generate({1, 2, 3, 4, 5});
  EXPECT_EQ(steps, 3 * 4);
  for (const auto field : batch_tensors) EXPECT_TRUE((whole.*field).equal(parts.*field));
}

TEST(Sampler, FramesAreTheEstimatesAlongTheWay) {
  Sampler sampler = small_sampler();
  std::vector<Tensor> estimates;
  sampler.on_step = [&](const SamplerStep& step) {
    estimates.push_back(sampler.encoder().decode(step.denoised));
  };
  sampler.frames = 3;
  const GeneratedBatch batch = sampler.generate({1, 2});
  ASSERT_EQ(batch.frames.sizes(), at::IntArrayRef({2, 3, 3, 16, 16}));
  EXPECT_TRUE(batch.frames.select(1, 0).equal(estimates[0]));
  EXPECT_TRUE(batch.frames.select(1, 1).equal(estimates[2]));
  EXPECT_TRUE(batch.frames.select(1, 2).equal(batch.images));
  sampler.frames = 1;
  EXPECT_TRUE(sampler.generate({1, 2}).frames.select(1, 0).equal(batch.images));
  sampler.frames = 0;
  EXPECT_FALSE(sampler.generate({1, 2}).frames.defined());
}

TEST(Sampler, FrameStepsAreEvenAndEndWithTheLast) {
  using Steps = std::vector<int64_t>;
  EXPECT_EQ(frame_steps(1, 32), (Steps{31}));
  EXPECT_EQ(frame_steps(2, 32), (Steps{0, 31}));
  EXPECT_EQ(frame_steps(4, 10), (Steps{0, 3, 6, 9}));
  EXPECT_EQ(frame_steps(8, 3), (Steps{0, 1, 2}));
  EXPECT_EQ(frame_steps(5, 1), (Steps{0}));
  EXPECT_EQ(frame_steps(0, 32), (Steps{}));
  for (int64_t n = 1; n <= 40; ++n)
    for (int64_t frames = 1; frames <= 40; ++frames) {
      const Steps steps = frame_steps(frames, n);
      EXPECT_EQ(static_cast<int64_t>(steps.size()), std::min(frames, n));
      EXPECT_EQ(steps.back(), n - 1);
      for (size_t i = 1; i < steps.size(); ++i) EXPECT_LT(steps[i - 1], steps[i]);
    }
}

TEST(Sampler, LoadsFromFilesAndGuides) {
  const test::TempDir dir;
  save_snapshot(dir / "net.pkl", test::small_snapshot(5), SnapshotFormat::pickle);
  save_snapshot(dir / "guide.pkl", test::small_snapshot(0, 8), SnapshotFormat::pickle);
  Sampler sampler(dir / "net.pkl", "cpu");
  sampler.options.num_steps = 4;
  const Tensor plain = sampler.generate({1}).latents;
  EXPECT_TRUE(plain.equal(small_sampler().generate({1}).latents));
  sampler.set_guide(dir / "guide.pkl", 1.5);
  EXPECT_FALSE(plain.equal(sampler.generate({1}).latents));
  sampler.options.guidance = 1;  // the guide stays, but is not asked
  EXPECT_TRUE(plain.equal(sampler.generate({1}).latents));
}

TEST(Sampler, RefusesWhatCannotWork) {
  EXPECT_THROW(Sampler("no/such/file.pkl"), Error);
  Sampler sampler = small_sampler();
  EXPECT_THROW(sampler.generate(std::vector<int64_t>()), Error);
  EXPECT_THROW(sampler.set_guide(test::small_snapshot(5, 1, 8), 2), Error);  // another resolution
  EXPECT_THROW(sampler.set_guide(test::small_snapshot(3), 2), Error);        // other classes
  sampler.options.guidance = 2;
  EXPECT_THROW(sampler.generate({1}), Error);
  sampler.options.guidance = 1;
  sampler.class_idx = 5;
  EXPECT_THROW(sampler.generate({1}), Error);
  sampler.class_idx = 4;
  sampler.max_batch_size = 0;
  EXPECT_THROW(sampler.generate({1}), Error);
  sampler.max_batch_size = 1;
  sampler.options.sigma_min = 100;
  EXPECT_THROW(sampler.generate({1}), UsageError);
}

}  // namespace edm2
