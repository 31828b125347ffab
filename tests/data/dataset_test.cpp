#include "edm2/data/dataset.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "edm2/core/error.h"
#include "edm2/data/loader.h"
#include "edm2/io/atomic_file.h"
#include "edm2/io/image.h"
#include "edm2/io/npz.h"
#include "edm2/io/zip.h"
#include "support/paths.h"

namespace edm2 {
namespace {
namespace fs = std::filesystem;

/// A picture whose every pixel is `value` but the first, which is 255.
std::vector<std::byte> picture(int64_t width, int64_t height, uint8_t value, int64_t channels = 3) {
  Image image{width, height, channels,
              std::vector<uint8_t>(static_cast<size_t>(width * height * channels), value)};
  image.pixels[0] = 255;
  return encode_png(image);
}

void write(const fs::path& path, std::span<const std::byte> bytes) {
  fs::create_directories(path.parent_path());
  write_file(path, bytes);
}

/// Pictures 0.png, 1.png, ... of 4x4 pixels, the number as colour, and a dataset.json if it is not
/// "".
void make_folder(const fs::path& folder, int count, const std::string& labels) {
  for (int i = 0; i < count; ++i)
    write(folder / (std::to_string(i) + ".png"), picture(4, 4, static_cast<uint8_t>(i)));
  if (!labels.empty()) write_file(folder / "dataset.json", labels);
}

std::string error_of(const ImageDatasetOptions& options) {
  try {
    const ImageDataset dataset(options);
    for (int64_t i = 0; i < dataset.size(); ++i) dataset.item(i);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

std::vector<int64_t> to_vector(const Tensor& tensor) {
  const Tensor values = tensor.to(at::kLong).contiguous().flatten();
  const auto* data = values.const_data_ptr<int64_t>();
  return {data, data + values.numel()};
}

std::vector<std::string> item_names(const ImageDataset& dataset) {
  std::vector<std::string> names;
  for (int64_t i = 0; i < dataset.size(); ++i) names.push_back(dataset.item_name(i));
  return names;
}

}  // namespace

TEST(ImageDataset, ReadsPicturesAndClasses) {
  const test::TempDir dir;
  make_folder(dir.path(), 3,
              R"({"labels": [["2.png", 4], ["0.png", 0], ["1.png", 1], ["gone.png", 9]]})");
  const ImageDataset dataset({.path = dir.path()});
  EXPECT_EQ(dataset.size(), 3);
  EXPECT_EQ(dataset.image_shape(), (std::vector<int64_t>{3, 4, 4}));
  EXPECT_EQ(dataset.label_dim(), 5);
  const auto item = dataset.item(2);
  EXPECT_EQ(item.image.scalar_type(), at::kByte);
  EXPECT_EQ(item.image[0][0][0].item<int>(), 255);
  EXPECT_EQ(item.image[1][0][0].item<int>(), 2);
  EXPECT_TRUE(item.label.equal(at::tensor({0.f, 0.f, 0.f, 0.f, 1.f})));

  const ImageDataset unlabelled({.path = dir.path(), .use_labels = false});
  EXPECT_EQ(unlabelled.label_dim(), 0);
  EXPECT_EQ(unlabelled.item(0).label.sizes(), (std::vector<int64_t>{0}));
}

TEST(ImageDataset, ReadsVectorLabels) {
  const test::TempDir dir;
  make_folder(dir.path(), 2, R"({"labels": [["0.png", [0.5, 1]], ["1.png", [2, 3.25]]]})");
  const ImageDataset dataset({.path = dir.path()});
  EXPECT_EQ(dataset.label_dim(), 2);
  EXPECT_TRUE(dataset.item(1).label.equal(at::tensor({2.f, 3.25f})));
}

TEST(ImageDataset, ReadsStoredLatents) {
  const test::TempDir dir;
  const Tensor latents = at::randn({8, 2, 3});
  write_file(dir / "b.npy", npy_bytes(latents));
  write_file(dir / "a.NPY", npy_bytes(at::zeros({4, 2, 2, 3})));
  const ImageDataset dataset({.path = dir.path()});
  EXPECT_EQ(dataset.image_shape(), (std::vector<int64_t>{8, 2, 3}));
  EXPECT_TRUE(dataset.item(1).image.equal(latents));
}

TEST(ImageDataset, SortsNamesByCodePointAndSkipsOtherFiles) {
  const test::TempDir dir;
  for (const char* name :
       {"b/1.png", "B/1.png", "a.PNG", "a-1.png", "b.png", "\u00e4.png", "z.png", ".png"})
    write(dir / name, picture(2, 2, 0));
  write_file(dir / "notes.txt", std::string_view("no picture"));
  const ImageDataset dataset({.path = dir.path()});
  EXPECT_EQ(item_names(dataset), (std::vector<std::string>{"B/1.png", "a-1.png", "a.PNG", "b.png",
                                                           "b/1.png", "z.png", "\u00e4.png"}));
}

TEST(ImageDataset, FollowsLinksToFilesButNotToFolders) {
  const test::TempDir dir, elsewhere;
  write(elsewhere / "x.png", picture(2, 2, 0));
  fs::create_directories(dir / "sub");
  fs::create_symlink(elsewhere / "x.png", dir / "sub" / "link.png");
  fs::create_directory_symlink(elsewhere.path(), dir / "folder");
  const ImageDataset dataset({.path = dir.path()});
  EXPECT_EQ(item_names(dataset), (std::vector<std::string>{"sub/link.png"}));
}

TEST(ImageDataset, KeepsMaxSizeAndMirrors) {
  const test::TempDir dir;
  make_folder(dir.path(), 10, "");
  const ImageDataset first({.path = dir.path(), .max_size = 4});
  EXPECT_EQ(item_names(first), (std::vector<std::string>{"2.png", "4.png", "8.png", "9.png"}));
  const ImageDataset second({.path = dir.path(), .max_size = 4, .xflip = true, .random_seed = 1});
  EXPECT_EQ(item_names(second), (std::vector<std::string>{"2.png", "4.png", "6.png", "9.png",
                                                          "2.png", "4.png", "6.png", "9.png"}));
  EXPECT_TRUE(second.item(5).image.equal(second.item(1).image.flip(2)));
  EXPECT_FALSE(second.item(5).image.equal(second.item(1).image));
}

TEST(ImageDataset, ReadsTheSameFromFolderAndZipWithAndWithoutCache) {
  const test::TempDir dir;
  const std::string labels = R"({"labels": [["0.png", 0], ["1.png", 1], ["2.png", 1]]})";
  make_folder(dir / "folder", 3, labels);
  ZipWriter zip(dir / "data.ZIP");
  for (const char* name : {"2.png", "dataset.json", "0.png", "1.png"})
    zip.add(name, read_text_file(dir / "folder" / name));
  zip.finish();
  const ImageDataset folder({.path = dir / "folder"}),
      archive({.path = dir / "data.ZIP", .cache_bytes = 0});
  ASSERT_EQ(archive.size(), 3);
  for (int repeat = 0; repeat < 2; ++repeat)
    for (int64_t i = 0; i < 3; ++i) {
      EXPECT_TRUE(folder.item(i).image.equal(archive.item(i).image));
      EXPECT_TRUE(folder.item(i).label.equal(archive.item(i).label));
    }
}

TEST(ImageDataset, SaysWhatIsWrong) {
  const test::TempDir dir;
  const auto expect = [&](const fs::path& path, const std::string& text) {
    EXPECT_NE(error_of({.path = path}).find(text), std::string::npos)
        << error_of({.path = path}) << " | " << text;
  };
  expect(dir / "missing", "does not exist");
  expect(dir / "missing.zip", "does not exist");
  write_file(dir / "text.txt", std::string_view("text"));
  expect(dir / "text.txt", "Path must point to a directory or zip");
  write_file(dir / "text.zip", std::string_view("text"));
  expect(dir / "text.zip", "text.zip");
  fs::create_directory(dir / "empty");
  expect(dir / "empty", "No image files found in the specified path");

  make_folder(dir / "broken", 3, "");
  fs::resize_file(dir / "broken" / "1.png", 60);
  expect(dir / "broken", "1.png");
  make_folder(dir / "mixed", 3, "");
  write(dir / "mixed" / "1.png", picture(4, 5, 0));
  expect(dir / "mixed", "'1.png' in");
  expect(dir / "mixed", "3x5x4");
  make_folder(dir / "grey", 3, "");
  write(dir / "grey" / "2.png", picture(4, 4, 0, 1));
  expect(dir / "grey", "1x4x4");
  make_folder(dir / "types", 1, "");
  write_file(dir / "types" / "1.npy", npy_bytes(at::zeros({3, 4, 4})));
  expect(dir / "types", "all images must be of one type");
  make_folder(dir / "array", 1, "");
  write_file(dir / "array" / "0.npy", npy_bytes(at::zeros({3, 4, 4}, at::kLong)));
  expect(dir / "array", "neither uint8 nor float32");
}

TEST(ImageDataset, SaysWhatIsWrongWithLabels) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"labels": [["0.png", 0], ["1.png", 1]]})", "has no label for '2.png'"},
      {R"({"labels": [["0.png", 0], ["1.png", 1], ["2.png", null]]})", "has no label for '2.png'"},
      {R"({"labels": [["0.png", 0], ["1.png", 1], ["2.png", -1]]})", "the class -1"},
      {R"({"labels": [["0.png", 0], ["1.png", 1], ["2.png", 99999999999]]})",
       "the class 99999999999"},
      {R"({"labels": [["0.png", 0], ["1.png", [1]], ["2.png", 0]]})", "of another kind"},
      {R"({"labels": [["0.png", [0]], ["1.png", 1], ["2.png", 0]]})", "of another kind"},
      {R"({"labels": [["0.png", [0]], ["1.png", [1, 2]], ["2.png", [0]]]})", "of another length"},
      {R"({"labels": [["0.png", "cat"], ["1.png", 1], ["2.png", 0]]})",
       "neither an integer nor a list"},
      {R"({"labels": [["0.png", []], ["1.png", 1], ["2.png", 0]]})",
       "neither an integer nor a list"},
      {R"({"labels": [["0.png", 0.5], ["1.png", 1], ["2.png", 0]]})", "the class 0.5"},
      {R"({"labels": [["0.png", {}], ["1.png", 1], ["2.png", 0]]})",
       "neither an integer nor a list"},
      {R"({"labels": ["0.png", 3]})", "entry 0 is not one"},
      {R"({"labels": {"0.png": 3}})", "has no label for 2 of 3 pictures, the first is '1.png'"},
      {R"({"labels": "0.png"})", "list of [name, label] pairs"},
      {R"({"labels": [["0.jpg", 0], ["a.png", 1]]})", "has no label for 2 of 3 pictures"},
      {R"({"labels": [["x", 0]]})",
       "any of 3 pictures, the first is '0.png' (it has names such as 'x')"},
      {R"({"classes": []})", "has no key \"labels\""},
      {R"([1, 2])", "has no key \"labels\""},
      {R"({"labels": [)", "is not valid JSON"},
      {"\xff\xfe", "is not valid JSON"},
  };
  for (const auto& [json, text] : cases) {
    const test::TempDir dir;
    make_folder(dir.path(), 3, json);
    EXPECT_NE(error_of({.path = dir.path()}).find(text), std::string::npos)
        << json << ": " << error_of({.path = dir.path()});
    EXPECT_EQ(error_of({.path = dir.path(), .use_labels = false}), "") << json;
  }
}

