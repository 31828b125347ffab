// edm2 train and generate with data that are not RGB pictures in classes.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "edm2/io/image.h"
#include "edm2/io/npz.h"
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

class TrainOwnDataCli : public testing::Test {
 protected:
  RunResult train(Words words) {
    Words all = {"train",
                 "--outdir=" + (dir / "run").string(),
                 "--data=" + (dir / "data").string(),
                 "--channel-mult=1,2",
                 "--num-blocks=1",
                 "--channels=8",
                 "--channels-per-head=8",
                 "--batch=1024",
                 "--batch-gpu=64",
                 "--duration=1024",
                 "--snapshot=1024",
                 "--status=0",
                 "--checkpoint=0",
                 "--rampup=0",
                 "--device=cpu"};
    all.insert(all.end(), words.begin(), words.end());
    return run_edm2(all);
  }
  RunResult generate(Words words, const std::string& outdir = "out") {
    Words all = {"generate", "--net", snapshot(), "--steps=2", "--device=cpu"};
    if (!outdir.empty()) all.push_back("--outdir=" + (dir / outdir).string());
    all.insert(all.end(), words.begin(), words.end());
    return run_edm2(all);
  }
  std::string snapshot() const { return dir / "run" / "network-snapshot-0000001-0.100.pkl"; }
  static Tensor bytes(int64_t channels, int64_t size, int64_t count = 6) {
    return at::randint(0, 256, {count, channels, size, size}, at::kByte);
  }
  test::TempDir dir;
};

}  // namespace

