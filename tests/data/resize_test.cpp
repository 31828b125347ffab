#include "edm2/data/resize.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <numbers>

#include "edm2/core/error.h"
#include "edm2/core/random.h"
#include "edm2/io/npz.h"
#include "support/paths.h"
#include "support/python.h"
#include "support/run_program.h"

namespace edm2 {
namespace {

Image picture_of(const Tensor& hwc) {
  Image image{hwc.size(1), hwc.size(0), hwc.size(2), {}};
  const auto* data = hwc.const_data_ptr<uint8_t>();
  image.pixels.assign(data, data + hwc.numel());
  return image;
}

ResizeFilter filter_named(const std::string& name) {
  if (name == "box") return ResizeFilter::box;
  return name == "bicubic" ? ResizeFilter::bicubic : ResizeFilter::lanczos;
}

/// The filters of the literature, straight from their definitions.
double weight(ResizeFilter filter, double x) {
  const auto sinc = [](double t) {
    return t == 0 ? 1.0 : std::sin(std::numbers::pi * t) / (std::numbers::pi * t);
  };
  x = std::abs(x);
  switch (filter) {
    case ResizeFilter::box:
      return x <= 0.5 ? 1 : 0;
    case ResizeFilter::bicubic:
      if (x <= 1) return 1.5 * x * x * x - 2.5 * x * x + 1;
      return x <= 2 ? -0.5 * x * x * x + 2.5 * x * x - 4 * x + 2 : 0;
    default:
      return x < 3 ? sinc(x) * sinc(x / 3) : 0;
  }
}

/// Resamples one axis of [outer, n, inner] in floating point: every output is a normalised weighted
/// mean of all inputs.
std::vector<double> slow_axis(const std::vector<double>& in, int64_t outer, int64_t n,
                              int64_t inner, int64_t m, ResizeFilter filter) {
  const double scale = double(n) / double(m), stretch = std::max(scale, 1.0);
  std::vector<double> out(static_cast<size_t>(outer * m * inner));
  for (int64_t i = 0; i < m; ++i) {
    std::vector<double> weights;
    double sum = 0;
    for (int64_t j = 0; j < n; ++j) {
      weights.push_back(weight(filter, (double(j) + 0.5 - (double(i) + 0.5) * scale) / stretch));
      sum += weights.back();
    }
    for (int64_t o = 0; o < outer; ++o)
      for (int64_t k = 0; k < inner; ++k)
        for (int64_t j = 0; j < n; ++j)
          out[size_t((o * m + i) * inner + k)] +=
              weights[size_t(j)] / sum * in[size_t((o * n + j) * inner + k)];
  }
  return out;
}

}  // namespace

TEST(ResizeGolden, EqualsPillow) {
  const NpzFile expected(test::data_dir() / "pictures.npz");
  int cases = 0;
  for (const std::string& name : expected.names()) {
    int channels = 0, width = 0, height = 0;
    char filter[16] = {};
    if (std::sscanf(name.c_str(), "%d.%15[a-z].%dx%d", &channels, filter, &width, &height) != 4)
      continue;
    const Image noise = picture_of(expected.get("noise." + std::to_string(channels)));
    const Image result = resize(noise, width, height, {.filter = filter_named(filter)});
    EXPECT_EQ(result.pixels, picture_of(expected.get(name)).pixels) << name;
    ++cases;
  }
  EXPECT_EQ(cases, 42);
}

TEST(Resize, RefusesImpossibleSizes) {
  const Image image{1, 1, 1, {7}};
  EXPECT_THROW(resize(image, 0, 1, {.filter = ResizeFilter::box}), Error);
  EXPECT_THROW(resize(image, int64_t{1} << 20, int64_t{1} << 20, {}), Error);
  EXPECT_EQ(resize(image, 3, 2, {}).pixels, std::vector<uint8_t>(6, 7));
}

TEST(Transform, ReadsNamesAndResolutions) {
  EXPECT_EQ(parse_transform(""), Transform::none);
  EXPECT_EQ(parse_transform("center-crop"), Transform::center_crop);
  EXPECT_THROW(parse_transform("centre-crop"), UsageError);
  EXPECT_EQ(parse_resolution("64x32").width, 64);
  EXPECT_EQ(parse_resolution("64,32").height, 32);
  for (const char* bad : {"64", "64x", "x64", "64x-1", "64x64x3", " 64x64", "0x0", "6400000x2", ""})
    EXPECT_THROW(parse_resolution(bad), Error) << bad;
  EXPECT_THROW(check_transform(Transform::center_crop, {}), Error);
  EXPECT_THROW(check_transform(Transform::center_crop_dhariwal, Resolution{64, 32}), Error);
  EXPECT_NO_THROW(check_transform(Transform::none, {}));
}

TEST(Transform, CropsTheMiddle) {
  Image image{5, 2, 1, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}};
  const Image cropped = *apply_transform(image, Transform::center_crop, Resolution{2, 2});
  EXPECT_EQ(cropped.pixels, (std::vector<uint8_t>{1, 2, 6, 7}));
  EXPECT_FALSE(apply_transform(image, Transform::center_crop_wide, Resolution{8, 4}));
  EXPECT_EQ(apply_transform(image, Transform::none, {})->pixels, image.pixels);
}