TEST(ImageDataset, TakesNullLabelsForNone) {
  const test::TempDir dir;
  make_folder(dir.path(), 1, R"({"labels": null})");
  EXPECT_EQ(ImageDataset({.path = dir.path()}).label_dim(), 0);
}

TEST(DatasetGolden, ReadsTheDigits) {
  EDM2_REQUIRE_REFERENCE();
  const ImageDataset dataset({.path = test::reference_dir() / "training" / "digits16.zip"});
  EXPECT_EQ(dataset.size(), 300);
  EXPECT_EQ(dataset.image_shape(), (std::vector<int64_t>{3, 16, 16}));
  EXPECT_EQ(dataset.label_dim(), 10);
  EXPECT_EQ(dataset.item(7).label.argmax().item<int64_t>(),
            7);  // scikit-learn's digits begin 0 1 2 ... 9
}

TEST(InfiniteSampler, GivesTheOrdersOfTheSpecification) {
  InfiniteSampler single(10, 0, 1, 0, 16), even(10, 0, 2), odd(10, 1, 2);
  for (const int64_t index : {4, 3, 2, 6, 0, 7}) EXPECT_EQ(single.next(), index);
  for (const int64_t index : {6, 9, 2, 0, 5, 8, 7, 9, 4, 2, 0, 2}) EXPECT_EQ(even.next(), index);
  for (const int64_t index : {8, 7, 3, 1, 4, 1, 0, 5, 3, 6, 7, 1}) EXPECT_EQ(odd.next(), index);
}

