#include "edm2/metrics/feature_pass.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <fstream>
#include <thread>

#include "edm2/core/error.h"
#include "edm2/io/atomic_file.h"
#include "edm2/io/image.h"
#include "edm2/io/npz.h"
#include "support/checks.h"
#include "support/golden.h"

namespace edm2 {
namespace {

/// Features that can be checked by hand: mean and a corner of each channel.
class PlainDetector final : public Detector {
 public:
  PlainDetector() : Detector({}) {}
  std::string name() const override { return "PlainDetector"; }
  int64_t feature_dim() const override { return 6; }
  std::string resize_method() const override { return "none"; }

 protected:
  Tensor forward(const Tensor& pixels) const override {
    const Tensor x = pixels.to(at::kFloat);
    return at::cat({x.mean({2, 3}), x.select(3, 0).select(2, 0)}, 1);
  }
};

Tensor random_pictures(int64_t count, uint64_t seed = 1) {
  at::manual_seed(seed);
  return at::randint(0, 256, {count, 3, 8, 8}, at::kByte);
}

void write_npz_pictures(const std::filesystem::path& path, const Tensor& pictures) {
  write_npz(path, {{"arr_0", pictures.permute({0, 2, 3, 1}).contiguous()}});
}

void write_folder(const std::filesystem::path& folder, const Tensor& pictures) {
  std::filesystem::create_directories(folder);
  for (int64_t i = 0; i < pictures.size(0); ++i) {
    const Tensor hwc = pictures[i].permute({1, 2, 0}).contiguous();
    Image image{pictures.size(3), pictures.size(2), pictures.size(1), {}};
    image.pixels.assign(hwc.const_data_ptr<uint8_t>(), hwc.const_data_ptr<uint8_t>() + hwc.numel());
    char name[32];
    std::snprintf(name, sizeof name, "%05lld.png", static_cast<long long>(i));
    write_file(folder / name, encode_png(image));
  }
}

FeatureSet run_pass(const PictureSet& pictures, int64_t batch, bool keep = true) {
  const PlainDetector detector;
  const auto group = ProcessGroup::single();
  const auto progress = make_progress(ProgressStyle::quiet);
  return compute_features(
      {{DetectorKind::inception, &detector}}, {pictures.size(), batch, keep},
      [&](std::vector<Part> parts) { return pictures.stream(std::move(parts), 2); }, *group,
      *progress);
}

}  // namespace

TEST(SplitAmong, DividesAsTheOriginal) {
  const auto sizes = [](int64_t count, int64_t batch, int processes) {
    std::vector<int64_t> result;
    for (const Part& part : split_among(count, batch, processes)) result.push_back(part.size());
    return result;
  };
  EXPECT_EQ(sizes(10, 4, 1), (std::vector<int64_t>{4, 3, 3}));
  EXPECT_EQ(sizes(10, 4, 2), (std::vector<int64_t>{3, 3, 2, 2}));
  EXPECT_EQ(sizes(2, 64, 3), (std::vector<int64_t>{1, 1, 0}));
  EXPECT_EQ(sizes(64, 64, 1), (std::vector<int64_t>{64}));
  const auto parts = split_among(1000, 7, 3);
  EXPECT_EQ(parts.size() % 3, 0u);
  EXPECT_EQ(parts.back().end, 1000);
}

TEST(FeaturePass, BatchesAndKindsOfFilesDoNotMatter) {
  const test::TempDir dir;
  const Tensor pictures = random_pictures(37);
  write_folder(dir / "folder", pictures);
  write_npz_pictures(dir / "array.npz", pictures);
  const auto folder = open_pictures({dir / "folder"});
  const auto array = open_pictures({dir / "array.npz"});
  const FeatureSet expected = run_pass(*folder, 64);
  EXPECT_EQ(expected.num_images, 37);
  const Tensor features = expected.find_features("fid");
  EXPECT_TRUE(
      at::equal(features.slice(1, 3, 6), pictures.select(3, 0).select(2, 0).to(at::kFloat)));
  const Tensor x = features.to(at::kDouble);
  EXPECT_LT(test::relative_error(expected.statistics.find("fid")->sigma, at::cov(x.t())), 1e-12);

  for (const int64_t batch : {1, 5, 36}) {
    const FeatureSet other = run_pass(batch == 5 ? *array : *folder, batch);
    EXPECT_TRUE(at::equal(other.find_features("fid"), features)) << batch;
    EXPECT_TRUE(
        at::equal(other.statistics.find("fid")->sigma, expected.statistics.find("fid")->sigma))
        << batch;
    EXPECT_EQ(other.pictures_sha256, expected.pictures_sha256);
  }
  EXPECT_FALSE(run_pass(*folder, 64, false).find_features("fid").defined());
}

TEST(FeaturePass, TheHashTellsPicturesApart) {
  const test::TempDir dir;
  Tensor pictures = random_pictures(5);
  write_npz_pictures(dir / "a.npz", pictures);
  pictures[4][2][7][7].bitwise_xor_(1);
  write_npz_pictures(dir / "b.npz", pictures);
  EXPECT_NE(run_pass(*open_pictures({dir / "a.npz"}), 2).pictures_sha256,
            run_pass(*open_pictures({dir / "b.npz"}), 2).pictures_sha256);
}

TEST(Pictures, ASubsetIsTheSameInEveryKindOfFile) {
  const test::TempDir dir;
  const Tensor pictures = random_pictures(10);
  write_folder(dir / "folder", pictures);
  write_npz_pictures(dir / "array.npz", pictures);
  const auto folder = open_pictures({dir / "folder", 4, 0});
  const auto array = open_pictures({dir / "array.npz", 4, 0});
  ASSERT_EQ(folder->size(), 4);
  // numpy.random.RandomState(0).shuffle(arange(10)) begins with 2 8 4 9.
  for (const auto& [place, index] : {std::pair{0, 2}, {1, 4}, {2, 8}, {3, 9}}) {
    EXPECT_TRUE(at::equal(folder->picture(place), pictures[index]));
    EXPECT_TRUE(at::equal(array->picture(place), pictures[index]));
  }
}

TEST(Pictures, ArraysAreKnownByTheirContents) {
  const test::TempDir dir;
  const Tensor pictures = random_pictures(4), nhwc = pictures.permute({0, 2, 3, 1}).contiguous();
  for (const char* name : {"a.npz", "a", "a.npy", "a.zip"}) {
    write_npz_pictures(dir / name, pictures);
    EXPECT_TRUE(at::equal(open_pictures({dir / name})->picture(3), pictures[3])) << name;
    write_file(dir / name, npy_bytes(nhwc));
    if (name == std::string("a.zip")) continue;
    EXPECT_TRUE(at::equal(open_pictures({dir / name})->picture(3), pictures[3])) << name;
  }
}

TEST(Pictures, OddOnesAreToldInOneSentence) {
  const test::TempDir dir;
  const auto open_error = [&](const std::string& name) {
    return test::error_of([&] { open_pictures({dir / name}); });
  };
  const auto contains = [](const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  };
  write_folder(dir / "grey", random_pictures(2).slice(1, 0, 1));
  contains(open_error("grey"), "have 1 channel, expected 3 channels (RGB)");
  std::filesystem::create_directories(dir / "empty");
  contains(open_error("empty"), "No image files found in the specified path");
  contains(open_error("absent"), "does not exist");
  write_npz(dir / "x.npz", {{"arr_0", at::zeros({3, 8, 8, 3})}});
  contains(open_error("x.npz"), "is not an array of 8-bit pictures");
  write_npz(dir / "y.npz", {{"pictures", at::zeros({3, 8, 8, 3}, at::kByte)}});
  contains(open_error("y.npz"), "has no array 'arr_0'");
  write_npz(dir / "z.npz", {{"arr_0", at::zeros({3, 8, 8, 1}, at::kByte)}});
  contains(open_error("z.npz"), "have 1 channel, expected 3 channels");
  write_npz(dir / "w.npz", {{"mu", at::zeros({3})}, {"sigma", at::eye(3)}});
  contains(open_error("w.npz"), "has no array 'arr_0' of pictures; it has 'mu', 'sigma'");
  std::filesystem::create_directories(dir / "latents");
  std::ofstream(dir / "latents/a.npy", std::ios::binary) << npy_bytes(at::zeros({8, 4, 4}));
  contains(open_error("latents"), "holds latents, not pictures");

  const auto pass_error = [&](const std::string& name) {
    return test::error_of([&] { run_pass(*open_pictures({dir / name}), 2); });
  };
  write_folder(dir / "broken", random_pictures(4));
  write_file(dir / "broken/00002.png", "no picture");
  contains(pass_error("broken"), "00002.png");
  write_folder(dir / "sizes", random_pictures(4));
  std::filesystem::remove(dir / "sizes/00003.png");
  write_folder(dir / "large", at::zeros({1, 3, 9, 9}, at::kByte));
  std::filesystem::copy(dir / "large/00000.png", dir / "sizes/00004.png");
  contains(pass_error("sizes"), "all images must have one size");
}

TEST(Features, SurviveTheirFile) {
  const test::TempDir dir;
  FeatureSet set;
  set.features = {{"fid", at::rand({5, 4})}, {"fd_dinov2", at::rand({5, 3})}};
  save_features(dir / "f.npz", set);
  const auto loaded = load_features(dir / "f.npz");
  ASSERT_EQ(loaded.size(), 2u);
  EXPECT_TRUE(at::equal(loaded[0].second, set.features[0].second));
  write_npz(dir / "g.npz", {{"fid", at::full({2, 2}, std::nan(""))}});
  EXPECT_NE(test::error_of([&] { load_features(dir / "g.npz"); }).find("not finite"),
            std::string::npos);
  write_npz(dir / "h.npz", {{"mu", at::zeros({2})}});
  EXPECT_NE(test::error_of([&] { load_features(dir / "h.npz"); }).find("holds no features"),
            std::string::npos);
}

}  // namespace edm2
