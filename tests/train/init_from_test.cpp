#include "edm2/train/init_from.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "edm2/core/error.h"
#include "edm2/ema/power_function.h"
#include "edm2/nn/snapshot_tools.h"
#include "edm2/train/trainer.h"
#include "support/paths.h"
#include "support/recording_progress.h"
#include "support/small_models.h"

namespace edm2 {
namespace {

bool holds(const std::vector<std::string>& lines, const std::string& part) {
  return std::any_of(lines.begin(), lines.end(),
                     [&](const std::string& line) { return line.find(part) != std::string::npos; });
}

Tensor tensor_of(Precond& network, const std::string& name) {
  return find_tensor(network.state_dict(), name);
}

/// Trained weights: random, gains that are not 0.
Snapshot source_of(const NetworkOptions& options) {
  return test::random_snapshot(options, at::kHalf);
}

}  // namespace

TEST(InitFrom, TheSameNetworkIsLoadedWhole) {
  const NetworkOptions options = test::tiny_options(3);
  const Snapshot source = source_of(options);
  Precond network(options);
  const InitReport report = initialize_from(network, source);
  EXPECT_EQ(report.loaded, report.total);
  EXPECT_EQ(report.lines().size(), 1u);
  for (const auto& [name, values] : source.tensors)
    EXPECT_TRUE(tensor_of(network, name).equal(values.to(at::kFloat))) << name;
}

TEST(InitFrom, OtherResolutionsAreMatchedByLevel) {
  const Snapshot source = source_of(test::tiny_options(3, 8));
  NetworkOptions options = test::tiny_options(3, 24);
  options.attn_resolutions = {12};
  Precond network(options);
  const InitReport report = initialize_from(network, source);
  EXPECT_EQ(report.loaded, report.total);
  EXPECT_TRUE(holds(report.lines(), "matched by level"));
  EXPECT_TRUE(
      tensor_of(network, "unet.enc.12x12_block0.attn_qkv.weight")
          .equal(
              find_tensor(source.tensors, "unet.enc.4x4_block0.attn_qkv.weight").to(at::kFloat)));
  EXPECT_EQ(structure_for(options, source.network).attn_resolutions, options.attn_resolutions);
}

TEST(InitFrom, ALostUncertaintyHeadStartsAnew) {
  const NetworkOptions options = test::tiny_options(3);
  Snapshot source = source_of(options);
  std::erase_if(source.tensors,
                [](const auto& entry) { return entry.first.starts_with("logvar_"); });
  source.network.has_logvar = false;
  EXPECT_EQ(structure_for(options, source.network), options);
  Precond network(options);
  const InitReport report = initialize_from(network, source);
  EXPECT_EQ(report.missing,
            (std::vector<std::string>{"logvar_fourier.freqs", "logvar_fourier.phases",
                                      "logvar_linear.weight"}));
  EXPECT_EQ(report.loaded, report.total - 3);
}

TEST(InitFrom, NewClassesStandBehindTheOldOnes) {
  const Snapshot source = source_of(test::tiny_options(3));
  Precond more(test::tiny_options(5)), fewer(test::tiny_options(2));
  const Tensor old = find_tensor(source.tensors, "unet.emb_label.weight").to(at::kFloat);
  const Tensor fresh = tensor_of(more, "unet.emb_label.weight").clone();
  const InitReport report = initialize_from(more, source);
  EXPECT_TRUE(holds(report.partly, "classes 0 to 2"));
  const Tensor now = tensor_of(more, "unet.emb_label.weight");
  EXPECT_TRUE(now.narrow(1, 0, 3).equal(old));
  EXPECT_TRUE(now.narrow(1, 3, 2).equal(fresh.narrow(1, 3, 2)));
  EXPECT_TRUE(holds(initialize_from(fewer, source).unfitting, "unet.emb_label.weight"));
}

TEST(InitFrom, OtherChannelsKeepTheRest) {
  const Snapshot source = source_of(test::tiny_options(0));
  NetworkOptions options = test::tiny_options(3);
  options.img_channels = 1;
  Precond network(options);
  const Tensor conv = tensor_of(network, "unet.enc.8x8_conv.weight").clone();
  const InitReport report = initialize_from(network, source);
  EXPECT_EQ(report.unfitting.size(), 2u);  // first and last convolution
  EXPECT_TRUE(holds(report.unfitting, "[16, 4, 3, 3] in the file, [16, 2, 3, 3] here"));
  EXPECT_EQ(report.missing, (std::vector<std::string>{"unet.emb_label.weight"}));
  EXPECT_EQ(report.reset, (std::vector<std::string>{"unet.out_gain"}));
  EXPECT_EQ(report.loaded, report.total - 4);
  EXPECT_TRUE(tensor_of(network, "unet.enc.8x8_conv.weight").equal(conv));
  EXPECT_EQ(tensor_of(network, "unet.out_gain").item<float>(), 0);
  EXPECT_NE(tensor_of(network, "unet.enc.8x8_block0.emb_gain").item<float>(), 0);
  const auto lines = report.lines();
  EXPECT_TRUE(holds(lines, "not in the file, start at random: 1"));
}

TEST(InitFrom, NothingFits) {
  const Snapshot source = source_of(test::tiny_options(3, 8, 16));
  Precond wide(test::tiny_options(3, 8, 32));
  const Tensor before = tensor_of(wide, "logvar_linear.weight").clone();
  try {
    initialize_from(wide, source);
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "none of its weights fits this network: it has 16 channels times 1,2, this one 32 "
                 "channels times 1,2; leave out --preset, --channels and --channel-mult to take "
                 "its structure");
  }
  EXPECT_TRUE(tensor_of(wide, "logvar_linear.weight").equal(before));
  Precond same(test::tiny_options(3));
  EXPECT_THROW(initialize_from(same, fold(source)), Error);
}

