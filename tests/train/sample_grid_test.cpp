#include "train/sample_grid.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "edm2/core/error.h"
#include "edm2/io/atomic_file.h"
#include "edm2/io/npz.h"
#include "edm2/nn/network.h"
#include "edm2/train/trainer.h"
#include "support/paths.h"
#include "support/python.h"
#include "support/small_models.h"
#include "support/small_training.h"

namespace edm2 {
namespace {

namespace fs = std::filesystem;

class SampleGridTest : public testing::Test {
 protected:
  void SetUp() override { test::write_small_dataset(dir_ / "data"); }
  TrainOptions options(const std::string& run) {
    TrainOptions o = test::small_training(dir_ / "data", dir_ / run);
    o.network.dropout = 0.1;
    o.learning_rate = {.ref_lr = 0.01, .ref_batches = 100, .rampup_nimg = 0};
    o.batch_size = 4;
    o.total_nimg = 16;
    o.status_nimg = 8;
    o.samples.every_nimg = 8;
    o.samples.count = 5;
    o.samples.num_steps = 3;
    return o;
  }
  std::vector<std::string> files(const fs::path& folder) {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder))
      names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
  }
  Image grid(const std::string& run, const std::string& name) {
    const std::string bytes = read_text_file(dir_ / run / "samples" / name);
    return decode_image(std::as_bytes(std::span(bytes)), name);
  }

  test::TempDir dir_;
};

bool same_weights(Trainer& a, Trainer& b) {
  return test::same_state(a.network().state_dict(), b.network().state_dict()) &&
         test::same_state(a.ema().weights(0), b.ema().weights(0)) &&
         test::same_state(a.ema().weights(1), b.ema().weights(1));
}

}  // namespace

TEST_F(SampleGridTest, TrainingDoesNotNotice) {
  auto without = options("without");
  without.samples.every_nimg = std::nullopt;
  without.tensorboard = false;
  without.full_statistics = false;
  const auto a = test::train(without), b = test::train(options("with"));
  EXPECT_TRUE(same_weights(*a, *b));
  EXPECT_FALSE(fs::exists(dir_ / "without" / "samples"));
  for (const std::string& name : files(dir_ / "without"))
    EXPECT_FALSE(name.starts_with("events.out")) << name;
  // File names count in thousands of images, so all grids of this short run have one name.
  EXPECT_EQ(files(dir_ / "with" / "samples"),
            (std::vector<std::string>{"samples-0000000-0.050.png"}));
}

TEST_F(SampleGridTest, SameSeedsForEveryGridAndAWidthEach) {
  auto o = options("run");
  o.samples.stds = {0.05, 0.1};
  const auto trainer = test::train(o);
  const Image narrow = grid("run", "samples-0000000-0.050.png"),
              wide = grid("run", "samples-0000000-0.100.png");
  EXPECT_EQ(narrow.width, 3 * 10 + 2);
  EXPECT_EQ(narrow.height, 2 * 10 + 2);
  EXPECT_NE(narrow.pixels, wide.pixels);
  // The grid depends on weights and options alone.
  RunLog log(make_progress(ProgressStyle::quiet));
  auto again = o;
  again.network = trainer->network().options();
  const ImageDataset dataset({.path = o.data});
  SampleGrid sampler(again, dataset, *make_encoder({}), log);
  const auto grids = sampler.draw(trainer->ema(), c10::kCPU);
  ASSERT_EQ(grids.size(), 2u);
  EXPECT_EQ(grids[0].image.pixels, narrow.pixels);
  EXPECT_EQ(grids[1].image.pixels, wide.pixels);
  EXPECT_EQ(grids[0].std, 0.05);
}

TEST_F(SampleGridTest, LatentsWithoutAVaeAreShownAsAnImpression) {
  fs::create_directories(dir_ / "latents");
  at::manual_seed(4);
  for (int i = 0; i < 4; ++i)
    std::ofstream(dir_ / "latents" / ("img" + std::to_string(i) + ".npy"), std::ios::binary)
        << npy_bytes(at::rand({8, 8, 8}));
  auto o = options("run");
  o.data = dir_ / "latents";
  o.use_labels = false;
  o.samples.fetch.cache_dir = dir_ / "empty-cache";
  setenv("HF_HOME", (dir_ / "no-hub").c_str(), 1);
  test::train(o);
  const std::string log = read_text_file(dir_ / "run" / "log.txt");
  EXPECT_NE(log.find("cheap impression"), std::string::npos) << log;
  EXPECT_EQ(log.find("cheap impression"), log.rfind("cheap impression"));
  EXPECT_EQ(grid("run", "samples-0000000-0.050.png").width, 3 * 10 + 2);
  // A VAE that is named must be there, before the run's folder is made.
  o.outdir = dir_ / "other";
  o.samples.vae = (dir_ / "missing").string();
  EXPECT_THROW(test::train(o), Error);
  EXPECT_FALSE(fs::exists(dir_ / "other"));
}

