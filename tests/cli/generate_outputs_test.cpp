// What edm2 generate writes, as a user sees it.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "edm2/generate/generate.h"
#include "edm2/io/image.h"
#include "edm2/io/npz.h"
#include "edm2/io/safetensors.h"
#include "edm2/nn/snapshot.h"
#include "support/checks.h"
#include "support/paths.h"
#include "support/run_program.h"
#include "support/small_models.h"

namespace edm2 {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using test::read_file;
using test::run_edm2;
using test::RunResult;
using Words = std::vector<std::string>;

Image read_image(const fs::path& path) {
  const std::string bytes = read_file(path);
  return decode_rgb(std::as_bytes(std::span(bytes)), path);
}

PngText text_of(const fs::path& path) {
  const std::string bytes = read_file(path);
  return read_png_text(std::as_bytes(std::span(bytes)), path);
}

class GenerateOutputsCli : public testing::Test {
 protected:
  void SetUp() override {
    save_snapshot(dir / "net.pkl", test::small_snapshot(5), SnapshotFormat::pickle);
  }
  /// Four steps into dir / outdir.
  RunResult generate(Words words, const std::string& outdir = "out",
                     const test::RunOptions& options = {}) {
    words.insert(words.begin(), {"generate", "--net", dir / "net.pkl", "--outdir", dir / outdir,
                                 "--steps=4", "--device=cpu"});
    return run_edm2(words, options);
  }
  void expect_done(const RunResult& run) { ASSERT_EQ(run.exit_code, 0) << run.err; }
  test::TempDir dir;
};

}  // namespace

TEST_F(GenerateOutputsCli, PicturesSayHowTheyWereMade) {
  expect_done(generate({"--seeds=3,4", "--grid", dir / "grid.png"}));
  expect_done(generate({"--seeds=3,4", "--grid", dir / "bare.png", "--no-metadata"}, "bare"));
  const auto json = nlohmann::json::parse(text_of(dir / "out" / "000004.png").at("edm2"));
  EXPECT_EQ(json["seed"], 4);
  EXPECT_EQ(json["steps"], 4);
  EXPECT_EQ(json["net"], "net.pkl");
  EXPECT_EQ(nlohmann::json::parse(text_of(dir / "grid.png").at("edm2"))["seeds"], "3,4");
  EXPECT_TRUE(text_of(dir / "bare" / "000004.png").empty());
  EXPECT_TRUE(text_of(dir / "bare.png").empty());
  // The text can be followed: same network, same options, same picture.
  EXPECT_EQ(read_image(dir / "out" / "000004.png").pixels,
            read_image(dir / "bare" / "000004.png").pixels);
}

TEST_F(GenerateOutputsCli, LookingDoesNotChangeThePictures) {
  expect_done(generate({"--seeds=0-4", "--S_churn=10"}, "plain"));
  expect_done(generate(
      {"--seeds=0-4", "--S_churn=10", "--preview=1", "--trajectory=webp", "--trajectory-grid",
       dir / "all.webp", "--npz", dir / "all.npz", "--latents", dir / "l.safetensors", "--batch=2"},
      "all"));
  for (int seed = 0; seed < 5; ++seed) {
    const std::string name = "00000" + std::to_string(seed) + ".png";
    EXPECT_EQ(read_file(dir / "plain" / name), read_file(dir / "all" / name)) << name;
    EXPECT_FALSE(read_file(dir / "all" / name).empty());
  }
}

