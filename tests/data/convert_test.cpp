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

DatasetConvertResult convert(const DatasetConvertOptions& options) {
  Silence progress;
  return convert_dataset(options, progress);
}

std::string error_of(const DatasetConvertOptions& options) {
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
  const auto result = convert({.source = {.path = dir / "in"}, .dest = dir / "new/out.zip"});
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
  convert({.source = {.path = dir / "in"}, .dest = dir / "out.zip", .resolution = size});
  fs::create_directory(dir / "out");
  convert(
      {.source = {.path = dir / "in"}, .dest = (dir / "out").string() + "/", .resolution = size});
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
    convert({.source = {.path = dir / "in"}, .dest = dir / "out.zip"});
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
  convert({.source = {.path = dir / "in"}, .dest = dir / "out", .max_images = 2});
  EXPECT_EQ(read_text_file(dir / "out/dataset.json"),
            R"({"labels": [["00000/img00000000.png", 0], ["00000/img00000001.png", 1]]})");
}

TEST(ConvertDataset, FollowsFolderLinksButNotInCircles) {
  const test::TempDir dir;
  write_picture(dir / "elsewhere/1.png", 2, 2);
  write_picture(dir / "in/0.png", 2, 2);
  fs::create_directory_symlink(dir / "elsewhere", dir / "in/link");
  EXPECT_EQ(convert({.source = {.path = dir / "in"}, .dest = dir / "out.zip"}).written, 2);
  fs::create_directory_symlink(dir / "in", dir / "in/loop");
  EXPECT_NE(error_of({.source = {.path = dir / "in"}, .dest = dir / "out2.zip"}).find("leads back"),
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
  const std::pair<DatasetConvertOptions, const char*> cases[] = {
      {{.source = {.path = in}, .dest = ""},
       "--dest output filename or directory must not be an empty string"},
      {{.source = {.path = in}, .dest = dir / "full"}, "--dest folder must be empty"},
      {{.source = {.path = in}, .dest = in}, "--dest folder must be empty"},
      {{.source = {.path = dir / "nosuch"}, .dest = dir / "out.zip"},
       "Missing input file or directory: "},
      {{.source = {.path = dir / "text.txt"}, .dest = dir / "out.zip"},
       "Only zip archives are supported: "},
      {{.source = {.path = dir / "empty"}, .dest = dir / "out.zip"}, "there are no pictures"},
      {{.source = {.path = in}, .dest = dir / "out.zip"}, "Image b.png attributes must be equal"},
      {{.source = {.path = in}, .dest = dir / "out"}, "  dataset width/cur image width: 4/8\n"},
      {{.source = {.path = dir / "odd"}, .dest = dir / "out"}, "power-of-two"},
      {{.source = {.path = dir / "flat"}, .dest = dir / "out"}, "required to be square.  Got 4x2"},
      {{.source = {.path = dir / "broken"}, .dest = dir / "out.zip"}, "b.png"},
      {{.source = {.path = dir / "foreign"}, .dest = dir / "out.zip"}, "'a.webp' is no picture"},
      {{.source = {.path = in}, .dest = dir / "out.zip", .transform = Transform::center_crop},
       "must specify --resolution=WxH"},
      {{.source = {.path = in},
        .dest = dir / "out.zip",
        .transform = Transform::center_crop_wide,
        .resolution = Resolution{64, 32}},
       "smaller than the resolution"},
  };
  for (const auto& [options, text] : cases)
    EXPECT_NE(error_of(options).find(text), std::string::npos)
        << error_of(options) << " | " << text;
  EXPECT_THROW(convert({.source = {.path = in}, .dest = dir / "out.zip", .max_images = 0}),
               UsageError);
  EXPECT_EQ(files_below(dir.path()), before);
  EXPECT_FALSE(fs::exists(dir / "out"));
}

TEST(ConvertDataset, AnyShapeAndKeptChannelsWhereAskedFor) {
  const test::TempDir dir;
  fs::create_directories(dir / "in");
  const auto add = [&](const std::string& name, int64_t channels, uint8_t value) {
    write_file(dir / "in" / name,
               encode_png({6, 4, channels,
                           std::vector<uint8_t>(static_cast<size_t>(24 * channels), value)}));
  };
  const auto shape_of = [&] {
    const ImageDataset dataset({.path = dir / "out.zip"});
    return dataset.image_shape();
  };
  const auto run = [&](Channels channels, bool any_shape) {
    return error_of({.source = {.path = dir / "in"},
                     .dest = dir / "out.zip",
                     .any_shape = any_shape,
                     .channels = channels});
  };
  add("a.png", 1, 9);
  EXPECT_NE(run(Channels::rgb, false).find("square"), std::string::npos);
  EXPECT_EQ(run(Channels::rgb, true), "");
  EXPECT_EQ(shape_of(), (std::vector<int64_t>{3, 4, 6}));
  EXPECT_EQ(run(Channels::keep, true), "");
  EXPECT_EQ(shape_of(), (std::vector<int64_t>{1, 4, 6}));
  add("a.png", 4, 9);
  EXPECT_EQ(run(Channels::keep, true), "");
  EXPECT_EQ(shape_of(), (std::vector<int64_t>{4, 4, 6}));
  add("b.png", 3, 9);
  EXPECT_NE(run(Channels::keep, true).find("b.png has 3 channels, the first one 4"),
            std::string::npos);
}

TEST(ConvertDataset, GoesOnPastBrokenPicturesWhereAskedFor) {
  const test::TempDir dir;
  for (const char* name : {"in/a.png", "in/c.png"}) write_picture(dir / name, 4, 4);
  write_file(dir / "in/b.png", std::string_view("no picture"));
  write_picture(dir / "in/d.png", 8, 8);
  const auto result =
      convert({.source = {.path = dir / "in"}, .dest = dir / "out", .on_error = OnError::skip});
  EXPECT_EQ(result.written, 2);
  ASSERT_EQ(result.problems.size(), 2u);
  EXPECT_EQ(result.problems[0].name, "b.png");
  EXPECT_EQ(result.problems[1].name, "d.png");
  EXPECT_NE(result.problems[1].reason.find("attributes must be equal"), std::string::npos);
  EXPECT_EQ(
      files_below(dir / "out"),
      (std::vector<std::string>{"00000/img00000000.png", "00000/img00000002.png", "dataset.json"}));
}

TEST(ConvertDataset, TheSameOnAnyNumberOfThreads) {
  const test::TempDir dir;
  for (int i = 0; i < 40; ++i)
    write_picture(dir / ("in/" + std::to_string(i) + ".png"), 10 + i, 30 - i / 2,
                  static_cast<uint8_t>(i));
  std::string expected;
  for (const int threads : {1, 2, 5}) {
    convert({.source = {.path = dir / "in"},
             .dest = dir / "out.zip",
             .transform = Transform::center_crop,
             .resolution = Resolution{8, 8},
             .threads = threads});
    const std::string bytes = read_text_file(dir / "out.zip");
    if (expected.empty()) expected = bytes;
    EXPECT_TRUE(bytes == expected) << threads;
  }
}

// Every run of the official tool: pictures, names, gaps in the numbers, labels, refusals.
TEST(ConvertGolden, EqualsTheOriginal) {
  EDM2_REQUIRE_REFERENCE();
  const fs::path reference = test::reference_dir() / "dataset";
  const auto runs = nlohmann::json::parse(read_text_file(reference / "runs.json"))["runs"];
  const test::TempDir dir;
  int converted = 0, refused = 0;
  for (const auto& [name, run] : runs.items()) {
    const std::string dest = name == "empty_dest" ? "" : dir / (name + ".zip");
    std::vector<std::string> words = {
        "dataset", "convert", "--source=" + run["source"].get<std::string>(), "--dest=" + dest};
    for (const auto& word : run["args"]) words.push_back(word);
    const auto result = test::run_edm2(words, {.folder = reference});
    ASSERT_EQ(result.exit_code, run["exit_code"].get<int>()) << name << result.err;
    if (result.exit_code != 0) {
      std::string error = run["error"][0];
      if (name == "crop_nores") error.insert(error.rfind("transform"), " ");  // theirs lacks it
      EXPECT_EQ(result.err, error + "\n") << name;
      EXPECT_FALSE(!dest.empty() && fs::exists(dest)) << name;
      ++refused;
      continue;
    }
    const ZipReader ours(dest), theirs(reference / "out" / (name + ".zip"));
    ASSERT_EQ(ours.names(), run["files"].get<std::vector<std::string>>()) << name;
    EXPECT_EQ(zip_text(ours, "dataset.json"), run["dataset_json"].get<std::string>()) << name;
    for (const std::string& file : ours.names()) {
      if (file == "dataset.json") continue;
      const auto a = decode_image(ours.read(file), file), b = decode_image(theirs.read(file), file);
      ASSERT_EQ(a.pixels.size(), b.pixels.size());
      int worst = 0;
      for (size_t p = 0; p < a.pixels.size(); ++p)
        worst = std::max(worst, std::abs(a.pixels[p] - b.pixels[p]));
      // Numbers 2 and 8 are a JPEG and a lossy WebP; decoders differ.
      const bool lossy = file.ends_with("2.png") || file.ends_with("8.png");
      EXPECT_LE(worst, lossy ? 3 : 0) << name << ' ' << file;
    }
    ++converted;
  }
  EXPECT_EQ(converted, 9);
  EXPECT_EQ(refused, 10);
}

TEST(ConvertGolden, ReadsTheOriginalsOutput) {
  EDM2_REQUIRE_REFERENCE();
  const fs::path out = test::reference_dir() / "dataset" / "out";
  const test::TempDir dir;
  convert({.source = {.path = out / "crop_64x64.zip"},
           .dest = dir / "x.zip",
           .resolution = Resolution{32, 32}});
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
