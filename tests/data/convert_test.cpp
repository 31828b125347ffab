#include "edm2/data/convert.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "edm2/core/error.h"
#include "edm2/data/dataset.h"
#include "edm2/io/atomic_file.h"
#include "edm2/io/image.h"
#include "edm2/io/zip.h"
#include "support/paths.h"
#include "support/run_program.h"

namespace edm2 {
namespace {
namespace fs = std::filesystem;

class Silence : public Progress {
 public:
  void message(const std::string&) override {}
  void start(const std::string&, int64_t, const std::string&) override {}
  void advance(int64_t) override {}
  void finish() override {}
};

ConvertResult convert(const ConvertOptions& options) {
  Silence progress;
  return convert_dataset(options, progress);
}

std::string error_of(const ConvertOptions& options) {
  try {
    convert(options);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

void write_picture(const fs::path& path, int64_t width, int64_t height, uint8_t value = 7) {
  fs::create_directories(path.parent_path());
  write_file(path,
             encode_png({width, height, 3,
                         std::vector<uint8_t>(static_cast<size_t>(3 * width * height), value)}));
}

std::vector<std::string> files_below(const fs::path& folder) {
  std::vector<std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (!entry.is_directory()) files.push_back(fs::relative(entry.path(), folder).generic_string());
  std::sort(files.begin(), files.end());
  return files;
}

std::string zip_text(const ZipReader& zip, const std::string& name) {
  const auto bytes = zip.read(name);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

TEST(ConvertDataset, WritesPicturesThenLabels) {
  const test::TempDir dir;
  write_picture(dir / "in/b/x.png", 4, 4, 1);
  write_picture(dir / "in/a/y.png", 4, 4, 2);
  write_picture(dir / "in/b/more/z.png", 4, 4, 3);
  write_file(dir / "in/notes.txt", std::string_view("no picture"));
  const auto result = convert({.source = dir / "in", .dest = dir / "new/out.zip"});
  EXPECT_EQ(result.written, 3);
  const ZipReader zip(dir / "new/out.zip");
  EXPECT_EQ(zip.names(), (std::vector<std::string>{"00000/img00000000.png", "00000/img00000001.png",
                                                   "00000/img00000002.png", "dataset.json"}));
  EXPECT_EQ(
      zip_text(zip, "dataset.json"),
      R"({"labels": [["00000/img00000000.png", 0], ["00000/img00000001.png", 1], ["00000/img00000002.png", 1]]})");
  for (const auto& entry : zip.entries()) EXPECT_EQ(entry.size, entry.packed_size);
  for (uint8_t i = 0; i < 3; ++i) {
    const uint8_t expected[] = {2, 3, 1};
    EXPECT_EQ(decode_image(zip.read(i), "x").pixels, std::vector<uint8_t>(48, expected[i]));
  }
}

TEST(ConvertDataset, WritesTheSameToFolderAndZip) {
  const test::TempDir dir;
  for (const char* name : {"in/a.png", "in/b.png"}) write_picture(dir / name, 6, 6);
  const Resolution size{8, 8};
  convert({.source = dir / "in", .dest = dir / "out.zip", .resolution = size});
  fs::create_directory(dir / "out");
  convert({.source = dir / "in", .dest = (dir / "out").string() + "/", .resolution = size});
  const ZipReader zip(dir / "out.zip");
  auto names = zip.names();
  std::sort(names.begin(), names.end());
  EXPECT_EQ(files_below(dir / "out"), names);
  for (const auto& name : names) EXPECT_EQ(read_text_file(dir / "out" / name), zip_text(zip, name));
  EXPECT_EQ(zip_text(zip, "dataset.json"), R"({"labels": null})");
}

TEST(ConvertDataset, CarriesLabelsOver) {
  const test::TempDir dir;
  write_picture(dir / "in/a/1.png", 2, 2);
  write_picture(dir / "in/b/2.png", 2, 2);
  const auto labels_with = [&](const std::string& labels) {
    write_file(dir / "in/dataset.json", labels);
    convert({.source = dir / "in", .dest = dir / "out.zip"});
    return zip_text(ZipReader(dir / "out.zip"), "dataset.json");
  };
  EXPECT_EQ(labels_with(R"({"labels": [["b/2.png", 5], ["a/1.png", [1, 0.5]]]})"),
            R"({"labels": [["00000/img00000000.png", [1, 0.5]], ["00000/img00000001.png", 5]]})");
  EXPECT_EQ(labels_with(R"({"labels": [["b/2.png", 5]]})"), R"({"labels": null})");
  // No labels in the file: the folders' names count.
  EXPECT_EQ(labels_with(R"({"labels": null})"),
            R"({"labels": [["00000/img00000000.png", 0], ["00000/img00000001.png", 1]]})");
}

TEST(ConvertDataset, RanksFoldersBeforeCutting) {
  const test::TempDir dir;
  write_picture(dir / "in/b/1.png", 2, 2);
  write_picture(dir / "in/a.png", 2, 2);
  write_picture(dir / "in/c/1.png", 2, 2);
  convert({.source = dir / "in", .dest = dir / "out", .max_images = 2});
  EXPECT_EQ(read_text_file(dir / "out/dataset.json"),
            R"({"labels": [["00000/img00000000.png", 0], ["00000/img00000001.png", 1]]})");
}

TEST(ConvertDataset, FollowsFolderLinksButNotInCircles) {
  const test::TempDir dir;
  write_picture(dir / "elsewhere/1.png", 2, 2);
  write_picture(dir / "in/0.png", 2, 2);
  fs::create_directory_symlink(dir / "elsewhere", dir / "in/link");
  EXPECT_EQ(convert({.source = dir / "in", .dest = dir / "out.zip"}).written, 2);
  fs::create_directory_symlink(dir / "in", dir / "in/loop");
  EXPECT_NE(error_of({.source = dir / "in", .dest = dir / "out2.zip"}).find("leads back"),
            std::string::npos);
}

TEST(ConvertDataset, SaysWhatIsWrongAndLeavesNothing) {
  const test::TempDir dir;
  write_picture(dir / "in/a.png", 4, 4);
  write_picture(dir / "in/b.png", 8, 8);
  fs::create_directory(dir / "empty");
  write_picture(dir / "full/a.png", 4, 4);
  write_picture(dir / "odd/a.png", 48, 48);
  write_picture(dir / "flat/a.png", 4, 2);
  write_picture(dir / "broken/a.png", 4, 4);
  write_picture(dir / "broken/b.png", 4, 4);
  fs::resize_file(dir / "broken/b.png", 50);
  fs::create_directory(dir / "foreign");
  write_file(dir / "foreign/a.webp", std::string_view("RIFF"));
  write_file(dir / "text.txt", std::string_view("text"));
  const auto before = files_below(dir.path());

  const std::string in = dir / "in";
  const std::pair<ConvertOptions, const char*> cases[] = {
      {{.source = in, .dest = ""},
       "--dest output filename or directory must not be an empty string"},
      {{.source = in, .dest = dir / "full"}, "--dest folder must be empty"},
      {{.source = in, .dest = in}, "--dest folder must be empty"},
      {{.source = dir / "nosuch", .dest = dir / "out.zip"}, "Missing input file or directory: "},
      {{.source = dir / "text.txt", .dest = dir / "out.zip"}, "Only zip archives are supported: "},
      {{.source = dir / "empty", .dest = dir / "out.zip"}, "there are no pictures"},
      {{.source = in, .dest = dir / "out.zip"}, "Image b.png attributes must be equal"},
      {{.source = in, .dest = dir / "out"}, "  dataset width/cur image width: 4/8\n"},
      {{.source = dir / "odd", .dest = dir / "out"}, "power-of-two"},
      {{.source = dir / "flat", .dest = dir / "out"}, "required to be square.  Got 4x2"},
      {{.source = dir / "broken", .dest = dir / "out.zip"}, "b.png"},
      {{.source = dir / "foreign", .dest = dir / "out.zip"}, "'a.webp' is no picture"},
      {{.source = in, .dest = dir / "out.zip", .transform = Transform::center_crop},
       "must specify --resolution=WxH"},
      {{.source = in,
        .dest = dir / "out.zip",
        .transform = Transform::center_crop_wide,
        .resolution = Resolution{64, 32}},
       "smaller than the resolution"},
  };
  for (const auto& [options, text] : cases)
    EXPECT_NE(error_of(options).find(text), std::string::npos)
        << error_of(options) << " | " << text;
  EXPECT_THROW(convert({.source = in, .dest = dir / "out.zip", .max_images = 0}), UsageError);
  EXPECT_EQ(files_below(dir.path()), before);
  EXPECT_FALSE(fs::exists(dir / "out"));
}

// The official tool's results. Its inputs also hold BMP and WebP files, which are left out here;
// numbers are the places of the others among all inputs.
TEST(ConvertGolden, EqualsTheOriginal) {
  EDM2_REQUIRE_REFERENCE();
  const fs::path reference = test::reference_dir() / "dataset";
  const std::pair<const char*, int> inputs[] = {
      {"cat/a_rgb.png", 0},  {"cat/b_rgba.png", 1},    {"cat/c_photo.jpg", 2},
      {"dog/b_gray.png", 4}, {"dog/c_palette.png", 5}, {"zebra/a_gray16.png", 6}};
  const test::TempDir dir;
  for (const auto& [name, place] : inputs) {
    fs::create_directories((dir / "in" / name).parent_path());
    fs::copy_file(reference / "in" / name, dir / "in" / name);
  }
  const std::tuple<const char*, Transform, Resolution> runs[] = {
      {"none_64x64", Transform::none, {64, 64}},
      {"crop_64x64", Transform::center_crop, {64, 64}},
      {"wide_64x32", Transform::center_crop_wide, {64, 32}},
      {"wide_64x64", Transform::center_crop_wide, {64, 64}},
      {"dhariwal_64x64", Transform::center_crop_dhariwal, {64, 64}},
  };
  char name[64];
  for (const auto& [run, transform, size] : runs) {
    convert({.source = dir / "in",
             .dest = dir / "out.zip",
             .transform = transform,
             .resolution = size});
    const ZipReader ours(dir / "out.zip"), theirs(reference / "out" / (std::string(run) + ".zip"));
    int compared = 0;
    for (int i = 0; i < 6; ++i) {
      std::snprintf(name, sizeof(name), "00000/img%08d.png", i);
      const std::string our_name = name;
      std::snprintf(name, sizeof(name), "00000/img%08d.png", inputs[i].second);
      ASSERT_EQ(ours.contains(our_name), theirs.contains(name)) << run << ' ' << name;
      if (!ours.contains(our_name)) continue;
      const auto a = decode_image(ours.read(our_name), our_name),
                 b = decode_image(theirs.read(name), name);
      ASSERT_EQ(a.pixels.size(), b.pixels.size());
      int worst = 0;
      for (size_t p = 0; p < a.pixels.size(); ++p)
        worst = std::max(worst, std::abs(a.pixels[p] - b.pixels[p]));
      EXPECT_LE(worst, inputs[i].second == 2 ? 3 : 0)
          << run << ' ' << inputs[i].first;  // 2: the JPEG
      ++compared;
    }
    EXPECT_GE(compared, 2) << run;
  }
}

TEST(ConvertGolden, ReadsTheOriginalsOutput) {
  EDM2_REQUIRE_REFERENCE();
  const fs::path out = test::reference_dir() / "dataset" / "out";
  const test::TempDir dir;
  convert(
      {.source = out / "crop_64x64.zip", .dest = dir / "x.zip", .resolution = Resolution{32, 32}});
  const ZipReader ours(dir / "x.zip"), theirs(out / "from_zip.zip");
  ASSERT_EQ(ours.names(), theirs.names());
  EXPECT_EQ(zip_text(ours, "dataset.json"), zip_text(theirs, "dataset.json"));
  for (const auto& name : ours.names()) {
    if (name == "dataset.json") continue;
    EXPECT_EQ(decode_image(ours.read(name), name).pixels,
              decode_image(theirs.read(name), name).pixels)
        << name;
  }
}

}  // namespace edm2