TEST_F(GenerateOutputsCli, ArraysHoldAllSeedsInOrder) {
  expect_done(generate({"--seeds=5,2,8-10", "--batch=2", "--npz", dir / "all.npz", "--latents",
                        dir / "l.safetensors"}));
  const NpzFile npz(dir / "all.npz");
  EXPECT_EQ(npz.names(), (std::vector<std::string>{"arr_0", "labels", "seeds", "latents"}));
  EXPECT_TRUE(npz.get("seeds").equal(at::tensor({5, 2, 8, 9, 10}, at::kLong)));
  EXPECT_EQ(npz.get("labels").sizes(), at::IntArrayRef({5, 5}));
  const Tensor pictures = npz.get("arr_0");
  ASSERT_EQ(pictures.sizes(), at::IntArrayRef({5, 16, 16, 3}));
  const Image third = read_image(dir / "out" / "000008.png");
  EXPECT_EQ(std::memcmp(pictures[2].data_ptr(), third.pixels.data(), third.pixels.size()), 0);
  const SafetensorsFile latents = load_safetensors(dir / "l.safetensors");
  EXPECT_TRUE(find_tensor(latents.tensors, "latents").equal(npz.get("latents")));
  EXPECT_TRUE(find_tensor(latents.tensors, "seeds").equal(npz.get("seeds")));
  EXPECT_EQ(nlohmann::json::parse(latents.metadata.at("edm2"))["seeds"], "5,2,8-10");
}

