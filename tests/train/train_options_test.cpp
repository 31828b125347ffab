// Presets and the configuration, against the specification's tables.
#include "edm2/train/train_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>

#include "edm2/core/error.h"
#include "edm2/nn/state_layout.h"

namespace edm2 {
namespace {

int64_t count_parameters(const NetworkOptions& options) {
  int64_t count = 0;
  for (const StateEntry& entry : state_layout(options)) {
    int64_t numel = 1;
    for (const int64_t size : entry.shape) numel *= size;
    if (!entry.is_buffer) count += numel;
  }
  return count;
}

struct Row {
  int64_t duration, channels;
  double lr, dropout;
  int64_t parameters;  // with 1000 classes
};

const std::map<std::string, Row> table = {
    {"edm2-img512-xxs", {2147483648, 64, 0.0170, 0.00, 31309029}},
    {"edm2-img512-xs", {2147483648, 128, 0.0120, 0.00, 124713253}},
    {"edm2-img512-s", {2147483648, 192, 0.0100, 0.00, 280212837}},
    {"edm2-img512-m", {2147483648, 256, 0.0090, 0.10, 497807781}},
    {"edm2-img512-l", {1879048192, 320, 0.0080, 0.10, 777498085}},
    {"edm2-img512-xl", {1342177280, 384, 0.0070, 0.10, 1119283749}},
    {"edm2-img512-xxl", {939524096, 448, 0.0065, 0.10, 1523164773}},
    {"edm2-img64-xs", {1073741824, 128, 0.0120, 0.00, 124710949}},
    {"edm2-img64-s", {1073741824, 192, 0.0100, 0.00, 280209381}},
    {"edm2-img64-m", {2147483648, 256, 0.0090, 0.10, 497803173}},
    {"edm2-img64-l", {1073741824, 320, 0.0080, 0.10, 777492325}},
    {"edm2-img64-xl", {671088640, 384, 0.0070, 0.10, 1119276837}},
};

}  // namespace

TEST(TrainPresets, EveryValueOfTheSpecification) {
  EXPECT_EQ(training_preset_names().size(), table.size());
  for (const auto& [name, row] : table) {
    SCOPED_TRACE(name);
    TrainOptions o;
    apply_training_preset(o, name);
    const bool latents = name.find("img512") != std::string::npos;
    EXPECT_EQ(o.total_nimg, row.duration);
    EXPECT_EQ(o.batch_size, 2048);
    EXPECT_EQ(o.network.model_channels, row.channels);
    EXPECT_EQ(o.learning_rate.ref_lr, row.lr);
    EXPECT_EQ(o.learning_rate.ref_batches, latents ? 70000 : 35000);
    EXPECT_EQ(o.network.dropout, row.dropout);
    EXPECT_EQ(o.P_mean, latents ? -0.4 : -0.8);
    EXPECT_EQ(o.P_std, latents ? 1.0 : 1.6);
    // What the presets do not touch.
    EXPECT_EQ(o.learning_rate.rampup_nimg, 10e6);
    EXPECT_EQ(o.stds, (std::vector<double>{0.05, 0.10}));
    EXPECT_EQ(o.status_nimg, 131072);
    EXPECT_EQ(o.snapshot_nimg, 8388608);
    EXPECT_EQ(o.checkpoint_nimg, 134217728);
    EXPECT_EQ(o.loss_scaling, 1);
    EXPECT_FALSE(o.batch_gpu);
    EXPECT_TRUE(o.network.use_fp16);
    EXPECT_EQ(o.network.sigma_data, 0.5);
    // Counted from the layout, without weights.
    o.network.img_resolution = 64;
    o.network.img_channels = latents ? 4 : 3;
    o.network.label_dim = 1000;
    EXPECT_EQ(count_parameters(o.network), row.parameters);
    EXPECT_NO_THROW(validate(o, 8));
  }
}

TEST(TrainValidation, NumbersMustBeFinite) {
  TrainOptions good;
  good.total_nimg = good.batch_size;
  EXPECT_NO_THROW(validate(good, 1));
  const std::pair<const char*, std::function<double&(TrainOptions&)>> numbers[] = {
      {"--P_mean", [](TrainOptions& o) -> double& { return o.P_mean; }},
      {"--P_std", [](TrainOptions& o) -> double& { return o.P_std; }},
      {"--lr", [](TrainOptions& o) -> double& { return o.learning_rate.ref_lr; }},
      {"--decay", [](TrainOptions& o) -> double& { return o.learning_rate.ref_batches; }},
      {"--ls", [](TrainOptions& o) -> double& { return o.loss_scaling; }},
      {"--dropout", [](TrainOptions& o) -> double& { return o.network.dropout; }}};
  for (const auto& [option, number] : numbers)
    for (const double bad : {INFINITY, -INFINITY, NAN}) {
      TrainOptions options = good;
      number(options) = bad;
      try {
        validate(options, 1);
        ADD_FAILURE() << option << ' ' << bad;
      } catch (const UsageError& error) {
        EXPECT_NE(std::string(error.what()).find(option), std::string::npos) << error.what();
      }
    }
}

TEST(TrainValidation, SnapshotsOfTwoWidthsNeedTwoNames) {
  TrainOptions options;
  options.total_nimg = options.batch_size;
  options.stds = {0.05, 0.1, 0.0501};
  EXPECT_THROW(validate(options, 1), UsageError);
  options.stds = {0.05, 0.1, 0.0506};
  EXPECT_NO_THROW(validate(options, 1));
}

TEST(TrainOptions, StatusLinesOfShortRuns) {
  EXPECT_EQ(usual_status_interval(int64_t{1} << 30, 2048), 128 << 10) << "as in the original";
  EXPECT_EQ(usual_status_interval(4 << 20, 2048), 128 << 10);
  EXPECT_EQ(usual_status_interval(1 << 20, 64), 32 << 10);
  EXPECT_EQ(usual_status_interval(48 << 10, 48), 1536);
  EXPECT_EQ(usual_status_interval(40000, 48), 1248) << "in whole batches";
  EXPECT_EQ(usual_status_interval(64, 64), 64);
}

TEST(TrainOptions, RunsWithoutPicturesAreTold) {
  TrainOptions o;
  apply_training_preset(o, "edm2-img64-xs");
  EXPECT_THAT(short_run_warnings(o), testing::IsEmpty());
  o.batch_size = 64;
  o.total_nimg = 64 << 10;
  o.snapshot_nimg = 8 << 10;
  EXPECT_THAT(short_run_warnings(o), testing::ElementsAre(testing::AllOf(
                                         testing::HasSubstr("little but noise"),
                                         testing::HasSubstr("10000000 images (--rampup)"))));
  o.init_from = "net.pkl";
  EXPECT_THAT(short_run_warnings(o), testing::IsEmpty()) << "it can draw from the beginning";
  o.init_from = "";
  o.learning_rate.rampup_nimg = 8 << 10;
  EXPECT_THAT(short_run_warnings(o), testing::IsEmpty());
  o.total_nimg = 1024;
  EXPECT_THAT(short_run_warnings(o),
              testing::ElementsAre(testing::HasSubstr("16 steps long (--duration=1024)"),
                                   testing::HasSubstr("only the untrained network")));
  o.snapshot_nimg.reset();
  EXPECT_EQ(short_run_warnings(o).size(), 1u);
}

TEST(TrainConfig, OwnKeysAppearOnlyWhereTheyAreNeeded) {
  TrainOptions o;
  apply_training_preset(o, "edm2-img512-s");
  o.data = "data.zip";
  const auto plain = training_config(o, stability_vae_options(), LabelKind::classes);
  EXPECT_EQ(plain["encoder_kwargs"].dump(),
            R"({"class_name":"training.encoders.StabilityVAEEncoder"})");
  EXPECT_EQ(plain["dataset_kwargs"].dump(),
            R"({"class_name":"training.dataset.ImageFolderDataset","path":"data.zip",)"
            R"("use_labels":true})");
  EXPECT_EQ(plain["lr_kwargs"].dump(),
            R"({"func_name":"training.training_loop.learning_rate_schedule","ref_lr":0.01,)"
            R"("ref_batches":70000})");
  EXPECT_EQ(plain.size(), 14u);

  o.init_from = "https://user:secret@host/net.pkl";
  o.chosen_automatically = true;
  o.network.clip_act = 128;
  EncoderOptions none;
  none.kind = EncoderOptions::Kind::none;
  const auto own = training_config(o, none, LabelKind::vectors);
  EXPECT_EQ(own["encoder_kwargs"]["class_name"], "IdentityEncoder");
  EXPECT_EQ(own["dataset_kwargs"]["label_kind"], "vector");
  EXPECT_EQ(own["network_kwargs"]["clip_act"], 128);
  EXPECT_EQ(own["auto"], true);
  EXPECT_EQ(own["init_from"].dump().find("secret"), std::string::npos);
}

}  // namespace edm2