TEST_F(TrainOwnDataCli, GreyPicturesOfAnEvenSizeWithLabelVectors) {
  at::manual_seed(1);
  nlohmann::json labels = nlohmann::json::array();
  for (int i = 0; i < 6; ++i) labels.push_back({0.5 * i, -0.25, 7});
  test::write_dataset(dir / "data", bytes(1, 10), labels);
  const RunResult run = train({"--cond=vector"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_NE(run.out.find("no level of resolution 16, 8"), std::string::npos) << run.out;
  EXPECT_NE(run.out.find("the label vectors have a length of"), std::string::npos);
  const Snapshot net = load_snapshot(snapshot());
  EXPECT_EQ(net.network.img_channels, 1);
  EXPECT_EQ(net.network.img_resolution, 10);
  EXPECT_EQ(net.network.label_dim, 3);
  ASSERT_TRUE(net.dataset);
  EXPECT_TRUE(net.dataset->vector_labels);

  expect_error(generate({"--seeds=1"}), 1, "use --label-vector or --labels");
  expect_error(generate({"--seeds=1", "--class=2"}), 1, "not on classes");
  expect_error(generate({"--seeds=1", "--label-vector=1,2"}), 1, "has 2 numbers");
  expect_error(generate({"--seeds=1", "--label-vector=1,2,3", "--class=1"}), 2, "only one of");
  const RunResult drawn =
      generate({"--seeds=0-6", "--labels", dir / "data", "--npz", dir / "all.npz", "--grid",
                dir / "grid.png", "--trajectory=strip", "--trajectory-frames=2"});
  ASSERT_EQ(drawn.exit_code, 0) << drawn.err;
  const Image picture = test::read_image(dir / "out" / "000003.png");
  EXPECT_EQ(picture.channels, 1);
  EXPECT_EQ(picture.width, 10);
  EXPECT_EQ(test::read_image(dir / "grid.png").channels, 3);
  const NpzFile all(dir / "all.npz");
  EXPECT_EQ(all.get("arr_0").sizes(), at::IntArrayRef({7, 10, 10, 1}));
  EXPECT_TRUE(all.get("labels")[3].equal(at::tensor({1.5f, -0.25f, 7.f})));
  EXPECT_TRUE(all.get("labels")[6].equal(all.get("labels")[0]));  // six labels

  // The same label by another way gives the same picture, and --resume knows it from another one.
  ASSERT_EQ(generate({"--seeds=3", "--label-vector=1.5,-0.25,7"}, "one").exit_code, 0);
  EXPECT_EQ(test::read_image(dir / "one" / "000003.png").pixels, picture.pixels);
  EXPECT_EQ(generate({"--seeds=3", "--label-vector=1.5,-0.25,7", "--resume"}, "one").exit_code, 0);
  expect_error(generate({"--seeds=3", "--label-vector=1.5,-0.25,6", "--resume"}, "one"), 1,
               "label: [1.5,-0.25,7.0] there");
  const RunResult again =
      generate({"--seeds=0-6", "--labels", dir / "data", "--resume", "--grid", dir / "again.png"});
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(test::read_image(dir / "again.png").pixels, test::read_image(dir / "grid.png").pixels);
}

TEST_F(TrainOwnDataCli, PicturesWithAlpha) {
  at::manual_seed(2);
  test::write_dataset(dir / "data", bytes(4, 12), nullptr);
  const RunResult run = train({"--cond=none", "--attn-resolutions=6"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(run.out.find("Note:"), std::string::npos) << run.out;
  EXPECT_EQ(load_snapshot(snapshot()).encoder, EncoderOptions{});
  const RunResult drawn = generate({"--seeds=0-2", "--trajectory-grid", dir / "steps.png"});
  ASSERT_EQ(drawn.exit_code, 0) << drawn.err;
  EXPECT_EQ(test::read_image(dir / "out" / "000001.png").channels, 4);
  EXPECT_EQ(test::read_image(dir / "steps.png").channels, 3);
  expect_error(generate({"--seeds=1", "--label-vector=1"}), 1, "unconditional");
  expect_error(generate({"--seeds=1", "--labels=x.npy"}), 1, "unconditional");
}

TEST_F(TrainOwnDataCli, Latents) {
  at::manual_seed(3);
  test::write_dataset(dir / "data", at::randn({6, 4, 12, 12}), {0, 1, 2, 0, 1, 2});
  ASSERT_EQ(train({"--cond=class"}).exit_code, 0);
  const Snapshot net = load_snapshot(snapshot());
  EXPECT_EQ(net.encoder, stability_vae_options());
  EXPECT_EQ(net.network.img_channels, 4);
  ASSERT_EQ(generate({"--seeds=0,1", "--latents", dir / "latents.npz"}, "").exit_code, 0);
  EXPECT_EQ(NpzFile(dir / "latents.npz").get("latents").sizes(), at::IntArrayRef({2, 4, 12, 12}));

  fs::remove_all(dir / "run");
  fs::remove_all(dir / "data");
  test::write_dataset(dir / "data", at::randn({6, 5, 8, 8}) * 3, nullptr);
  expect_error(train({"--cond=none"}), 1, "--encoder=none");
  const RunResult run = train({"--cond=none", "--encoder=none"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_NE(run.out.find("root mean square"), std::string::npos) << run.out;
  expect_error(generate({"--seeds=0"}), 1, "not pixels");
  ASSERT_EQ(generate({"--seeds=0,1", "--latents", dir / "latents.npz", "--preview=1",
                      "--preview-file", dir / "preview.png"},
                     "")
                .exit_code,
            0);
  EXPECT_EQ(NpzFile(dir / "latents.npz").get("latents").sizes(), at::IntArrayRef({2, 5, 8, 8}));
}

TEST_F(TrainOwnDataCli, WrongData) {
  test::write_dataset(dir / "data", bytes(3, 8), {0, 1, 2, 0, 1, 2});
  expect_error(train({"--cond=vector"}), 1, "use --cond=class");
  expect_error(train({"--cond=sometimes"}), 2, "'--cond'");
  expect_error(train({"--encoder=vae"}), 1, "--encoder=vae");
  expect_error(train({"--channel-mult=1,2,3,4,5"}), 1,
               "divisible by 16, because the network has 5 levels; the next size that works is 16");
  fs::remove_all(dir / "data");
  test::write_dataset(dir / "data", bytes(1, 22), {{1, 2}, {1, 2}, {1, 2}, {1, 2}, {1, 2}, {1, 2}});
  expect_error(train({"--cond=class"}), 1, "use --cond=vector");
  expect_error(train({"--channel-mult=1,2,3"}), 1, "the next sizes that work are 20 and 24");
  EXPECT_FALSE(fs::exists(dir / "run"));
}

TEST_F(TrainOwnDataCli, FineTuning) {
  test::write_dataset(dir / "data", bytes(3, 8), {0, 1, 2, 0, 1, 2});
  ASSERT_EQ(train({"--attn-resolutions=4"}).exit_code, 0);
  fs::rename(dir / "run", dir / "first");
  const std::string net = dir / "first" / "network-snapshot-0000001-0.100.pkl";
  fs::remove_all(dir / "data");
  test::write_dataset(dir / "data", bytes(3, 16), {0, 1, 2, 3, 1, 2});

  // The structure is the network's, without any option that says so.
  Words words = {"train",
                 "--outdir",
                 dir / "run",
                 "--data",
                 dir / "data",
                 "--init-from",
                 net,
                 "--batch=1024",
                 "--batch-gpu=64",
                 "--duration=1024",
                 "--snapshot=1024",
                 "--checkpoint=1024",
                 "--status=0",
                 "--device=cpu"};
  const RunResult run = run_edm2(words);
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_NE(run.out.find("matched by level"), std::string::npos) << run.out;
  EXPECT_NE(run.out.find("classes 0 to 2"), std::string::npos);
  const auto config = nlohmann::json::parse(read_file(dir / "run" / "training_options.json"));
  EXPECT_EQ(config["init_from"], net);
  EXPECT_EQ(config["network_kwargs"]["model_channels"], 8);
  EXPECT_EQ(config["network_kwargs"]["attn_resolutions"], nlohmann::json({8}));

  // A restart needs the file no more.
  fs::remove_all(dir / "first");
  words.push_back("--duration=2048");
  const RunResult again = run_edm2(words);
  ASSERT_EQ(again.exit_code, 0) << again.err;
  EXPECT_NE(again.out.find("Training from 1 kimg to 2 kimg"), std::string::npos) << again.out;

  words[2] = dir / "other";
  expect_error(run_edm2(words), 1, "--init-from");
  words[6] = dir / "run" / "network-snapshot-0000001-0.100.pkl";
  words.insert(words.end(), {"--channels=16", "--channels-per-head=16"});
  expect_error(run_edm2(words), 1, "none of its weights fits this network");
  EXPECT_FALSE(fs::exists(dir / "other"));
}

TEST_F(TrainOwnDataCli, EstimateWritesNothing) {
  test::write_dataset(dir / "data", bytes(3, 8), {0, 1, 2, 0, 1, 2});
  const RunResult run = train({"--estimate"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_NE(run.out.find("Estimate (nothing is written):"), std::string::npos) << run.out;
  EXPECT_NE(run.out.find("images/s"), std::string::npos);
  const RunResult json = train({"--estimate", "--json", "--nproc=2"});
  ASSERT_EQ(json.exit_code, 0) << json.err;
  const auto estimate = nlohmann::json::parse(json.out);
  EXPECT_EQ(estimate["processes"], 2);
  EXPECT_GT(estimate["images_per_second"], 0);
  expect_error(train({"--json"}), 2, "--estimate");
  EXPECT_FALSE(fs::exists(dir / "run"));
}

TEST_F(TrainOwnDataCli, AutoChoosesOnce) {
  test::write_dataset(dir / "data", bytes(3, 8), {0, 1, 2, 0, 1, 2});
  Words words = {"train",
                 "--outdir",
                 dir / "run",
                 "--data",
                 dir / "data",
                 "--auto",
                 "--channels=8",
                 "--channel-mult=1,2",
                 "--num-blocks=1",
                 "--channels-per-head=8",
                 "--device=cpu",
                 "--duration=4096",
                 "--checkpoint=4096"};
  const RunResult dry = run_edm2([&] {
    Words all = words;
    all.push_back("--dry-run");
    return all;
  }());
  ASSERT_EQ(dry.exit_code, 0) << dry.err;
  for (const char* part : {"--batch=32: 2048 of the preset", "--lr=", "--decay=", "--batch-gpu=",
                           "\"auto\": true", "Dry run; exiting."})
    EXPECT_NE(dry.out.find(part), std::string::npos) << part << dry.out;
  EXPECT_FALSE(fs::exists(dir / "run"));
  ASSERT_EQ(run_edm2(words).exit_code, 0);
  words.push_back("--duration=5120");
  const RunResult again = run_edm2(words);
  ASSERT_EQ(again.exit_code, 0) << again.err;
  EXPECT_NE(again.out.find("keeps what was chosen then"), std::string::npos) << again.out;
  EXPECT_NE(again.out.find("Training from 4 kimg to 5 kimg"), std::string::npos) << again.out;
  expect_error(
      run_edm2({"train", "--outdir", dir / "run2", "--data", dir / "data", "--auto", "--channels=8",
                "--channel-mult=1,2", "--memory-limit=1", "--channels-per-head=8"}),
      1, "--memory-limit");
}

}  // namespace edm2
