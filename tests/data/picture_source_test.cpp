// Tar shards, CIFAR, MNIST and tables of labels.
#include "data/picture_source.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "edm2/core/error.h"
#include "edm2/data/convert.h"
#include "edm2/io/atomic_file.h"
#include "edm2/io/tar.h"
#include "edm2/io/zip.h"
#include "support/gzip.h"
#include "support/paths.h"

namespace edm2 {
namespace {

using test::gzipped;
namespace fs = std::filesystem;

std::string png_of(int64_t side, uint8_t value, int64_t channels = 3) {
  const auto bytes =
      encode_png({side, side, channels,
                  std::vector<uint8_t>(static_cast<size_t>(channels * side * side), value)});
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// "name=label" for all items, and the problems.
std::string summary(const SourceOptions& options) {
  const auto source = open_picture_source(options);
  std::string text = source->kind() + ":";
  for (const auto& item : source->items()) text += " " + item.name + "=" + item.label.dump();
  for (const auto& problem : source->refused()) text += " !" + problem.name;
  return text;
}

std::string error_of(const SourceOptions& options) {
  try {
    open_picture_source(options);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

/// As cPickle of Python 2 writes a batch: {'data': array, 'labels': [...]} in protocol 2.
std::string python2_batch(size_t count, const std::vector<std::string>& label_keys) {
  const auto number = [](uint32_t value, int bytes) {
    std::string text;
    for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i));
    return text;
  };
  const auto string = [&](const std::string& text) {
    return "U" + number(static_cast<uint32_t>(text.size()), 1) + text;
  };
  std::string pixels;
  for (size_t i = 0; i < count * 3072; ++i) pixels += static_cast<char>(i * 7 + i / 3072);
  std::string text = std::string("\x80\x02}(") + string("data");
  text += "cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK" + number(0, 1) + "\x85" +
          string("b") + "\x87R";
  text += "(K" + number(1, 1) + "M" + number(static_cast<uint32_t>(count), 2) + "M" +
          number(3072, 2) + "\x86";
  text += "cnumpy\ndtype\n" + string("u1") + "K" + number(0, 1) + "K" + number(1, 1) + "\x87R";
  text += "(K" + number(3, 1) + string("|") + "NNNJ" + number(0xffffffff, 4) + "J" +
          number(0xffffffff, 4) + "K" + number(0, 1) + "tb\x89";
  text += "T" + number(static_cast<uint32_t>(pixels.size()), 4) + pixels + "tb";
  uint32_t first = 0;
  for (const std::string& key : label_keys) {
    text += string(key) + "](";
    for (uint32_t i = 0; i < count; ++i) text += "K" + number(first + i, 1);
    text += "e";
    first += 50;
  }
  return text + "u.";
}

std::string binary_batch(size_t count, size_t labels) {
  std::string text;
  for (size_t i = 0; i < count; ++i) {
    for (size_t k = 0; k < labels; ++k) text += static_cast<char>(10 * k + i);
    for (size_t p = 0; p < 3072; ++p) text += static_cast<char>(i + p / 1024);
  }
  return text;
}

std::string tar_of(const test::TempDir& dir,
                   const std::vector<std::pair<std::string, std::string>>& files) {
  TarWriter tar(dir / "scratch.tar");
  for (const auto& [name, contents] : files) tar.add(name, contents);
  tar.finish();
  std::string text = read_text_file(dir / "scratch.tar");
  fs::remove(dir / "scratch.tar");
  return text;
}

}  // namespace

TEST(TarShards, LabelsStandBesideThePictures) {
  const test::TempDir dir;
  write_file(dir / "x.tar", tar_of(dir, {{"b/1.png", png_of(4, 1)},
                                         {"b/1.cls", "7\n"},
                                         {"b/1.json", "{\"label\": 3}"},
                                         {"a/2.jpg", "later"},
                                         {"a/2.json", "{\"cls\": [0.5, 1], \"url\": \"x\"}"},
                                         {"a/2.txt", "a caption"},
                                         {"c.png", png_of(4, 2)},
                                         {"c.json", "{\"width\": 4}"}}));
  EXPECT_EQ(summary({.path = dir / "x.tar"}), "tar: b/1.png=7 a/2.jpg=[0.5,1] c.png=null");
  EXPECT_EQ(summary({.path = dir / "x.tar", .labels = "folders"}),
            "tar: b/1.png=2 a/2.jpg=1 c.png=0");
  EXPECT_EQ(summary({.path = dir / "x.tar", .labels = "none"}),
            "tar: b/1.png=null a/2.jpg=null c.png=null");
  EXPECT_EQ(open_picture_source({.path = dir / "x.tar"})->decode(2, Channels::rgb).pixels,
            std::vector<uint8_t>(48, 2));
}

TEST(TarShards, ManyByPatternOrFolder) {
  const test::TempDir dir;
  for (int i = 0; i < 12; ++i) {
    char name[32];
    std::snprintf(name, sizeof name, "s-%03d.tar", i);
    write_file(dir / name, tar_of(dir, {{"0.png", png_of(4, 1)}, {"0.cls", std::to_string(i)}}));
  }
  const std::string some = "tar: s-009/0.png=9 s-010/0.png=10 s-011/0.png=11";
  EXPECT_EQ(summary({.path = dir / "s-{009..011}.tar"}), some);
  EXPECT_EQ(summary({.path = dir / "s-{009,010,011}.tar"}), some);
  EXPECT_EQ(summary({.path = dir / "s-0{09,1?}.tar"}), some);
  EXPECT_EQ(open_picture_source({.path = dir / "s-*.tar"})->items().size(), 12u);
  EXPECT_EQ(open_picture_source({.path = dir.path()})->items().size(), 12u);
  EXPECT_NE(error_of({.path = dir / "s-{010..012}.tar"}).find("s-012.tar"), std::string::npos);
  EXPECT_NE(error_of({.path = dir / "t-*.tar"}).find("nothing fits"), std::string::npos);
}

TEST(TarShards, SaysWhatIsWrong) {
  const test::TempDir dir;
  write_file(dir / "x.tar", tar_of(dir, {{"1.png", "x"}, {"1.cls", "cat"}}));
  EXPECT_NE(error_of({.path = dir / "x.tar"}).find("neither a class number"), std::string::npos);
  write_file(dir / "x.tar", tar_of(dir, {{"1.png", "x"}, {"1.json", "{"}}));
  EXPECT_NE(error_of({.path = dir / "x.tar"}).find("'1.json' in '"), std::string::npos);
  EXPECT_NE(error_of({.path = dir / "{000..999}{000..999}{0..9}.tar"}).find("too many files"),
            std::string::npos);
  write_file(dir / "x.tar", tar_of(dir, {{"1.png", "x"}, {"1.jpg", "y"}}));
  EXPECT_NE(error_of({.path = dir / "x.tar"}).find("two pictures"), std::string::npos);
  write_file(dir / "x.tar", tar_of(dir, {{"1.png", "x"}, {"../2.png", "y"}, {"1.png", "z"}}));
  EXPECT_EQ(summary({.path = dir / "x.tar"}), "tar: !1.png !../2.png");
}

TEST(TarShards, ADatasetSurvivesTheWayThroughShards) {
  const test::TempDir dir;
  for (int i = 0; i < 5; ++i)
    for (const char* folder : {"a", "b"}) {
      fs::create_directories(dir / "in" / folder);
      write_file(dir / "in" / folder / (std::to_string(i) + ".png"),
                 png_of(4, static_cast<uint8_t>(10 * i + folder[0])));
    }
  const auto convert = [](const DatasetConvertOptions& options) {
    convert_dataset(options, *make_progress(ProgressStyle::quiet));
  };
  convert({.source = {.path = dir / "in"}, .dest = dir / "direct.zip"});
  convert({.source = {.path = dir / "in"}, .dest = dir / "shards", .shard_size = 4});
  convert({.source = {.path = dir / "in"}, .dest = dir / "one.tar"});
  EXPECT_TRUE(fs::exists(dir / "shards/shard-000002.tar"));
  EXPECT_FALSE(fs::exists(dir / "shards/shard-000003.tar"));
  EXPECT_EQ(TarReader(dir / "shards/shard-000001.tar").entries()[1].name, "00000/img00000004.cls");
  // Shards know the classes by their numbers alone, the archive also by the folders' names.
  const std::string comment = ZipReader(dir / "direct.zip").comment();
  EXPECT_EQ(comment, R"({"class_names":["a","b"]})");
  const std::string direct = read_text_file(dir / "direct.zip");
  for (const char* source : {"shards", "one.tar"}) {
    convert({.source = {.path = dir / source}, .dest = dir / "back.zip"});
    std::string back = read_text_file(dir / "back.zip");
    ASSERT_TRUE(back.ends_with(std::string(2, '\0'))) << "the length of the comment";
    back[back.size() - 2] = static_cast<char>(comment.size());
    EXPECT_TRUE(back + comment == direct) << source;
  }
  EXPECT_THROW(convert({.source = {.path = dir / "in"}, .dest = dir / "y.zip", .shard_size = 4}),
               UsageError);
}

TEST(Cifar, ReadsPicklesOfPython2) {
  const test::TempDir dir;
  const std::string batch = python2_batch(2, {"labels"});
  write_file(dir / "cifar-10-python.tar.gz",
             gzipped(tar_of(dir, {{"cifar-10-batches-py/data_batch_2", batch},
                                  {"cifar-10-batches-py/data_batch_1", batch},
                                  {"cifar-10-batches-py/test_batch", batch},
                                  {"cifar-10-batches-py/readme.html", "x"}})));
  const std::string path = dir / "cifar-10-python.tar.gz";
  EXPECT_EQ(summary({.path = path}),
            "CIFAR: data_batch_1/00000=0 data_batch_1/00001=1 data_batch_2/00000=0 "
            "data_batch_2/00001=1");
  EXPECT_EQ(summary({.path = path, .split = "test"}),
            "CIFAR: test_batch/00000=0 test_batch/00001=1");
  const Image second = open_picture_source({.path = path})->decode(1, Channels::rgb);
  ASSERT_EQ(second.pixels.size(), 3072u);
  for (size_t c = 0; c < 3; ++c)  // planes become pixels
    EXPECT_EQ(second.pixels[3 * 5 + c], static_cast<uint8_t>((3072 + c * 1024 + 5) * 7 + 1));
}

TEST(Cifar, ReadsCifar100AndBinaryFiles) {
  const test::TempDir dir;
  const std::string batch = python2_batch(1, {"coarse_labels", "fine_labels"});
  write_file(
      dir / "a.tar.gz",
      gzipped(tar_of(dir, {{"cifar-100-python/train", batch}, {"cifar-100-python/meta", "."}})));
  EXPECT_EQ(summary({.path = dir / "a.tar.gz"}), "CIFAR: train/00000=50");
  EXPECT_EQ(summary({.path = dir / "a.tar.gz", .coarse_labels = true}), "CIFAR: train/00000=0");
  write_file(dir / "b.tar", tar_of(dir, {{"cifar-100-binary/train.bin", binary_batch(2, 2)},
                                         {"cifar-100-binary/test.bin", binary_batch(1, 2)}}));
  EXPECT_EQ(summary({.path = dir / "b.tar", .split = "all"}),
            "CIFAR: train.bin/00000=10 train.bin/00001=11 test.bin/00000=10");
  write_file(dir / "c.tar",
             tar_of(dir, {{"cifar-10-batches-bin/data_batch_1.bin", binary_batch(3, 1)}}));
  EXPECT_EQ(summary({.path = dir / "c.tar"}),
            "CIFAR: data_batch_1.bin/00000=0 data_batch_1.bin/00001=1 data_batch_1.bin/00002=2");
  const Image picture = open_picture_source({.path = dir / "c.tar"})->decode(2, Channels::rgb);
  EXPECT_EQ(std::vector<uint8_t>(picture.pixels.begin(), picture.pixels.begin() + 3),
            (std::vector<uint8_t>{2, 3, 4}));
}

TEST(Cifar, SaysWhatIsWrong) {
  const test::TempDir dir;
  write_file(dir / "a.tar", tar_of(dir, {{"data_batch_1.bin", binary_batch(1, 1) + "x"}}));
  EXPECT_NE(error_of({.path = dir / "a.tar"}).find("no multiple of 3073"), std::string::npos);
  write_file(dir / "a.tar", tar_of(dir, {{"data_batch_1", "cos\nsystem\n(S'true'\ntR."}}));
  EXPECT_NE(error_of({.path = dir / "a.tar"}).find("os.system"), std::string::npos);
  write_file(dir / "a.tar", tar_of(dir, {{"data_batch_1", python2_batch(2, {"other"})}}));
  EXPECT_NE(error_of({.path = dir / "a.tar"}).find("lacks 'data' or 'labels'"), std::string::npos);
  write_file(dir / "a.gz", gzipped(tar_of(dir, {{"other", "x"}})));
  EXPECT_NE(error_of({.path = dir / "a.gz"}).find("neither CIFAR nor MNIST"), std::string::npos);
}

TEST(Mnist, ReadsFilesAndFolders) {
  const test::TempDir dir;
  const std::string pictures(
      "\0\0\x08\x03\0\0\0\x02\0\0\0\x02\0\0\0\x03"
      "abcdefABCDEF",
      28);
  const std::string labels("\0\0\x08\x01\0\0\0\x02\x05\x09", 10);
  write_file(dir / "train-images-idx3-ubyte.gz", gzipped(pictures));
  write_file(dir / "train-labels-idx1-ubyte.gz", gzipped(labels));
  write_file(dir / "t10k-images-idx3-ubyte", pictures);
  const std::string train = "MNIST: train-images/00000=5 train-images/00001=9";
  EXPECT_EQ(summary({.path = dir.path()}), train);
  EXPECT_EQ(summary({.path = dir / "train-images-idx3-ubyte.gz"}), train);
  EXPECT_EQ(summary({.path = dir.path(), .split = "all"}),
            train + " t10k-images/00000=null t10k-images/00001=null");
  const auto source = open_picture_source({.path = dir.path()});
  const Image kept = source->decode(1, Channels::keep), rgb = source->decode(1, Channels::rgb);
  EXPECT_EQ(kept.pixels, (std::vector<uint8_t>{'A', 'B', 'C', 'D', 'E', 'F'}));
  EXPECT_EQ(kept.width, 3);
  EXPECT_EQ(rgb.channels, 3);
  EXPECT_EQ(rgb.pixels[4], 'B');
  write_file(dir / "train-images-idx3-ubyte.gz", gzipped(pictures.substr(0, 20)));
  EXPECT_NE(error_of({.path = dir.path()}).find("should have 28 bytes and has 20"),
            std::string::npos);
}

TEST(PackedSources, MayNotFillTheMemory) {
  const test::TempDir dir;
  const std::string zeros(size_t{48} << 20, '\0');
  for (const char* name : {"train-images-idx3-ubyte.gz", "cifar-10-binary.tar.gz"}) {
    write_file(dir / name, gzipped(zeros));
    const std::string error = error_of({.path = dir / name});
    EXPECT_NE(error.find("holds more than "), std::string::npos) << error;
    EXPECT_NE(error.find(name), std::string::npos) << error;
  }
}

TEST(CsvLabels, ClassesNamesAndVectors) {
  const test::TempDir dir;
  for (const char* name : {"in/a/1.png", "in/a/2.png", "in/b/3.png"}) {
    fs::create_directories((dir / name).parent_path());
    write_file(dir / name, png_of(4, 1));
  }
  const auto labels = [&](const std::string& csv) {
    write_file(dir / "labels.csv", csv);
    const SourceOptions options{.path = dir / "in", .labels = dir / "labels.csv"};
    const std::string error = error_of(options);
    return error.empty() ? summary(options) : error;
  };
  EXPECT_EQ(labels("name,label\na/1.png,4\na/2.png,0\r\nb/3.png,4\n"),
            "folder: a/1.png=4 a/2.png=0 b/3.png=4");
  EXPECT_EQ(labels("1,dog\n2,\"cat, \"\"small\"\"\"\n3,dog\nelsewhere,bird"),
            "folder: a/1.png=1 a/2.png=0 b/3.png=1");
  EXPECT_EQ(labels("\xef\xbb\xbf"
                   "1.png,0.5,1\n2.png,-1,2\n.\\b\\3.png,0,0\n"),
            "folder: a/1.png=[0.5,1.0] a/2.png=[-1.0,2.0] b/3.png=[0.0,0.0]");
  EXPECT_NE(labels("1,0\n2,1\n").find("no label for 'b/3.png'"), std::string::npos);
  EXPECT_NE(labels("1,0,x\n2,1,y\n3,2,z\n").find("not all numbers"), std::string::npos);
  EXPECT_NE(labels("1,\"0\n").find("a quote is not closed"), std::string::npos);
}

}  // namespace edm2