// Rounding between the passes and fixed-point weights account for one level; ringing that is
// clipped between the passes would make more, so the noise stays clear of the ends of the range.
RC_GTEST_PROP(ResizeProperty, IsTheSameWithEveryInstructionSet, ()) {
  Image image;
  image.width = *rc::gen::inRange<int64_t>(1, 70);
  image.height = *rc::gen::inRange<int64_t>(1, 40);
  image.channels = *rc::gen::inRange<int64_t>(1, 5);
  const int64_t width = *rc::gen::inRange<int64_t>(1, 90),
                height = *rc::gen::inRange<int64_t>(1, 60);
  const auto filter =
      *rc::gen::element(ResizeFilter::box, ResizeFilter::bicubic, ResizeFilter::lanczos);
  // Black and white noise drives the sums beyond both ends of the range.
  NumpyRandom random(*rc::gen::inRange<uint32_t>(0, 1000));
  const bool extreme = *rc::gen::arbitrary<bool>();
  for (int64_t i = 0; i < image.width * image.height * image.channels; ++i) {
    const double x = random.uniform();
    image.pixels.push_back(static_cast<uint8_t>(extreme ? (x < 0.5 ? 0 : 255) : 256 * x));
  }
  ResizeOptions options{.filter = filter, .level = CpuLevel::portable};
  const Image expected = resize(image, width, height, options);
  for (const CpuLevel level : {CpuLevel::avx2, CpuLevel::avx512}) {
    if (level > highest_cpu_level()) continue;
    options.level = level;
    RC_ASSERT(resize(image, width, height, options).pixels == expected.pixels);
  }
}

TEST(Resize, ManyWeightsAtOnce) {
  // 20,000 white and black pixels in a row: tens of thousands of weights for one sum.
  Image image{20'000, 1, 3, std::vector<uint8_t>(60'000, 255)};
  for (const CpuLevel level : {CpuLevel::portable, highest_cpu_level()}) {
    const Image result = resize(image, 1, 1, {.level = level});
    for (const uint8_t value : result.pixels) EXPECT_NEAR(value, 255, 1);
  }
}

RC_GTEST_PROP(ResizeProperty, IsCloseToTheDefinition, ()) {
  Image image;
  image.width = *rc::gen::inRange<int64_t>(1, 24);
  image.height = *rc::gen::inRange<int64_t>(1, 24);
  image.channels = *rc::gen::inRange<int64_t>(1, 5);
  const int64_t width = *rc::gen::inRange<int64_t>(1, 40),
                height = *rc::gen::inRange<int64_t>(1, 40);
  // A box edge that falls on the middle between two samples counts to one side only: avoid ties.
  const auto filter = *rc::gen::element(ResizeFilter::bicubic, ResizeFilter::lanczos);
  image.pixels = *rc::gen::container<std::vector<uint8_t>>(
      size_t(image.width * image.height * image.channels), rc::gen::inRange<uint8_t>(90, 170));
  std::vector<double> exact(image.pixels.begin(), image.pixels.end());
  exact = slow_axis(exact, image.height, image.width, image.channels, width, filter);
  exact = slow_axis(exact, 1, image.height, width * image.channels, height, filter);
  const Image result = resize(image, width, height, {.filter = filter});
  RC_ASSERT(result.pixels.size() == exact.size());
  for (size_t i = 0; i < exact.size(); ++i) RC_ASSERT(std::abs(result.pixels[i] - exact[i]) < 1.6);
}

TEST(Resize, ABoxOnPixelBordersIsACrop) {
  Image image{4, 3, 1, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}};
  EXPECT_EQ(resize(image, 2, 2, {.box = ResizeBox{1, 1, 3, 3}}).pixels,
            (std::vector<uint8_t>{5, 6, 9, 10}));
  EXPECT_THROW(resize(image, 2, 2, {.box = ResizeBox{1, 1, 5, 3}}), Error);
  EXPECT_THROW(resize(image, 2, 2, {.box = ResizeBox{2, 1, 2, 3}}), Error);
}

