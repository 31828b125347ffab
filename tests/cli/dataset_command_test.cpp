#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "edm2/data/dataset.h"
#include "edm2/io/atomic_file.h"
#include "edm2/io/image.h"
#include "support/paths.h"
#include "support/run_program.h"

namespace edm2 {
namespace {
namespace fs = std::filesystem;

using test::run_edm2;

std::string pictures() { return test::data_dir() / "pictures"; }

/// Many pictures of 64x64 pixels, which take the small VAE a while.
void write_pictures(const fs::path& folder, int count) {
  fs::create_directories(folder);
  for (int i = 0; i < count; ++i) {
    Image image{64, 64, 3, std::vector<uint8_t>(3 * 64 * 64)};
    for (size_t k = 0; k < image.pixels.size(); ++k)
      image.pixels[k] = static_cast<uint8_t>(k * static_cast<size_t>(i + 3) / 7);
    char name[32];
    std::snprintf(name, sizeof name, "%04d.png", i);
    write_file(folder / name, encode_png(image, 1));
  }
}

std::string vae() { return "--vae=" + (test::data_dir() / "vae").string(); }

}  // namespace

TEST(DatasetCli, ConvertsAFolder) {
  const test::TempDir dir;
  const std::string dest = dir / "out.zip";
  const auto run = run_edm2({"dataset", "convert", "--source", pictures(), "--dest=" + dest,
                             "--resolution=8x8", "--transform=center-crop", "--max-images=5"});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_NE(run.out.find("Wrote 5 pictures to " + dest), std::string::npos) << run.out;
  const ImageDataset dataset({.path = dest});
  EXPECT_EQ(dataset.size(), 5);
  EXPECT_EQ(dataset.image_shape(), (std::vector<int64_t>{3, 8, 8}));
}

TEST(DatasetCli, NamesOfClassesAreTold) {
  const test::TempDir dir;
  const auto info_of = [](const fs::path& path) {
    return nlohmann::json::parse(run_edm2({"info", path, "--json"}).out);
  };
  for (const char* name : {"sun", "tree", "caf\xc3\xa9"}) write_pictures(dir / "in" / name, 2);
  const std::vector<std::string> names = {"caf\xc3\xa9", "sun", "tree"};
  EXPECT_EQ(info_of(dir / "in").at("class_names"), names);
  for (const char* dest : {"out.zip", "out"}) {
    const auto run = run_edm2({"dataset", "convert", "--source", dir / "in", "--dest", dir / dest});
    ASSERT_EQ(run.exit_code, 0) << run.err;
    EXPECT_NE(run.out.find("The 3 folders are the classes: 'caf\xc3\xa9' is 0, 'sun' is 1, "
                           "'tree' is 2\n"),
              std::string::npos)
        << run.out;
  }
  EXPECT_EQ(info_of(dir / "out.zip").at("class_names"), names);
  EXPECT_FALSE(info_of(dir / "out").contains("class_names")) << "they have no place there";
  const auto text = run_edm2({"info", dir / "out.zip"});
  EXPECT_NE(text.out.find("class_names          [caf\xc3\xa9, sun, tree]"), std::string::npos)
      << text.out;
}

TEST(DatasetCli, EndsWithTheRightCode) {
  const test::TempDir dir;
  const std::string dest = dir / "out.zip";
  const auto convert = [&](std::vector<std::string> extra) {
    std::vector<std::string> words = {"dataset", "convert", "--source", pictures(), "--dest", dest};
    words.insert(words.end(), extra.begin(), extra.end());
    return run_edm2(words);
  };
  const auto expect = [](const test::RunResult& run, int code, const std::string& text) {
    EXPECT_EQ(run.exit_code, code) << run.err;
    EXPECT_NE(run.err.find(text), std::string::npos) << run.err;
  };
  expect(convert({"--resolution=64"}), 1, "Error: cannot parse tuple 64");
  expect(convert({"--resolution=48x48"}), 1, "power-of-two");
  expect(convert({"--resolution=8x8", "--transform=zoom"}), 2,
         "'zoom' is not one of 'center-crop'");
  expect(convert({"--max-images=0"}), 2, "--max-images");
  expect(convert({"--dest="}), 1,
         "--dest output filename or directory must not be an empty string");
  expect(convert({"--source", dir / "nosuch"}), 1, "Missing input file or directory");
  expect(run_edm2({"dataset", "convert", "--dest", dest}), 2, "Missing option '--source'");
  expect(run_edm2({"dataset", "convert", "--source", pictures(), "--dest", dest},
                  {.environment = {{"WORLD_SIZE", "2"}}}),
         1, "Distributed execution is not supported.");
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

TEST(DatasetCli, AKilledEncodeGoesOnAndEndsInTheSameFile) {
  const test::TempDir dir;
  write_pictures(dir / "in", 60);
  const auto encode = [&](const std::string& dest, std::vector<std::string> more = {},
                          const test::RunOptions& options = {}) {
    std::vector<std::string> words = {"dataset",
                                      "encode",
                                      "--source=" + (dir / "in").string(),
                                      "--dest=" + (dir / dest).string(),
                                      vae(),
                                      "--measure",
                                      "--device=cpu"};
    words.insert(words.end(), more.begin(), more.end());
    return run_edm2(words, options);
  };
  ASSERT_EQ(encode("whole.zip").exit_code, 0);
  const std::string whole = test::read_file(dir / "whole.zip");
  for (const int signal : {2, 9}) {
    const fs::path partial = dir / "part.zip.partial";
    test::RunOptions options;
    options.meanwhile = [&](int pid) {
      test::wait_until([&] { return fs::exists(partial / "00000/img-mean-std-00000010.npy"); });
      kill(pid, signal);
    };
    const auto broken = encode("part.zip", {}, options);
    EXPECT_EQ(signal == 2 ? broken.exit_code : broken.signal, signal == 2 ? 130 : 9) << broken.err;
    EXPECT_FALSE(fs::exists(dir / "part.zip"));
    const auto resumed = encode("part.zip");
    EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
    EXPECT_NE(resumed.out.find("of an interrupted run"), std::string::npos) << resumed.out;
    EXPECT_TRUE(test::read_file(dir / "part.zip") == whole);
    EXPECT_FALSE(fs::exists(partial));
    fs::remove(dir / "part.zip");
  }
  const auto shared = encode("shared.zip", {"--nproc=2"});
  EXPECT_EQ(shared.exit_code, 0) << shared.err;
  EXPECT_TRUE(test::read_file(dir / "shared.zip") == whole);
}

TEST(DatasetCli, LatentsThereAndBack) {
  const test::TempDir dir;
  write_pictures(dir / "in", 3);
  const std::string latents = dir / "latents.zip", pictures = dir / "pictures";
  ASSERT_EQ(
      run_edm2({"dataset", "encode", "--source", dir / "in", "--dest", latents, vae()}).exit_code,
      0);
  const auto back = run_edm2({"dataset", "decode", "--source", latents, "--dest", pictures,
                              "--model-url", test::data_dir() / "vae", "--nproc=2"});
  EXPECT_EQ(back.exit_code, 0) << back.err;
  EXPECT_NE(back.out.find("Wrote 3 pictures to " + pictures), std::string::npos) << back.out;
  EXPECT_TRUE(fs::exists(dir / "pictures/00000/img00000002.png"));
  const auto none = run_edm2({"dataset", "encode", "--source", dir / "in", "--dest", dir / "x.zip",
                              "--vae=nobody/nothing", "--offline"});
  test::expect_error(none, 1, "nobody/nothing");
}

TEST(DatasetCli, ChecksAndShows) {
  const test::TempDir dir;
  write_pictures(dir / "in", 5);
  const auto check = run_edm2({"dataset", "check", "--source", dir / "in", "--json"});
  EXPECT_EQ(check.exit_code, 0) << check.err;
  const auto report = nlohmann::json::parse(check.out);
  EXPECT_EQ(report["pictures"], 5);
  EXPECT_EQ(report["shapes"]["3x64x64"], 5);
  write_file(dir / "in/0002.png", std::string_view("broken"));
  const auto broken = run_edm2({"dataset", "check", "--source", dir / "in"});
  EXPECT_EQ(broken.exit_code, 1);
  EXPECT_NE(broken.out.find("0002.png: "), std::string::npos) << broken.out;
  EXPECT_NE(broken.err.find("1 broken files"), std::string::npos) << broken.err;
  fs::create_directory(dir / "empty");
  const auto empty = run_edm2({"dataset", "check", "--source", dir / "empty"});
  EXPECT_EQ(empty.exit_code, 1);
  EXPECT_NE(empty.err.find("there are no pictures in"), std::string::npos) << empty.err;
  const auto show = run_edm2({"dataset", "show", "--source", dir / "in", "--first=3", "--grid",
                              dir / "grid.png", "--columns=2"});
  EXPECT_EQ(show.exit_code, 0) << show.err;
  const std::string png = test::read_file(dir / "grid.png");
  EXPECT_EQ(decode_image(std::as_bytes(std::span(png)), "grid.png").width, 2 + 2 * 66);
}

TEST(DatasetCli, RefusesOptionsThatCannotBe) {
  const test::TempDir dir;
  const auto run = [&](const std::string& option) {
    return run_edm2(
        {"dataset", "convert", "--source", pictures(), "--dest", dir / "out.zip", option});
  };
  test::expect_error(run("--channels=two"), 2, "'two' is not one of 'rgb', 'keep'.");
  test::expect_error(run("--on-error=ignore"), 2, "'ignore' is not one of 'stop', 'skip'.");
  test::expect_error(run("--split=half"), 2, "'half' is not one of 'train', 'test', 'all'.");
  test::expect_error(run("--shard-size=10"), 2, "--shard-size makes a folder");
  test::expect_error(run("--labels=nosuch.csv"), 1, "nosuch.csv");
  EXPECT_TRUE(fs::is_empty(dir.path()));
}

}  // namespace edm2