TEST_F(GenerateOutputsCli, LatentsNeedNoDecoder) {
  // A network of VAE latents, with no VAE anywhere.
  Snapshot snapshot = test::small_snapshot(0);
  snapshot.encoder.kind = EncoderOptions::Kind::stability_vae;
  snapshot.encoder.scale = {1, 1, 1};
  snapshot.encoder.bias = {0, 0, 0};
  save_snapshot(dir / "latent.pkl", snapshot, SnapshotFormat::pickle);
  const RunResult run = run_edm2({"generate", "--net", dir / "latent.pkl", "--latents",
                                  dir / "l.npz", "--steps=2", "--seeds=1-3"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(NpzFile(dir / "l.npz").get("latents").sizes(), at::IntArrayRef({3, 3, 16, 16}));
  EXPECT_EQ(NpzFile(dir / "l.npz").names(), (std::vector<std::string>{"seeds", "latents"}));
}

TEST_F(GenerateOutputsCli, TrajectoriesEndWithThePicture) {
  expect_done(generate({"--seeds=1-3", "--trajectory=strip", "--trajectory-frames=3",
                        "--trajectory-grid", dir / "rows.png", "--grid", dir / "grid.png"}));
  expect_done(generate({"--seeds=1-3", "--trajectory=webp", "--trajectory-grid", dir / "all.webp",
                        "--trajectory-frames=1"},
                       "last"));
  const Image picture = read_image(dir / "out" / "000002.png");
  const Image strip = read_image(dir / "out" / "000002-steps.png");
  EXPECT_EQ(strip.width, 3 * 18 + 2);
  EXPECT_EQ(strip.height, 16 + 4);
  const Image rows = read_image(dir / "rows.png");
  EXPECT_EQ(rows.width, strip.width);
  EXPECT_EQ(rows.height, 3 * 18 + 2);
  for (size_t y = 0; y < 16; ++y) {
    const uint8_t* expected = picture.pixels.data() + 48 * y;
    const auto last = [&](const Image& sheet, size_t top) {  // the right-most cell
      return sheet.pixels.data() + 3 * ((top + y) * static_cast<size_t>(sheet.width) +
                                        static_cast<size_t>(sheet.width) - 18);
    };
    EXPECT_EQ(std::memcmp(last(strip, 2), expected, 48), 0) << "row " << y;
    EXPECT_EQ(std::memcmp(last(rows, 2 + 18), expected, 48), 0) << "row " << y;
  }
  // An animation of one frame is the picture, and of the sheet the sheet.
  EXPECT_EQ(read_image(dir / "last" / "000002-steps.webp").pixels, picture.pixels);
  EXPECT_EQ(read_image(dir / "all.webp").pixels, read_image(dir / "grid.png").pixels);
}

TEST_F(GenerateOutputsCli, PreviewEndsWithTheLastBatch) {
  expect_done(generate({"--seeds=1-6", "--batch=3", "--preview=3", "--grid", dir / "grid.png"}));
  const Image preview = read_image(dir / "out" / "preview.png");
  EXPECT_EQ(preview.width, 2 * 18 + 2);
  expect_done(generate({"--seeds=4-6", "--preview=100", "--preview-file", dir / "p" / "now.png"}));
  EXPECT_EQ(read_image(dir / "p" / "now.png").pixels, preview.pixels);
}

TEST_F(GenerateOutputsCli, ResumeDrawsWhatIsMissing) {
  const Words settings = {"--seeds=0-5", "--subdirs", "--grid", dir / "grid.png"};
  Words again = settings;
  again.push_back("--resume");
  expect_done(generate(settings));
  const fs::path folder = dir / "out" / "000000";
  std::vector<std::string> whole;
  for (int seed = 0; seed < 6; ++seed)
    whole.push_back(read_file(folder / ("00000" + std::to_string(seed) + ".png")));
  const std::string grid = read_file(dir / "grid.png");
  // One is missing, one is cut, one is empty, one has another size and one is no picture.
  fs::remove(folder / "000000.png");
  std::ofstream(folder / "000001.png", std::ios::binary)
      << whole[1].substr(0, whole[1].size() - 20);
  std::ofstream(folder / "000002.png", std::ios::binary).close();
  write_png(folder / "000003.png", at::zeros({3, 8, 8}, at::kByte));
  std::ofstream(folder / "000004.png", std::ios::binary) << "GIF89a";
  fs::remove(dir / "grid.png");
  const auto time = fs::last_write_time(folder / "000005.png");

  const RunResult run = generate(again);
  expect_done(run);
  EXPECT_NE(run.out.find("1 of 6 images are complete"), std::string::npos) << run.out;
  for (int seed = 0; seed < 6; ++seed)
    EXPECT_EQ(read_file(folder / ("00000" + std::to_string(seed) + ".png")),
              whole[static_cast<size_t>(seed)]);
  EXPECT_EQ(fs::last_write_time(folder / "000005.png"), time);  // not touched
  EXPECT_EQ(read_file(dir / "grid.png"), grid);
  const RunResult nothing = generate(again);
  expect_done(nothing);
  EXPECT_NE(nothing.out.find("Generating 0 images"), std::string::npos) << nothing.out;
}

TEST_F(GenerateOutputsCli, ResumeDoesNotMixSettings) {
  expect_done(generate({"--seeds=0-2"}));
  expect_error(generate({"--seeds=0-3", "--resume", "--rho=5"}), 1, "rho: 7.0 there, 5.0 now");
  expect_error(generate({"--seeds=0-3", "--resume", "--class=1"}), 1, "chosen_class: none there");
  EXPECT_FALSE(fs::exists(dir / "out" / "000003.png"));
  // A picture that was renamed is another one.
  fs::rename(dir / "out" / "000000.png", dir / "out" / "000003.png");
  expect_error(generate({"--seeds=3", "--resume"}), 1, "seed: 0 there, 3 now");
  expect_error(generate({"--seeds=3", "--resume", "--npz", dir / "a.npz"}), 2, "--npz");
}

TEST_F(GenerateOutputsCli, ResumeTellsOfPicturesThatDoNotSayHowTheyWereMade) {
  expect_done(generate({"--seeds=0-2", "--no-metadata"}));
  const RunResult run = generate({"--seeds=0-2", "--class=1", "--resume"});
  expect_done(run);
  EXPECT_NE(run.out.find("3 of the pictures that are kept do not say how they were made, the first "
                         "is '000000.png'"),
            std::string::npos)
      << run.out;
}

TEST_F(GenerateOutputsCli, ResumeLooksAtTrajectories) {
  expect_done(generate({"--seeds=0-2", "--trajectory=webp"}));
  const fs::path file = dir / "out" / "000001-steps.webp";
  const std::string whole = read_file(file);
  std::ofstream(file, std::ios::binary) << whole.substr(0, whole.size() / 2);
  const RunResult run = generate({"--seeds=0-2", "--trajectory=webp", "--resume"});
  EXPECT_NE(run.out.find("2 of 3 images are complete"), std::string::npos) << run.out;
  EXPECT_EQ(read_file(file), whole);
}

TEST_F(GenerateOutputsCli, FailedWritesNameTheFile) {
  fs::create_directories(dir / "out" / "000003.png");  // a folder is in the way
  expect_error(generate({"--seeds=0-5"}), 1, "000003.png");
  std::ofstream(dir / "out" / "000000") << "in the way of a folder";
  expect_error(generate({"--seeds=0-5", "--subdirs"}), 1, "000000");
  fs::create_directories(dir / "grid.png");
  expect_error(generate({"--grid", dir / "grid.png"}, "other"), 1, "grid.png");
  EXPECT_THAT(test::names_in(dir / "other"), testing::IsEmpty());
}

TEST_F(GenerateOutputsCli, WrongUsage) {
  expect_error(generate({"--trajectory=gif"}), 2, "'gif' is not one of webp, strip.");
  expect_error(generate({"--trajectory-frames=0"}), 2, "'--trajectory-frames'");
  expect_error(generate({"--preview=0"}), 2, "'--preview'");
  expect_error(generate({"--grid", dir / "g.jpg"}), 2, "must end with .png");
  expect_error(generate({"--grid", dir / "out" / "000016.png"}), 2, "seed 16");
  expect_error(generate({"--latents", dir / "x.npz", "--npz", dir / "x.npz"}), 2, "same file");
  EXPECT_FALSE(fs::exists(dir / "out"));
}

TEST_F(GenerateOutputsCli, InterruptedRunsLeaveWholeFiles) {
  test::RunOptions interrupted;
  interrupted.kill_after = std::chrono::milliseconds(1500);
  interrupted.kill_signal = SIGINT;
  const RunResult run = generate(
      {"--seeds=0-99999", "--batch=4", "--npz", dir / "all.npz", "--grid", dir / "grid.png"}, "out",
      interrupted);
  EXPECT_EQ(run.exit_code, 128 + SIGINT) << run.err;
  EXPECT_FALSE(fs::exists(dir / "all.npz"));
  EXPECT_FALSE(fs::exists(dir / "grid.png"));
  for (const std::string& name : test::names_in(dir / "out")) {
    EXPECT_TRUE(name.ends_with(".png")) << name;
    EXPECT_EQ(read_image(dir / "out" / name).width, 16) << name;
  }
  EXPECT_THAT(test::names_in(dir.path()), testing::Each(testing::Not(testing::HasSubstr(".tmp"))));
  // And going on gives what an undisturbed run would have given.
  expect_done(generate({"--seeds=0-7", "--resume"}));
  expect_done(generate({"--seeds=0-7"}, "undisturbed"));
  for (const std::string& name : test::names_in(dir / "undisturbed"))
    EXPECT_EQ(read_file(dir / "out" / name), read_file(dir / "undisturbed" / name)) << name;
}

TEST_F(GenerateOutputsCli, MemoryDoesNotGrowWithTheSeeds) {
  save_snapshot(dir / "large.pkl", test::small_snapshot(5, 7, 64), SnapshotFormat::pickle);
  // One thread and pictures one by one, where the peak repeats within some MiB.
  test::RunOptions one_thread;
  one_thread.environment["OMP_NUM_THREADS"] = "1";
  const auto peak = [&](const std::string& seeds) {
    const RunResult run =
        run_edm2({"generate", "--net", dir / "large.pkl", "--outdir", dir / seeds,
                  "--seeds=" + seeds, "--batch=1", "--steps=1", "--device=cpu", "--quiet", "--npz",
                  dir / (seeds + ".npz"), "--latents", dir / (seeds + ".safetensors")},
                 one_thread);
    EXPECT_EQ(run.exit_code, 0) << run.err;
    return static_cast<double>(run.peak_memory) / (1 << 20);
  };
  // A seed has 12 KiB of pixels and 48 KiB of latents: 24 MiB for 400, and twice that to join them.
  // The first pictures still find their places in the allocator.
  const double few = peak("0-49"), many = peak("0-449");
  EXPECT_LT(many, few + 20) << "MiB";
  EXPECT_EQ(NpzFile(dir / "0-449.npz").get("latents").size(0), 450);
}

}  // namespace edm2
