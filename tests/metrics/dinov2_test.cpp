#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>

#include "edm2/core/error.h"
#include "edm2/io/image.h"
#include "edm2/io/safetensors.h"
#include "edm2/io/torch_file.h"
#include "edm2/metrics/detector.h"
#include "metrics/dinov2_preprocess.h"
#include "metrics/weights.h"
#include "support/golden.h"
#include "support/run_program.h"

namespace edm2 {
namespace {

std::filesystem::path reference() { return test::reference_dir() / "metrics"; }

Tensor load_picture(const std::filesystem::path& path) {
  const std::string bytes = test::read_file(path);
  const Image image = decode_rgb(std::as_bytes(std::span(bytes)), path.string());
  Tensor pixels = at::empty({1, image.height, image.width, 3}, at::kByte);
  std::memcpy(pixels.mutable_data_ptr(), image.pixels.data(), image.pixels.size());
  return pixels.permute({0, 3, 1, 2}).contiguous();
}

}  // namespace

// From the specification: a sine on the 37x37 grid that the published models store.
TEST(DinoPositions, AreInterpolatedWithTheOriginalsScale) {
  const Tensor grid = at::sin(0.37 * at::arange(37 * 37, at::kFloat));
  const Tensor result = interpolate_positions(grid.unsqueeze(1), 16).reshape({16, 16});
  const Tensor first = at::tensor({0.752030, 0.941276, 0.455444, -0.321954}),
               last = at::tensor({-0.316143, 0.488763, 0.972150, 0.786511});
  EXPECT_LT(test::max_difference(result[0].narrow(0, 0, 4), first), 2e-6);
  EXPECT_LT(test::max_difference(result[15].narrow(0, 12, 4), last), 2e-6);
}

TEST(DinoPositions, OfTheRightSizeStayAsTheyAre) {
  const Tensor positions = at::randn({256, 3});
  EXPECT_TRUE(at::equal(interpolate_positions(positions, 16), positions));
  EXPECT_THROW(interpolate_positions(at::randn({255, 3}), 16), Error);
}

TEST(Dinov2Golden, ResizesLikeTheOriginal) {
  EDM2_REQUIRE_REFERENCE();
  const NpzFile expected(reference() / "dino.npz");
  for (const std::string size : {"64", "256", "512"}) {
    const Tensor resized = preprocess_for_dinov2(
        load_picture(reference() / ("dino_input_" + size + ".png")), DinoResize::torch)[0];
    const int64_t step = size == "64" ? 2 : 4;
    const Tensor every = expected.get("resized_" + size + "_every4");
    EXPECT_LT(test::relative_error(resized.slice(1, 0, {}, step).slice(2, 0, {}, step), every),
              1e-5);
    EXPECT_LT(test::relative_error(resized.slice(1, 0, 8).slice(2, 0, 8),
                                   expected.get("resized_" + size + "_corner8")),
              1e-5);
    EXPECT_LT(test::relative_error(resized.slice(1, 216).slice(2, 216),
                                   expected.get("resized_" + size + "_lastcorner8")),
              1e-5);
    const double sum = resized.to(at::kDouble).sum().item<double>(),
                 squares = resized.to(at::kDouble).square().sum().item<double>();
    EXPECT_NEAR(squares / expected.get("resized_" + size + "_sumsq64").item<double>(), 1, 1e-6);
    EXPECT_NEAR(sum, expected.get("resized_" + size + "_sum64").item<double>(), 1e-5 * squares);
  }
}

TEST(Dinov2Golden, FeaturesEqualTheOriginals) {
  EDM2_REQUIRE_REFERENCE();
  const NpzFile expected(reference() / "dino.npz");
  for (const auto resize : {DinoResize::torch, DinoResize::pil}) {
    const auto detector =
        load_dinov2(reference() / "tiny_dinov2.pth", {.resize = resize, .num_heads = 2});
    EXPECT_EQ(detector->feature_dim(), 32);
    EXPECT_EQ(detector->name(), "DINOv2Detector");
    for (const std::string size : {"64", "256", "512"}) {
      const Tensor features =
          detector->features(load_picture(reference() / ("dino_input_" + size + ".png")));
      const std::string name = "features_" + size + (resize == DinoResize::pil ? "_pilresize" : "");
      EXPECT_LT(test::relative_error(features, expected.get(name)), 1e-4) << name;
    }
  }
}

TEST(Dinov2Golden, PositionsEqualTheOriginals) {
  EDM2_REQUIRE_REFERENCE();
  const NpzFile expected(reference() / "dino.npz");
  const StateDict state = read_weights(reference() / "tiny_dinov2.pth");
  const Tensor positions = find_tensor(state, "pos_embed")[0];
  EXPECT_LT(test::relative_error(interpolate_positions(positions.slice(0, 1), 16),
                                 expected.get("pos_embed_interpolated")[0].slice(0, 1)),
            1e-5);
}

}  // namespace edm2