TEST_F(SampleGridTest, ClassesAreSpreadOverThePictures) {
  const auto classes = [&](int64_t count) {
    const ImageDataset dataset({.path = dir_ / "data"});
    const Tensor index = sample_labels(dataset, count).argmax(1);
    return std::vector<int64_t>(index.const_data_ptr<int64_t>(),
                                index.const_data_ptr<int64_t>() + count);
  };
  EXPECT_EQ(classes(7), (std::vector<int64_t>{0, 1, 2, 0, 1, 2, 0}));
  EXPECT_EQ(classes(2), (std::vector<int64_t>{0, 1}));
  // Vectors are those of items far apart; no labels are none.
  nlohmann::json labels = nlohmann::json::array();
  for (int i = 0; i < 10; ++i) labels.push_back({"img00" + std::to_string(i) + ".npy", {i, 0.5}});
  std::ofstream(dir_ / "data" / "dataset.json") << nlohmann::json{{"labels", labels}}.dump();
  const Tensor vectors = sample_labels(ImageDataset({.path = dir_ / "data"}), 3);
  EXPECT_TRUE(vectors.equal(at::tensor({0.f, 0.5f, 3.f, 0.5f, 6.f, 0.5f}).reshape({3, 2})));
  const ImageDataset unlabelled({.path = dir_ / "data", .use_labels = false});
  EXPECT_FALSE(sample_labels(unlabelled, 3).defined());
}

TEST_F(SampleGridTest, RefusesOptionsThatDoNotFit) {
  auto o = options("run");
  o.samples.stds = {0.07};
  EXPECT_THROW(validate(o), Error);
  o = options("run");
  o.samples.every_nimg = 6;
  EXPECT_THROW(validate(o), Error);
  EXPECT_NO_THROW(validate(options("run")));
}

TEST_F(SampleGridTest, APictureThatCannotBeWrittenDoesNotEndTheRun) {
  fs::create_directories(dir_ / "run");
  std::ofstream(dir_ / "run" / "samples") << "a file in the way";
  const auto trainer = test::train(options("run"));
  EXPECT_EQ(trainer->cur_nimg(), 16);
  EXPECT_NE(read_text_file(dir_ / "run" / "log.txt").find("training goes on"), std::string::npos);
}

TEST(SampleGridPictures, GreyAndOpacityBecomeRgb) {
  const Tensor grey = at::full({2, 1, 4, 4}, 7, at::kByte);
  EXPECT_TRUE(to_rgb_pictures(grey).equal(at::full({2, 3, 4, 4}, 7, at::kByte)));
  Tensor rgba = at::full({1, 4, 1, 3}, 100, at::kByte);
  rgba[0][3][0] = at::tensor({0, 255, 51}, at::kByte);
  EXPECT_TRUE(to_rgb_pictures(rgba)[0][1][0].equal(at::tensor({255, 100, 224}, at::kByte)));
}

TEST(TrainingEventsInterop, TensorBoardShowsARunThatWasResumed) {
  const std::string python = test::find_python("tensorboard");
  if (python.empty()) GTEST_SKIP() << "no Python with tensorboard (set EDM2_TORCH_PYTHON)";
  const test::TempDir dir;
  test::write_small_dataset(dir / "data");
  TrainOptions o;
  o.data = dir / "data";
  o.outdir = dir / "run";
  o.network = test::tiny_options(3, 8, 8);
  o.learning_rate = {.ref_lr = 0.01, .ref_batches = 100, .rampup_nimg = 0};
  o.batch_size = 64;
  o.total_nimg = 2048;
  o.status_nimg = 512;
  o.snapshot_nimg = std::nullopt;
  o.checkpoint_nimg = 1024;
  o.samples.every_nimg = 512;
  o.samples.num_steps = 2;
  o.device = "cpu";
  for (const char* lost : {"training-state-0000002.pt", "none"}) {  // so the second start goes back
    Trainer trainer(o, make_progress(ProgressStyle::quiet));
    trainer.setup();
    trainer.run();
    fs::remove(o.outdir / lost);
  }
  const auto read = nlohmann::json::parse(
      test::run_interop_script(python, "tensorboard_events.py", {o.outdir.string()}));
  std::map<double, nlohmann::json> lines;  // by kimg; later ones count
  std::ifstream stats(dir / "run" / "stats.jsonl");
  for (std::string line; std::getline(stats, line);) {
    const auto values = nlohmann::json::parse(line);
    lines[values["Progress/kimg"].get<double>()] = values;
  }
  EXPECT_EQ(lines.size(), 5u);
  // Every number of stats.jsonl, once and at its step.
  size_t numbers = 0;
  for (const auto& [kimg, values] : lines) {
    const auto step = static_cast<int64_t>(1000 * kimg + 0.5);
    for (const auto& [key, value] : values.items()) {
      if (key == "timestamp") continue;
      numbers += 1;
      size_t found = 0;
      for (const auto& event : read["scalars"][key])
        if (event[0] == step) {
          found += 1;
          EXPECT_NEAR(event[1].get<double>(), value.get<double>(),
                      1e-5 * std::abs(value.get<double>()) + 1e-12)
              << key;
        }
      EXPECT_EQ(found, 1u) << key << " at " << step;
    }
  }
  EXPECT_GT(numbers, 100u);
  std::vector<int64_t> steps;
  for (const auto& image : read["images"]["Samples/ema-0.050"]) {
    steps.push_back(image["step"]);
    EXPECT_EQ(image["width"], 4 * 10 + 2);
  }
  EXPECT_EQ(steps, (std::vector<int64_t>{0, 512, 1024, 1536, 2048}));
}

}  // namespace edm2