/// Thousands of random pictures, sizes, filters and boxes, resized by Pillow itself.
void compare_with_pillow(const std::string& version, PillowVersion rules) {
  const char* chosen = std::getenv("EDM2_PILLOW_PYTHON");
  const std::string python = chosen != nullptr ? chosen : test::find_python("PIL, numpy");
  if (python.empty()) GTEST_SKIP() << "no Python with Pillow (set EDM2_PILLOW_PYTHON)";
  const test::TempDir dir;
  const auto run = test::run_command(
      {python, (test::data_dir().parent_path() / "interop/pillow_resize.py").string(), version,
       (dir / "cases.npz").string()},
      {.timeout = std::chrono::minutes(10)});
  if (run.exit_code == 77) GTEST_SKIP() << run.err;
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const NpzFile file(dir / "cases.npz");
  const Tensor sizes = file.get("sizes"), boxes = file.get("boxes");
  const Tensor in = file.get("in"), out = file.get("out");
  const auto* from = in.const_data_ptr<uint8_t>();
  const auto* to = out.const_data_ptr<uint8_t>();
  constexpr ResizeFilter filters[] = {ResizeFilter::box, ResizeFilter::bicubic,
                                      ResizeFilter::lanczos};
  int64_t wrong = 0;
  for (int64_t i = 0; i < sizes.size(0); ++i) {
    const auto* s = sizes.const_data_ptr<int64_t>() + 6 * i;  // w, h, channels, filter, w', h'
    const auto* b = boxes.const_data_ptr<float>() + 4 * i;    // NaN: none
    Image image{s[0], s[1], s[2], {from, from + s[0] * s[1] * s[2]}};
    ResizeOptions options{.filter = filters[s[3]], .pillow = rules};
    if (!std::isnan(b[0])) options.box = ResizeBox{b[0], b[1], b[2], b[3]};
    const Image result = resize(image, s[4], s[5], options);
    const size_t count = static_cast<size_t>(s[4] * s[5] * s[2]);
    ASSERT_EQ(result.pixels.size(), count);
    wrong += std::memcmp(result.pixels.data(), to, count) != 0;
    from += image.pixels.size();
    to += count;
  }
  EXPECT_GE(sizes.size(0), 10'000);
  EXPECT_EQ(wrong, 0);
}

// Pictures with and without alpha through Pillow's own resize(), ImageOps.fit() and pad().
TEST(TransformInterop, EqualsPillow) {
  const char* chosen = std::getenv("EDM2_PILLOW_PYTHON");
  const std::string python = chosen != nullptr ? chosen : test::find_python("PIL, numpy");
  if (python.empty()) GTEST_SKIP() << "no Python with Pillow (set EDM2_PILLOW_PYTHON)";
  const test::TempDir dir;
  const auto run = test::run_command(
      {python, (test::data_dir().parent_path() / "interop/pillow_transform.py").string(),
       (dir / "cases.npz").string()});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const bool new_order = run.out.starts_with("13");
  const NpzFile file(dir / "cases.npz");
  const Tensor sizes = file.get("sizes"), in = file.get("in");
  for (const auto& [name, transform] :
       {std::pair("resized", Transform::none), std::pair("fit", Transform::fit),
        std::pair("pad", Transform::pad)}) {
    const Tensor out = file.get(name);
    const auto* from = in.const_data_ptr<uint8_t>();
    const auto* to = out.const_data_ptr<uint8_t>();
    int64_t wrong = 0;
    for (int64_t i = 0; i < sizes.size(0); ++i) {
      const auto* s = sizes.const_data_ptr<int64_t>() + 5 * i;  // w, h, channels, w', h'
      const Image image{s[0], s[1], s[2], {from, from + s[0] * s[1] * s[2]}};
      const Image result =
          *apply_transform(image, transform, Resolution{s[3], s[4]},
                           new_order ? PillowVersion::v13 : PillowVersion::before_13);
      const auto count = static_cast<size_t>(s[3] * s[4] * s[2]);
      ASSERT_EQ(result.pixels.size(), count);
      wrong += std::memcmp(result.pixels.data(), to, count) != 0;
      from += image.pixels.size();
      to += count;
    }
    EXPECT_EQ(wrong, 0) << name;
  }
  EXPECT_EQ(sizes.size(0), 1500);
}

TEST(ResizePillow10Interop, EqualBytes) { compare_with_pillow("10.4", PillowVersion::before_13); }
TEST(ResizePillow13Interop, EqualBytes) { compare_with_pillow("13.0", PillowVersion::v13); }

}  // namespace edm2