TEST(InitFrom, TrainingStartsFromItUntilThereIsAState) {
  const test::TempDir dir;
  test::write_small_dataset(dir / "data");
  const Snapshot source = source_of(test::tiny_options(3, 8, 8));
  save_snapshot(dir / "net.safetensors", source, SnapshotFormat::safetensors);
  TrainOptions options;
  options.data = dir / "data";
  options.outdir = dir / "run";
  options.network = test::tiny_options(3, 8, 8);
  options.batch_size = 512;
  options.batch_gpu = 64;
  options.total_nimg = 1024;
  options.status_nimg = options.snapshot_nimg = std::nullopt;
  options.checkpoint_nimg = 1024;
  options.device = "cpu";
  options.init_from = (dir / "net.safetensors").string();
  const auto progress = std::make_shared<test::RecordingProgress>();
  Tensor trained;
  {
    Trainer trainer(options, progress);
    trainer.setup();
    EXPECT_TRUE(holds(progress->messages, "Starting from the weights of"));
    for (const auto& [name, values] : source.tensors) {
      EXPECT_TRUE(tensor_of(trainer.network(), name).equal(values.to(at::kFloat))) << name;
      EXPECT_TRUE(find_tensor(trainer.ema().weights(1), name).equal(values.to(at::kFloat))) << name;
    }
    trainer.run();
    trained = tensor_of(trainer.network(), "unet.emb_noise.weight").clone();
  }
  std::filesystem::remove(dir / "net.safetensors");
  progress->messages.clear();
  options.total_nimg = 2048;
  Trainer resumed(options, progress);
  resumed.setup();
  EXPECT_EQ(resumed.cur_nimg(), 1024);
  EXPECT_FALSE(holds(progress->messages, "Starting from the weights"));
  EXPECT_TRUE(tensor_of(resumed.network(), "unet.emb_noise.weight").equal(trained));

  options.outdir = dir / "other";
  Trainer gone(options, progress);
  EXPECT_THROW(gone.setup(), Error);
  EXPECT_FALSE(std::filesystem::exists(dir / "other"));
}

}  // namespace edm2
