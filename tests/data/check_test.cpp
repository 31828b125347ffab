#include "edm2/data/check.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "edm2/core/error.h"
#include "edm2/data/encoder.h"
#include "edm2/io/atomic_file.h"
#include "edm2/io/npz.h"
#include "support/paths.h"

namespace edm2 {
namespace {
namespace fs = std::filesystem;

void write_grey_picture(const fs::path& path, int64_t width, int64_t height, uint8_t value) {
  fs::create_directories(path.parent_path());
  write_file(path,
             encode_png({width, height, 3,
                         std::vector<uint8_t>(static_cast<size_t>(3 * width * height), value)}));
}

DatasetReport check(const fs::path& path) {
  return check_dataset({.path = path}, 2, *make_progress(ProgressStyle::quiet));
}

}  // namespace

TEST(CheckDataset, ADatasetToTrainOn) {
  const test::TempDir dir;
  for (int i = 0; i < 4; ++i)
    write_grey_picture(dir / (std::string(i < 3 ? "a/" : "b/") + std::to_string(i) + ".png"), 8, 8,
                       static_cast<uint8_t>(i));
  const DatasetReport report = check(dir.path());
  EXPECT_EQ(report.kind, "folder");
  EXPECT_EQ(report.pictures, 4);
  EXPECT_EQ(report.shapes, (std::map<std::string, int64_t>{{"3x8x8", 4}}));
  EXPECT_EQ(report.labels, "classes");
  EXPECT_EQ(report.label_dim, 2);
  EXPECT_EQ(report.classes, (std::map<int64_t, int64_t>{{0, 3}, {1, 1}}));
  EXPECT_TRUE(report.obstacles.empty());
  EXPECT_NE(to_text(report).find("Training:   possible"), std::string::npos);
  EXPECT_EQ(to_json(report)["trainable"], true);
}

TEST(CheckDataset, TellsAllThatIsWrong) {
  const test::TempDir dir;
  write_grey_picture(dir / "1.png", 8, 8, 1);
  write_grey_picture(dir / "2.png", 8, 4, 1);
  write_grey_picture(dir / "3.png", 8, 8, 1);  // as the first, packed otherwise
  write_file(dir / "3.png", encode_png({8, 8, 3, std::vector<uint8_t>(192, 1)}, 0));
  write_file(dir / "4.png", std::string_view("broken"));
  write_file(dir / "5.npy", npy_bytes(at::zeros({8, 2, 2})));
  write_file(dir / "dataset.json",
             std::string_view(R"({"labels": [["1.png", 3], ["2.png", [1, 2]]]})"));
  const DatasetReport report = check(dir.path());
  EXPECT_EQ(report.pictures, 4);
  EXPECT_EQ(report.latents, 1);
  ASSERT_EQ(report.broken.size(), 1u);
  EXPECT_EQ(report.broken[0].name, "4.png");
  EXPECT_EQ(report.duplicates, (std::vector<std::vector<std::string>>{{"1.png", "3.png"}}));
  EXPECT_EQ(report.labels, "mixed");
  EXPECT_EQ(report.unlabelled, (std::vector<std::string>{"3.png", "4.png", "5.npy"}));
  EXPECT_EQ(report.obstacles.size(), 6u);
  const std::string text = to_text(report);
  for (const char* part :
       {"4.png", "1.png = 3.png", "Training:   impossible", "not square", "Without label: 3"})
    EXPECT_NE(text.find(part), std::string::npos) << text;
}

TEST(ShowDataset, DrawsThePicturesAskedFor) {
  const test::TempDir dir;
  for (int i = 0; i < 5; ++i)
    write_grey_picture(dir / (std::to_string(i) + ".png"), 4, 4, static_cast<uint8_t>(50 * i));
  write_grey_picture(dir / "9.png", 8, 4, 99);
  const auto encoder = make_encoder(stability_vae_options());
  const auto show = [&](ShowOptions options) {
    options.source.path = dir.path();
    return show_dataset(options, *encoder, false, *make_progress(ProgressStyle::quiet));
  };
  const auto pixel = [](const Image& image, int64_t x, int64_t y) {
    return static_cast<int>(image.pixels[static_cast<size_t>(3 * (y * image.width + x))]);
  };
  const Image sheet = show({.count = 2, .first = 1, .columns = 2});
  EXPECT_EQ(sheet.width, 2 + 2 * (4 + 2));
  EXPECT_EQ(sheet.height, 2 + 4 + 2);
  EXPECT_EQ(pixel(sheet, 3, 3), 50);
  EXPECT_EQ(pixel(sheet, 9, 3), 100);
  const Image all = show({});  // the wide one is padded to the size of the first
  EXPECT_EQ(all.width, 2 + 3 * 6);
  EXPECT_EQ(pixel(all, 15, 10), 99);
  EXPECT_EQ(pixel(all, 15, 8), 0);
  EXPECT_THROW(show({.first = 6}), Error);
  EXPECT_EQ(show({.count = 3, .random = true, .seed = 1}).pixels,
            show({.count = 3, .random = true, .seed = 1}).pixels);
}

TEST(ShowDataset, LatentsGiveAnImpression) {
  const test::TempDir dir;
  write_file(dir / "a.npy", npy_bytes(at::ones({8, 2, 2})));
  const auto encoder = make_encoder(stability_vae_options());
  const Image sheet = show_dataset({.source = {.path = dir.path()}}, *encoder, false,
                                   *make_progress(ProgressStyle::quiet));
  EXPECT_EQ(sheet.width, 2 + 2 + 2);
  EncoderSetup setup;
  setup.vae = test::data_dir() / "vae";
  const auto decoder = make_encoder(stability_vae_options(), setup);
  EXPECT_EQ(show_dataset({.source = {.path = dir.path()}}, *decoder, true,
                         *make_progress(ProgressStyle::quiet))
                .width,
            2 + 4 + 2);
}

}  // namespace edm2