TEST(InfiniteSamplerGolden, EqualsTheReference) {
  EDM2_REQUIRE_REFERENCE();
  const NpzFile expected(test::reference_dir() / "rng" / "training_seeds.npz");
  const auto check = [&](const std::string& name, InfiniteSampler sampler) {
    const auto wanted = to_vector(expected.get(name));
    EXPECT_GT(wanted.size(), 10u);
    for (const int64_t index : wanted) ASSERT_EQ(sampler.next(), index) << name;
  };
  check("sampler_seed0_size300_start0", InfiniteSampler(300));
  check("sampler_seed0_size10_start25", InfiniteSampler(10, 0, 1, 0, 25));
  check("sampler_seed3_size64_start1000", InfiniteSampler(64, 0, 1, 3, 1000));
  check("sampler_2ranks_rank0", InfiniteSampler(10, 0, 2));
  check("sampler_2ranks_rank1", InfiniteSampler(10, 1, 2));
}

TEST(Dataset, KindAndLengthOfLabels) {
  const test::TempDir dir;
  make_folder(dir / "vectors", 2, R"({"labels": [["0.png", [3, 4]], ["1.png", [0, 0.0]]]})");
  make_folder(dir / "classes", 2, R"({"labels": [["0.png", 1], ["1.png", 0]]})");
  make_folder(dir / "none", 2, "");
  const ImageDataset vectors({.path = dir / "vectors"}), classes({.path = dir / "classes"}),
      none({.path = dir / "none"}), unused({.path = dir / "vectors", .use_labels = false});
  EXPECT_EQ(vectors.label_kind(), LabelKind::vectors);
  EXPECT_DOUBLE_EQ(vectors.label_length(), std::sqrt(12.5));
  EXPECT_TRUE(vectors.label(0).equal(at::tensor({3.f, 4.f})));
  EXPECT_EQ(classes.label_kind(), LabelKind::classes);
  EXPECT_EQ(classes.label_length(), 1);
  EXPECT_TRUE(classes.label(0).equal(at::tensor({0.f, 1.f})));
  EXPECT_EQ(none.label_kind(), LabelKind::none);
  EXPECT_EQ(unused.label_kind(), LabelKind::none);
  EXPECT_EQ(none.label_length(), 0);
  EXPECT_EQ(none.image_type(), at::kByte);
}

}  // namespace edm2
