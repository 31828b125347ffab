// Sources as they are found on people's disks: what systems leave behind, unpacked and packed
// archives, several pictures in a sample.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "data/picture_source.h"
#include "edm2/core/error.h"
#include "edm2/data/dataset.h"
#include "edm2/io/atomic_file.h"
#include "edm2/io/pickle.h"
#include "edm2/io/tar.h"
#include "edm2/io/zip.h"
#include "support/gzip.h"
#include "support/paths.h"

namespace edm2 {
namespace {

using test::gzipped;
namespace fs = std::filesystem;
using namespace std::string_literals;
using Files = std::vector<std::pair<std::string, std::string>>;

const std::string apple_double =
    "\0\x05\x16\x07\0\x02\0\0Mac OS X        "s + std::string(60, '\0');

std::string small_picture(uint8_t value, int64_t side = 4) {
  const auto bytes = encode_png(
      {side, side, 3, std::vector<uint8_t>(static_cast<size_t>(3 * side * side), value)});
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void put(const fs::path& path, const std::string& contents) {
  fs::create_directories(path.parent_path());
  write_file(path, contents);
}

void put_all(const fs::path& folder, const Files& files) {
  for (const auto& [name, contents] : files) put(folder / name, contents);
}

void put_tar(const fs::path& path, const Files& files, bool gzip = false) {
  fs::create_directories(path.parent_path());
  TarWriter tar(path);
  for (const auto& [name, contents] : files) tar.add(name, contents);
  tar.finish();
  if (gzip) write_file(path, gzipped(read_text_file(path)));
}

/// "KIND: name=label ... | note | note", or the error.
std::string reading(const SourceOptions& options) {
  try {
    const auto source = open_picture_source(options);
    std::string text = source->kind() + ":";
    for (size_t i = 0; i < source->items().size(); ++i) {
      text += " " + source->items()[i].name + "=" + source->items()[i].label.dump();
      source->decode(i, Channels::rgb);
    }
    for (const std::string& note : source->notes()) text += " | " + note;
    return text;
  } catch (const Error& error) {
    return "Error: "s + error.what();
  }
}

void expect_part(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << text << "\nlacks: " << part;
}

std::string idx(const std::string& kind, const std::vector<uint32_t>& sizes,
                const std::string& data) {
  std::string text = "\0\0\x08"s + kind;
  for (const uint32_t size : sizes) text += std::string(3, '\0') + static_cast<char>(size);
  return text + data;
}

const std::string idx_pictures = idx("\3", {2, 2, 2}, "abcdABCD");
const std::string idx_labels = idx("\1", {2}, "\5\x09");

std::string cifar_records(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += static_cast<char>(i) + std::string(3072, 'x');
  return text;
}

}  // namespace

TEST(SystemFiles, AreNeverDataInFoldersAndZips) {
  const Files good = {{"a/1.png", small_picture(1)}, {"b/1.png", small_picture(2)}};
  for (const char* leftover :
       {"a/._1.png", "__MACOSX/a/._1.png", ".ipynb_checkpoints/1-checkpoint.png",
        "b/.ipynb_checkpoints/1-checkpoint.png", ".cache/c/1.png", "$RECYCLE.BIN/1.png",
        "@eaDir/1.png", "b/@eaDir/1.png/thumb.jpg", ".Trash-1000/files/1.png",
        "a/.1.png.icloud.png", "System Volume Information/1.png", "lost+found/1.png"}) {
    SCOPED_TRACE(leftover);
    Files files = good;
    files.emplace_back(leftover, apple_double);
    const test::TempDir dir;
    put_all(dir / "in", files);
    ZipWriter zip(dir / "in.zip");
    for (const auto& [name, contents] : files) zip.add(name, contents);
    zip.finish();
    const std::string note = "passed over 1 file that systems leave behind: '"s + leftover + "'";
    expect_part(reading({.path = dir / "in"}), "folder: a/1.png=0 b/1.png=1 | " + note);
    expect_part(reading({.path = dir / "in.zip", .labels = "folders"}),
                "zip: a/1.png=0 b/1.png=1 | " + note);
    for (const char* path : {"in", "in.zip"}) {
      const ImageDataset dataset({.path = dir / path, .use_labels = false});
      EXPECT_EQ(dataset.size(), 2) << path;
      ASSERT_EQ(dataset.notes().size(), 1u) << path;
      EXPECT_EQ(dataset.notes()[0], note) << path;
    }
  }
}

TEST(SystemFiles, OfClosedAndCircularFoldersAreNoReasonToStop) {
  const test::TempDir dir;
  put_all(dir.path(), {{"a/1.png", small_picture(1)}, {"b/1.png", small_picture(2)}});
  fs::create_directories(dir / ".cache");
  fs::create_directory_symlink("..", dir / ".cache" / "up");
  expect_part(reading({.path = dir.path()}), "folder: a/1.png=0 b/1.png=1 | passed over 1 file");
}

TEST(SystemFiles, AreNeverDataInShards) {
  const test::TempDir dir;
  put_tar(dir / "x.tar", {{"._1.cls", apple_double},
                          {"._1.png", apple_double},
                          {"1.cls", "3"},
                          {"1.png", small_picture(1)},
                          {"__MACOSX/1.png", small_picture(9)},
                          {"a/.DS_Store", "x"},
                          {"a/2.png", small_picture(2)},
                          {"a/2.cls", "5"}});
  expect_part(
      reading({.path = dir / "x.tar"}),
      "tar: 1.png=3 a/2.png=5 | passed over 4 files that systems leave behind, such as '._1.cls'");
}

TEST(SystemFiles, AreNeverDataBesideShardsAndMnistFiles) {
  const test::TempDir dir;
  put_tar(dir / "shards/x-0.tar", {{"1.png", small_picture(1)}, {"1.cls", "3"}});
  put_tar(dir / "shards/x-1.tar", {{"1.png", small_picture(1)}, {"1.cls", "4"}});
  put_all(dir / "shards", {{"._x-0.tar", apple_double},
                           {".cache/1.png", small_picture(0)},
                           {"__MACOSX/._x-0.tar", apple_double},
                           {"README.md", "x"}});
  EXPECT_EQ(reading({.path = dir / "shards"}),
            "tar: x-0/1.png=3 x-1/1.png=4 | passed over 3 files that systems leave behind, such as "
            "'._x-0.tar'");
  put_all(dir / "mnist", {{"train-images-idx3-ubyte", idx_pictures},
                          {"._train-images-idx3-ubyte", apple_double},
                          {"train-labels-idx1-ubyte", idx_labels},
                          {"._train-labels-idx1-ubyte", apple_double}});
  EXPECT_EQ(reading({.path = dir / "mnist"}), "MNIST: train-images/00000=5 train-images/00001=9");
}

TEST(ShardFolders, PicturesBesideTheShardsArePassedOver) {
  const Files shard = {
      {"1.png", small_picture(1)}, {"2.png", small_picture(2)}, {"3.png", small_picture(3)}};
  for (const bool gzip : {false, true}) {
    const test::TempDir dir;
    const std::string extension = gzip ? ".tar.gz" : ".tar";
    put_tar(dir / ("x-0" + extension), shard, gzip);
    put_tar(dir / ("x-1" + extension), shard, gzip);
    put_all(dir.path(), {{"preview.png", small_picture(9)},
                         {"index.json", "{}"},
                         {"README", "x"},
                         {"docs/sheet.jpg", "x"}});
    const std::string text = reading({.path = dir.path()});
    expect_part(text, "tar: x-0/1.png=null x-0/2.png=null x-0/3.png=null x-1/1.png=null");
    expect_part(text, "| passed over 2 pictures beside the tar shards, such as 'docs/sheet.jpg'");
    // Training would see the two pictures alone.
    EXPECT_THROW(ImageDataset({.path = dir.path()}), Error);
  }
}

TEST(ShardFolders, ATarAmongPicturesIsNoShard) {
  const test::TempDir dir;
  put_all(dir.path(),
          {{"1.png", small_picture(1)}, {"2.png", small_picture(2)}, {"broken.tar", "x"}});
  EXPECT_EQ(reading({.path = dir.path()}),
            "folder: 1.png=null 2.png=null | passed over 1 tar archive among the pictures: "
            "'broken.tar'");
  fs::remove(dir / "broken.tar");
  put_tar(dir / "backup.tar", {{"1.png", small_picture(1)}});
  expect_part(reading({.path = dir.path()}), "folder: 1.png=null 2.png=null | passed over 1 tar");
  EXPECT_EQ(ImageDataset({.path = dir.path()}).size(), 2);
}

TEST(ShardFolders, SecondCopiesAreReadOnce) {
  const test::TempDir dir;
  put_tar(dir / "x-0.tar", {{"1.png", small_picture(1)}, {"1.cls", "3"}});
  put_tar(dir / "x-1.tar", {{"2.png", small_picture(2)}, {"2.cls", "4"}});
  for (const char* name : {"x-0 (1).tar", "x-1 - Copy.tar"})
    fs::copy_file(dir / (std::string(name).substr(0, 3) + ".tar"), dir / name);
  const std::string wanted = "tar: x-0/1.png=3 x-1/2.png=4";
  const std::string note =
      " | passed over 2 tar archives that are second copies: 'x-0 (1).tar' is that of 'x-0.tar'";
  EXPECT_EQ(reading({.path = dir.path()}), wanted + note);
  EXPECT_EQ(reading({.path = dir / "*.tar"}), wanted + note);
  fs::remove(dir / "x-1 - Copy.tar");
  // The name alone says nothing.
  put_tar(dir / "x-0 (1).tar", {{"3.png", small_picture(3)}, {"3.cls", "5"}});
  EXPECT_EQ(reading({.path = dir.path()}), "tar: x-0 (1)/3.png=5 x-0/1.png=3 x-1/2.png=4");
}

TEST(JoinedShards, AreReadWhole) {
  const test::TempDir dir;
  put_tar(dir / "a.tar", {{"1.png", small_picture(1)}, {"1.cls", "3"}});
  put_tar(dir / "b.tar", {{"2.png", small_picture(2)}, {"2.cls", "4"}});
  const std::string a = read_text_file(dir / "a.tar"), b = read_text_file(dir / "b.tar");
  const std::string wanted = "tar: 1.png=3 2.png=4";
  for (const std::string& bytes : {a + b, gzipped(a + b), gzipped(a) + gzipped(b)}) {
    put(dir / "ab.tar", bytes);
    EXPECT_EQ(reading({.path = dir / "ab.tar"}), wanted);
  }
  put(dir / "ab.tar", a + b + "something else");
  EXPECT_EQ(reading({.path = dir / "ab.tar"}),
            wanted + " | something else follows behind the end of the archive '" +
                (dir / "ab.tar").string() + "' and is not read");
}

TEST(UnreadPictures, AreToldOnce) {
  const Files good = {{"a/1.png", small_picture(1)}, {"b/1.png", small_picture(2)}};
  const std::tuple<std::vector<const char*>, std::string> cases[] = {
      {{"a/2.HEIC"}, "1 file looks like a picture of a kind that is not read: 'a/2.HEIC'"},
      {{"a/2.heif", "a/3.jxl", "b/2.exr", "b/3.svg", "b/4.CR2", "b/5.nef", "b/6.arw", "b/7.dng",
        "b/8.psb"},
       "9 files look like pictures of kinds that are not read, the first is 'a/2.heif'"},
      {{"dataset.txt", "a/notes.json", "a/1.xml", "README", "labels.csv", "a/.2.heic"}, ""}};
  for (const auto& [names, note] : cases) {
    SCOPED_TRACE(names.front());
    const test::TempDir dir;
    Files files = good;
    for (const char* name : names) files.emplace_back(name, "x");
    put_all(dir / "in", files);
    put_tar(dir / "in.tar", files);
    ZipWriter zip(dir / "in.zip");
    for (const auto& [name, contents] : files) zip.add(name, contents);
    zip.finish();
    for (const char* path : {"in", "in.zip", "in.tar"}) {
      const std::string text = reading({.path = dir / path});
      if (note.empty())
        EXPECT_EQ(text.find("not read"), std::string::npos) << text;
      else
        expect_part(text, " | " + note);
    }
    for (const char* path : {"in", "in.zip"}) {
      const auto notes = ImageDataset({.path = dir / path, .use_labels = false}).notes();
      EXPECT_EQ(std::count(notes.begin(), notes.end(), note), note.empty() ? 0 : 1) << path;
    }
    EXPECT_EQ(reading({.path = dir / "in", .content = SourceContent::latents}).find("not read"),
              std::string::npos);
  }
}

TEST(WhatIsInstead, OfPicturesIsSaid) {
  const std::pair<const char*, const char*> cases[] = {
      {"data.zip", "it holds 'data.zip', a zip archive: give its path instead"},
      {"a/data.tar.gz", "it holds 'a/data.tar.gz', a tar archive: give its path instead"},
      {"MNIST/raw/t10k-images-idx3-ubyte.gz", "a file of MNIST: give the folder 'MNIST/raw' in it"},
      {"a/cifar-10-batches-py/data_batch_1",
       "a file of CIFAR: give the folder 'a/cifar-10-batches-py' in it"},
      {"train-0.parquet", "a Parquet table: save its pictures as files (PNG) first"},
      {"data.mdb", "an LMDB database: save its pictures"},
      {"d.npz", "a file of numpy arrays: save its pictures"},
      {"d.npy", "a numpy array: 'edm2 dataset decode'"},
      {"d.rar", "a RAR archive: unpack it, and give the folder"},
      {"b.HEIC", "a picture of a kind that is not read: convert such pictures"},
  };
  for (const auto& [name, words] : cases) {
    SCOPED_TRACE(name);
    const test::TempDir dir;
    put(dir / "in" / name, "x");
    put(dir / "in/README.md", "x");
    expect_part(open_picture_source({.path = dir / "in"})->instead(), words);
    if (std::string(name).ends_with(".npy")) continue;  // what training takes
    try {
      const ImageDataset dataset({.path = dir / "in"});
      ADD_FAILURE();
    } catch (const Error& error) {
      expect_part(error.what(), words);
    }
  }
  const test::TempDir dir;
  ZipWriter zip(dir / "x.zip");
  zip.add("inner.zip", "x");
  zip.finish();
  EXPECT_EQ(open_picture_source({.path = dir / "x.zip"})->instead(),
            "; it holds 'inner.zip', a zip archive: unpack the archive around it, and give it");
  fs::rename(dir / "x.zip", dir / "x.npz");
  expect_part(open_picture_source({.path = dir / "x.npz"})->instead(), "a file of numpy arrays");
  fs::create_directories(dir / "empty");
  EXPECT_EQ(open_picture_source({.path = dir / "empty"})->instead(), "; the folder is empty");
}

TEST(PackedShards, AreReadInOrderAndAtRandom) {
  const test::TempDir dir;
  for (int s = 0; s < 6; ++s)
    put_tar(dir / ("s-" + std::to_string(s) + (s % 2 == 0 ? ".tgz" : ".tar.gz")),
            {{"1.png", small_picture(static_cast<uint8_t>(10 * s))}, {"1.cls", std::to_string(s)}},
            true);
  const auto source = open_picture_source({.path = dir.path()});
  ASSERT_EQ(source->items().size(), 6u);
  for (const size_t i : {0u, 5u, 1u, 4u, 0u, 2u, 3u, 5u})
    EXPECT_EQ(source->decode(i, Channels::rgb).pixels[0], 10 * source->items()[i].label.get<int>());
  EXPECT_EQ(source->items()[0].name, "s-0/1.png");
  expect_part(reading({.path = dir / "s-{0,2}.tgz"}), "tar: s-0/1.png=0 s-2/1.png=2");
  expect_part(reading({.path = dir / "s-1.tar.gz"}), "tar: 1.png=1");
}

TEST(PackedShards, OfOtherKindsAreRefusedByName) {
  for (const auto& [extension, text, words] :
       std::vector<std::tuple<const char*, std::string, const char*>>{
           {".tar.zst", "\x28\xb5\x2f\xfd" + std::string(600, 'x'), "Zstandard"},
           {".tar.xz", "\xfd\x37zXZ\0"s + std::string(600, 'x'), "xz file"},
           {".tar.bz2", "BZh9" + std::string(600, 'x'), "bzip2"}}) {
    const test::TempDir dir;
    put(dir / ("in/x"s + extension), text);
    expect_part(reading({.path = dir / "in"}), words);
    expect_part(reading({.path = dir / ("in/x"s + extension)}), words);
  }
  const test::TempDir dir;
  put(dir / "x.tar.gz", gzipped(std::string(size_t{48} << 20, '\0')));
  expect_part(reading({.path = dir / "x.tar.gz"}), "holds more than ");
}

TEST(PackedShards, GzipFilesOfOtherThingsAreToldSo) {
  const std::pair<std::string, const char*> cases[] = {
      {small_picture(1), "a PNG picture"},
      {idx_pictures, "an IDX file of pictures"},
      {idx_labels, "an IDX file of MNIST's labels; give that of the pictures"},
      {"", "it is empty"},
      {"hello", "holds no tar archive"},
  };
  for (const auto& [contents, words] : cases) {
    SCOPED_TRACE(words);
    const test::TempDir dir;
    put(dir / "x.gz", gzipped(contents));
    put(dir / "in/x.tar.gz", gzipped(contents));
    for (const char* path : {"x.gz", "in", "in/*.gz"}) {
      const std::string text = reading({.path = dir / path});
      expect_part(text, "Error: the gzip file '");
      expect_part(text, "gz' holds no tar archive");
      expect_part(text, words);
    }
  }
}

TEST(MetaMembers, ArePassedOver) {
  const test::TempDir dir;
  put_tar(dir / "x.tar", {{"__meta__/preview.png", small_picture(9)},
                          {"a/__thumbs__/0.png", small_picture(9)},
                          {"__index__", "x"},
                          {"a/0.png", small_picture(1)},
                          {"a/0.cls", "3"},
                          {"a/__x.png", small_picture(2)},
                          {"a/__x.cls", "5"}});
  expect_part(reading({.path = dir / "x.tar"}),
              "tar: a/0.png=3 a/__x.png=5 | passed over 3 notes of WebDataset on shards, such as "
              "'__meta__/preview.png'");
}

TEST(ImageKeys, ChooseAmongThePicturesOfASample) {
  const test::TempDir dir;
  put_tar(dir / "x.tar", {{"0.jpg", small_picture(1)},
                          {"0.seg.png", small_picture(2)},
                          {"0.cls", "3"},
                          {"1.JPG", small_picture(3)},
                          {"1.seg.png", small_picture(4)},
                          {"1.cls", "5"},
                          {"2.seg.png", small_picture(6)},
                          {"2.cls", "7"}});
  const std::string path = dir / "x.tar";
  const std::string error = reading({.path = path});
  for (const char* part : {"two pictures ('jpg' and 'seg.png')", "--image-key=jpg", "sample '0'"})
    expect_part(error, part);
  EXPECT_EQ(reading({.path = path, .image_key = "jpg"}),
            "tar: 0.jpg=3 1.JPG=5 | passed over 1 sample without a picture of that key: '2'");
  for (const char* key : {"seg.png", "seg", ".seg.png", "SEG.PNG"})
    EXPECT_EQ(reading({.path = path, .image_key = key}),
              "tar: 0.seg.png=3 1.seg.png=5 2.seg.png=7");
  EXPECT_EQ(reading({.path = path, .image_key = "jpg;seg.png"}),
            "tar: 0.jpg=3 1.JPG=5 2.seg.png=7");
  put(dir / "in/1.png", small_picture(1));
  expect_part(reading({.path = dir / "in", .image_key = "png"}), "--image-key");
}

TEST(UnpackedMnist, InTheLayoutsOfMirrors) {
  const std::string wanted_labels = "/00000=5 ";
  const Files layouts[] = {
      {{"train-images.idx3-ubyte", idx_pictures}, {"train-labels.idx1-ubyte", idx_labels}},
      {{"train-images-idx3-ubyte/train-images-idx3-ubyte", idx_pictures},
       {"train-labels-idx1-ubyte/train-labels-idx1-ubyte", idx_labels}},
      {{"train-images-idx3-ubyte/train-images.idx3-ubyte", idx_pictures},
       {"train-labels-idx1-ubyte/train-labels.idx1-ubyte", idx_labels}},
      {{"raw/train-images-idx3-ubyte", idx_pictures}, {"raw/train-labels-idx1-ubyte", idx_labels}},
      {{"train-images-idx3.ubyte", idx_pictures}, {"train-labels-idx1.ubyte", idx_labels}},
      // Twice: as a file, and in a folder of its own.
      {{"train-images.idx3-ubyte", idx_pictures},
       {"train-labels.idx1-ubyte", idx_labels},
       {"train-images-idx3-ubyte/train-images-idx3-ubyte", idx_pictures},
       {"train-labels-idx1-ubyte/train-labels-idx1-ubyte", idx_labels}},
      {{"train-images-idx3-ubyte.gz", gzipped(idx_pictures)},
       {"train-images-idx3-ubyte", idx_pictures},
       {"train-labels-idx1-ubyte", idx_labels}},
  };
  for (const Files& files : layouts) {
    const test::TempDir dir;
    put_all(dir.path(), files);
    put_all(dir.path(), {{"._" + files[0].first.substr(0, files[0].first.find('/')), "x"}});
    const std::string text = reading({.path = dir.path()});
    expect_part(text, "MNIST: train-images");
    expect_part(text, "/00000=5 ");
    expect_part(text, "/00001=9");
    EXPECT_EQ(std::count(text.begin(), text.end(), '='), 2) << text;
  }
}

TEST(UnpackedMnist, WithoutLabelsIsTold) {
  const test::TempDir dir;
  put(dir / "train-images-idx3-ubyte", idx_pictures);
  EXPECT_EQ(reading({.path = dir.path()}),
            "MNIST: train-images/00000=null train-images/00001=null | there is no file of labels "
            "beside 'train-images-idx3-ubyte', so its pictures have none");
  EXPECT_EQ(reading({.path = dir.path(), .labels = "none"}),
            "MNIST: train-images/00000=null train-images/00001=null");
}

TEST(UnpackedCifar, PickledAgainByPython3) {
  const Tensor data = at::full({2, 3072}, 7, at::kByte);
  using Value = PickleValue;
  for (const bool keys_are_bytes : {false, true}) {
    const auto key = [&](const char* text) {
      return keys_are_bytes ? Value::bytes(text) : Value(text);
    };
    const test::TempDir dir;
    fs::create_directories(dir / "cifar-100-python");
    write_pickle_file(dir / "cifar-100-python/train",
                      Value::dict({{key("filenames"), Value::list()},
                                   {key("data"), Value::ndarray(data)},
                                   {key("fine_labels"), Value::list({5, 9})},
                                   {key("coarse_labels"), Value::list({1, 2})}}));
    put(dir / "cifar-100-python/meta", "x");
    EXPECT_EQ(reading({.path = dir.path()}), "CIFAR: train/00000=5 train/00001=9");
    EXPECT_EQ(reading({.path = dir.path(), .coarse_labels = true}),
              "CIFAR: train/00000=1 train/00001=2");
  }
}

TEST(UnpackedCifar, MissingFilesAreTold) {
  const test::TempDir dir;
  Files files;
  for (int i = 1; i <= 5; ++i)
    files.emplace_back("data_batch_" + std::to_string(i) + ".bin", cifar_records(1));
  put_all(dir / "in", files);
  const auto notes = [&](const std::string& path, const std::string& split) {
    return open_picture_source({.path = dir / path, .split = split})->notes();
  };
  EXPECT_TRUE(notes("in", "train").empty());
  EXPECT_EQ(notes("in", "all"),
            std::vector<std::string>{"'test_batch.bin' is missing in '" + (dir / "in").string() +
                                     "': there are 5 of 6 files, with 5 pictures"});
  EXPECT_THROW(notes("in", "test"), Error);
  files.erase(files.begin() + 2);
  put_tar(dir / "in.tar.gz", files, /*gzip=*/true);
  EXPECT_EQ(
      notes("in.tar.gz", "train"),
      std::vector<std::string>{"'data_batch_3.bin' is missing in '" + (dir / "in.tar.gz").string() +
                               "': there are 4 of 5 files, with 4 pictures"});
  expect_part(reading({.path = dir / "in.tar.gz", .split = "test"}), "no pictures of the split");
}

TEST(UnpackedCifar, AsTheArchivesUnpack) {
  const test::TempDir dir;
  put_all(dir / "cifar-10-batches-bin", {{"data_batch_1.bin", cifar_records(2)},
                                         {"data_batch_2.bin", cifar_records(1)},
                                         {"test_batch.bin", cifar_records(1)},
                                         {"._data_batch_1.bin", "x"},
                                         {"batches.meta.txt", "airplane\n"},
                                         {"readme.html", "<html>"}});
  const std::string wanted =
      "CIFAR: data_batch_1.bin/00000=0 data_batch_1.bin/00001=1 data_batch_2.bin/00000=0";
  const auto missing = [](const std::string& path) {
    return " | 'data_batch_3.bin' is missing in '" + path +
           "': there are 2 of 5 files, with 3 pictures";
  };
  EXPECT_EQ(reading({.path = dir / "cifar-10-batches-bin"}),
            wanted + missing(dir / "cifar-10-batches-bin"));
  EXPECT_EQ(reading({.path = dir.path()}), wanted + missing(dir.path()));
  EXPECT_EQ(reading({.path = dir / "cifar-10-batches-bin", .split = "test"}),
            "CIFAR: test_batch.bin/00000=0");
  put(dir / "cifar-10-batches-py/data_batch_1", "x");
  expect_part(reading({.path = dir / "cifar-10-batches-py"}), "data_batch_1");
  expect_part(reading({.path = dir.path()}), "holds CIFAR twice");
  // Files named "train" and "test" alone say nothing.
  put_all(dir / "other", {{"train", "x"}, {"test", "y"}, {"1.png", small_picture(1)}});
  EXPECT_EQ(reading({.path = dir / "other"}), "folder: 1.png=null");
}

}  // namespace edm2
