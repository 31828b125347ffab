// What a network is trained on, and that 'dataset check' says the same.
#include "data/training_view.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "edm2/core/error.h"
#include "edm2/data/check.h"
#include "edm2/data/dataset.h"
#include "edm2/io/atomic_file.h"
#include "edm2/io/image.h"
#include "edm2/io/npz.h"
#include "edm2/io/tar.h"
#include "edm2/io/zip.h"
#include "support/paths.h"

namespace edm2 {
namespace {
namespace fs = std::filesystem;

std::string sample(const std::string& name) {
  return read_text_file(test::data_dir() / "pictures" / name);
}

/// A square of the samples' first pixels is not to be had; this one is drawn.
std::string drawn(int64_t channels, uint8_t value = 7, int64_t side = 8) {
  const auto bytes =
      encode_png({side, side, channels,
                  std::vector<uint8_t>(static_cast<size_t>(side * side * channels), value)});
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string array(at::ScalarType type, at::IntArrayRef shape = {8, 2, 2}) {
  return npy_bytes(at::arange(at::prod(at::tensor(shape)).item<int64_t>()).reshape(shape).to(type));
}

using Files = std::vector<std::pair<std::string, std::string>>;

void put_files(const fs::path& folder, const Files& files) {
  for (const auto& [name, contents] : files) {
    fs::create_directories((folder / name).parent_path());
    write_file(folder / name, contents);
  }
}

/// What training sees: "3x8x8 Byte | note", or "Error: ...".
std::string trained(const fs::path& path) {
  try {
    const ImageDataset dataset({.path = path});
    for (int64_t i = 0; i < dataset.size(); ++i) dataset.item(i);
    std::string text =
        shape_text(dataset.image_shape()) + " " + c10::toString(dataset.image_type());
    for (const std::string& note : dataset.notes()) text += " | " + note;
    return text;
  } catch (const Error& error) {
    return std::string("Error: ") + error.what();
  }
}

DatasetReport checked(const fs::path& path) {
  return check_dataset({.path = path}, 1, *make_progress(ProgressStyle::quiet));
}

}  // namespace

TEST(TrainingView, PicturesOfAllKinds) {
  const std::tuple<const char*, Files, const char*> cases[] = {
      {"palettes",
       {{"1.png", sample("palette8.png")}, {"2.png", sample("palette4_alpha.png")}},
       "3x9x13 Byte | 2 of 2 pictures have a palette and are used as RGB; the first is '1.png'"},
      {"palettes of all formats",
       {{"1.gif", sample("palette.gif")},
        {"2.bmp", sample("palette.bmp")},
        {"3.tif", sample("palette.tif")},
        {"4.png", sample("rgb8.png")}},
       "3x9x13 Byte | 3 of 4 pictures have a palette and are used as RGB; the first is '1.gif'"},
      {"RGB first",
       {{"1.png", sample("rgb8.png")}, {"2.gif", sample("palette.gif")}},
       "3x9x13 Byte | 1 of 2 pictures have a palette and are used as RGB; the first is '2.gif'"},
      {"inks",
       {{"1.jpg", sample("cmyk.jpg")}, {"2.jpg", sample("photo420.jpg")}},
       "3x24x40 Byte | 1 of 2 pictures are CMYK and are used as RGB; the first is '1.jpg'"},
      {"inks of TIFF", {{"1.tif", sample("cmyk.tif")}}, "3x9x13 Byte | 1 of 1 pictures are CMYK"},
      {"grey", {{"1.png", sample("grey8.png")}, {"2.png", sample("grey4.png")}}, "1x9x13 Byte"},
      {"greys of a palette among grey",
       {{"1.png", sample("grey8.png")}, {"2.gif", sample("grey.gif")}},
       "3x9x13 (channels x height x width), the first image is 1x9x13"},
      {"grey of few bits",
       {{"1.png", sample("grey2.png")}, {"2.bmp", sample("grey.bmp")}},
       "1x9x13 Byte"},
      {"alpha",
       {{"1.png", sample("rgba8.png")}, {"2.png", sample("rgba16.png")}},
       "4x9x13 Byte | 2 of 2 pictures have an alpha channel"},
      {"grey and alpha",
       {{"1.png", sample("grey_alpha8.png")}},
       "2x9x13 Byte | 1 of 1 pictures have an alpha channel"},
      {"16 bits of grey",
       {{"1.png", sample("grey8.png")},
        {"2.png", sample("grey16.png")},
        {"3.tif", sample("grey16.tif")}},
       "'2.png' in "},
      {"floating-point grey", {{"1.tif", sample("float32.tif")}}, "has 16 bits or more"},
      {"grey among RGB",
       {{"1.png", sample("rgb8.png")}, {"2.png", sample("grey8.png")}},
       "1x9x13 (channels x height x width), the first image is 3x9x13"},
      {"alpha among RGB",
       {{"1.png", sample("rgb8.png")}, {"2.png", sample("rgba8.png")}},
       "the same channels ('edm2 dataset convert' makes RGB of all)"},
      {"a page among pictures",
       {{"1.png", sample("rgb8.png")}, {"2.jpg", "<html></html>"}},
       "a web page"},
      {"latents", {{"1.npy", array(at::kFloat)}, {"2.npy", array(at::kFloat)}}, "8x2x2 Float"},
      {"latents of 16 and 64 bits",
       {{"1.npy", array(at::kHalf)}, {"2.npy", array(at::kDouble)}, {"3.npy", array(at::kFloat)}},
       "8x2x2 Float | 2 of 3 arrays hold floating-point numbers of 16 or 64 bits"},
      {"latents of whole numbers", {{"1.npy", array(at::kInt)}}, "neither uint8 nor float32"},
      {"bytes", {{"1.npy", array(at::kByte, {3, 4, 4})}}, "3x4x4 Byte"},
      {"latents among pictures",
       {{"1.png", sample("rgb8.png")}, {"2.npy", array(at::kHalf)}},
       "all images must be of one type"},
  };
  for (const auto& [what, files, wanted] : cases) {
    const test::TempDir dir;
    put_files(dir / "in", files);
    ZipWriter zip(dir / "in.zip");
    for (const auto& [name, contents] : files) zip.add(name, contents);
    zip.finish();
    for (const char* path : {"in", "in.zip"}) {
      const std::string text = trained(dir / path);
      EXPECT_NE(text.find(wanted), std::string::npos) << what << ": " << text;
      EXPECT_EQ(text.starts_with("Error"),
                std::string(wanted).find("Byte") == std::string::npos &&
                    std::string(wanted).find("Float") == std::string::npos)
          << text;
    }
  }
}

TEST(TrainingView, HalfAndDoubleLatentsKeepTheirValues) {
  const test::TempDir dir;
  const Tensor latents = at::randn({8, 2, 2});
  put_files(dir.path(), {{"1.npy", npy_bytes(latents.to(at::kDouble))},
                         {"2.npy", npy_bytes(latents.to(at::kHalf))}});
  const ImageDataset dataset({.path = dir.path()});
  EXPECT_TRUE(dataset.item(0).image.equal(latents));
  EXPECT_TRUE(dataset.item(1).image.equal(latents.to(at::kHalf).to(at::kFloat)));
}

TEST(TrainingView, PalettesAreLookedUpAsConvertDoesIt) {
  const test::TempDir dir;
  put_files(dir.path(), {{"1.gif", sample("palette.gif")}});
  const Tensor image = ImageDataset({.path = dir.path()}).item(0).image;
  const std::string text = sample("palette.gif");
  const Image rgb = decode_rgb(std::as_bytes(std::span(text)), "x");
  EXPECT_EQ(to_image(image).pixels, rgb.pixels);
}

// The verdict of check and what training does, over datasets of all kinds.
TEST(CheckDataset, SaysWhatTrainingSays) {
  const Files pictures = {{"0.png", drawn(3, 1)}, {"1.png", drawn(3, 2)}};
  const auto with = [&](Files more) {
    more.insert(more.begin(), pictures.begin(), pictures.end());
    return more;
  };
  const std::string page = "<html></html>";
  const std::pair<const char*, Files> cases[] = {
      {"pictures", pictures},
      {"labels", with({{"dataset.json", R"({"labels": [["0.png", 0], ["1.png", 1]]})"}})},
      {"no labels", with({{"dataset.json", R"({"labels": null})"}})},
      {"vectors",
       with({{"dataset.json", R"({"labels": [["0.png", [1, 2]], ["1.png", [0, 1]]]})"}})},
      {"of one picture", with({{"dataset.json", R"({"labels": [["0.png", 0]]})"}})},
      {"of other pictures",
       with({{"dataset.json", R"({"labels": [["x.png", 0], ["y.png", 1]]})"}})},
      {"negative", with({{"dataset.json", R"({"labels": [["0.png", -1], ["1.png", 1]]})"}})},
      {"lengths", with({{"dataset.json", R"({"labels": [["0.png", [1]], ["1.png", [0, 1]]]})"}})},
      {"no JSON", with({{"dataset.json", "{"}})},
      {"folders are classes", {{"a/0.png", drawn(3, 1)}, {"b/1.png", drawn(3, 2)}}},
      {"grey", {{"0.png", drawn(1)}, {"1.png", drawn(1)}}},
      {"grey and colour", {{"0.png", drawn(1)}, {"1.png", drawn(3)}}},
      {"alpha", {{"0.png", drawn(4)}, {"1.png", drawn(4)}}},
      {"sizes", {{"0.png", drawn(3)}, {"1.png", drawn(3, 1, 16)}}},
      {"not square", {{"0.png", sample("rgb8.png")}}},
      {"16 bits", {{"0.png", sample("grey16.png")}}},
      {"damaged", with({{"2.png", drawn(3).substr(0, 60)}})},
      {"a page", with({{"2.png", page}})},
      {"latents", {{"0.npy", array(at::kHalf)}, {"1.npy", array(at::kFloat)}}},
      {"too many channels", {{"0.npy", array(at::kFloat, {7, 2, 2})}}},
      {"whole numbers", {{"0.npy", array(at::kLong)}}},
      {"both", with({{"2.npy", array(at::kFloat)}})},
      {"nothing", {{"readme.txt", "x"}}},
  };
  for (const auto& [what, files] : cases) {
    const test::TempDir dir;
    put_files(dir.path(), files);
    DatasetReport report;
    std::string check_error;
    try {
      report = checked(dir.path());
    } catch (const Error& error) {
      check_error = error.what();
    }
    const bool possible = check_error.empty() && report.obstacles.empty();
    const std::string training = trained(dir.path());
    bool fits = !training.starts_with("Error");
    if (fits) {  // what the trainer asks of it besides
      const ImageDataset dataset({.path = dir.path()});
      const auto& shape = dataset.image_shape();
      fits = shape[1] == shape[2] && shape[0] != 7 &&
             (report.labelled == 0 || dataset.label_dim() > 0);
    }
    EXPECT_EQ(possible, fits) << what << ": " << training << " / " << check_error
                              << to_text(report);
  }
}

TEST(CheckDataset, TellsWhatTrainingWouldNotSee) {
  const test::TempDir dir, elsewhere;
  put_files(elsewhere.path(), {{"2.png", drawn(3, 2)}});
  put_files(dir.path(), {{"1.png", drawn(3, 1)}});
  fs::create_directory_symlink(elsewhere.path(), dir / "linked");
  const DatasetReport report = checked(dir.path());
  ASSERT_EQ(report.obstacles.size(), 1u);
  EXPECT_NE(report.obstacles[0].find("sees 1 of these 2"), std::string::npos);
}

TEST(CheckDataset, NotesSecondCopies) {
  const test::TempDir dir;
  put_files(dir.path(), {{"a.png", drawn(3, 1)},
                         {"a (1).png", drawn(3, 1)},
                         {"a(2).png", drawn(3, 1)},
                         {"a - Copy.png", drawn(3, 1)},
                         {"a copy 3.png", drawn(3, 1)},
                         {"b (1).png", drawn(3, 2)}});
  const DatasetReport report = checked(dir.path());
  ASSERT_EQ(report.notes.size(), 1u);
  EXPECT_EQ(report.notes[0], "4 names look like that of a second copy: 'a (1).png' beside 'a.png'");
}

TEST(CheckDataset, CutsLongListsAndEscapesNames) {
  DatasetReport report;
  report.path = "x\x1b[2J";
  for (int g = 0; g < 30; ++g) {
    auto& names = report.duplicates.emplace_back();
    for (int i = 0; i < 5000; ++i)
      names.push_back("img" + std::to_string(i) + "\x1b[31m" + std::string(500, 'x') + ".png");
  }
  report.broken.push_back({"a\nb.png", std::string(100'000, 'r')});
  report.notes = {"note\x07"};
  const std::string text = to_text(report);
  EXPECT_LT(text.size(), 20'000u);
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_EQ(text.find('\x07'), std::string::npos);
  EXPECT_NE(text.find("and 4996 more"), std::string::npos);
  EXPECT_NE(text.find("and 10 more (--json lists all)"), std::string::npos);
  EXPECT_EQ(to_json(report)["duplicates"][0].size(), 5000u);
}

}  // namespace edm2
