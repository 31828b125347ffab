#include "edm2/analysis/file_info.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "edm2/core/error.h"
#include "edm2/io/atomic_file.h"
#include "edm2/io/image.h"
#include "edm2/io/npz.h"
#include "edm2/io/safetensors.h"
#include "edm2/io/torch_file.h"
#include "edm2/io/zip.h"
#include "edm2/nn/snapshot_tools.h"
#include "edm2/nn/weights_file.h"
#include "support/checks.h"
#include "support/paths.h"
#include "support/small_models.h"

namespace edm2 {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

TEST(FileInfo, SnapshotsOfEveryContainer) {
  const test::TempDir dir;
  const Snapshot snapshot = test::random_snapshot(test::tiny_options(3));
  int64_t parameters = 0, buffers = 0;
  for (const auto& [name, tensor] : snapshot.tensors)
    (name.ends_with("freqs") || name.ends_with("phases") ? buffers : parameters) += tensor.numel();
  const std::pair<const char*, const char*> files[] = {
      {"net-0002147-0.130.pkl", "pickle"},
      {"net-0002147-0.130.safetensors", "safetensors"},
      {"net-0002147-0.130.pt", "torch"}};
  for (const auto& [name, container] : files) {
    save_snapshot(dir / name, snapshot, snapshot_format_for(name));
    const Json info = describe_file(dir / name);
    EXPECT_EQ(info.at("kind"), "network snapshot");
    EXPECT_EQ(info.at("container"), container);
    EXPECT_EQ(info.at("bytes"), fs::file_size(dir / name));
    EXPECT_EQ(info.at("training").at("images"), 2097 * 1024);
    EXPECT_EQ(info.at("training").at("ema_std"), 0.13);
    EXPECT_EQ(info.at("parameters"), parameters);
    EXPECT_EQ(info.at("buffers"), buffers);
    EXPECT_EQ(info.at("types"), (Json{{"float16", snapshot.tensors.size()}}));
    EXPECT_EQ(info.at("non_finite_values"), 0);
    EXPECT_EQ(info.at("encoder").at("class_name"), "StabilityVAEEncoder");
    EXPECT_EQ(info.at("dataset").at("path"), "datasets/tiny.zip");
    EXPECT_EQ(info.at("loss").at("P_mean"), -0.8);
    EXPECT_FALSE(info.contains("layers"));
    // What it prints serves as a configuration.
    write_file(dir / "config.json", info.dump());
    const PartialConfig config = read_config_file(dir / "config.json");
    EXPECT_EQ(config.network, snapshot.network);
    EXPECT_EQ(config.encoder, snapshot.encoder);
    EXPECT_EQ(config.dataset, snapshot.dataset);
    EXPECT_EQ(config.loss, snapshot.loss);
    EXPECT_FALSE(config.folded);
  }
  save_snapshot(dir / "folded.pt", fold(snapshot), SnapshotFormat::torch);
  EXPECT_EQ(describe_file(dir / "folded.pt").at("folded"), true);
  EXPECT_FALSE(describe_file(dir / "folded.pt").contains("training"));
}

TEST(FileInfo, LayersAndTheirValues) {
  const test::TempDir dir;
  Snapshot snapshot = test::random_snapshot(test::tiny_options(3), at::kFloat);
  Tensor& weight = snapshot.tensors[5].second;
  weight.fill_(2);
  weight.flatten()[0] = -3;
  weight.flatten()[1] = std::nan("");
  weight.flatten()[2] = INFINITY;
  save_snapshot(dir / "x.pkl", snapshot, SnapshotFormat::pickle);
  const Json info = describe_file(dir / "x.pkl", {.layers = true});
  ASSERT_EQ(info.at("layers").size(), snapshot.tensors.size());
  const Json& layer = info.at("layers").at(5);
  EXPECT_EQ(layer.at("name"), snapshot.tensors[5].first);
  EXPECT_EQ(layer.at("shape"), weight.sizes().vec());
  EXPECT_EQ(layer.at("type"), "float32");
  EXPECT_EQ(layer.at("largest"), 3.0);
  const auto n = static_cast<double>(weight.numel());
  EXPECT_NEAR(layer.at("rms").get<double>(), std::sqrt((4 * (n - 3) + 9) / n), 1e-6);
  EXPECT_EQ(info.at("non_finite_values"), 2);
  EXPECT_EQ(info.at("non_finite_in"), Json::array({snapshot.tensors[5].first}));
  const Json quick = describe_file(dir / "x.pkl", {.layers = true, .values = false});
  EXPECT_FALSE(quick.contains("non_finite_values"));
  EXPECT_FALSE(quick.at("layers").at(5).contains("rms"));
}

TEST(FileInfo, StateDictsTellWhatTheyCan) {
  const test::TempDir dir;
  NetworkOptions options = test::tiny_options(0, 4, 32);
  options.channels_per_head = 64;
  const Snapshot snapshot = test::random_snapshot(options);
  save_torch_file(dir / "x.pt", to_pickle(snapshot.tensors));
  Json info = describe_file(dir / "x.pt");
  EXPECT_EQ(info.at("kind"), "state dict of an EDM2 network");
  EXPECT_EQ(info.at("network").at("model_channels"), 32);
  EXPECT_FALSE(info.at("notes").empty());
  // Without a clue to the heads: the reason instead of the options.
  const Snapshot narrow = test::random_snapshot(test::tiny_options(3, 8, 4));
  save_safetensors(dir / "y", narrow.tensors, {{"format", "pt"}});
  info = describe_file(dir / "y");
  EXPECT_FALSE(info.contains("network"));
  EXPECT_TRUE(test::contains(info.at("notes").at(0), "channels_per_head"));
  EXPECT_EQ(info.at("metadata").at("format"), "pt");
  EXPECT_EQ(info.at("tensors"), narrow.tensors.size());
  // Other networks.
  save_safetensors(dir / "z", {{"decoder.conv_in.weight", at::ones({1})},
                               {"encoder.conv_in.weight", at::ones({2})}});
  EXPECT_TRUE(test::contains(describe_file(dir / "z").at("kind"), "VAE"));
  save_safetensors(dir / "z", {{"conv.bias", at::ones({3})}});
  EXPECT_EQ(describe_file(dir / "z").at("kind"), "state dict");
  EXPECT_EQ(describe_file(dir / "z").at("parameters"), 3);
}

TEST(FileInfo, StatisticsArraysAndOtherPickles) {
  const test::TempDir dir;
  const Tensor mu = at::arange(3, at::kDouble), sigma = at::eye(3, at::kDouble) * 2;
  write_pickle_file(
      dir / "s.pkl",
      PickleValue::dict({{"num_images", 50000},
                         {"fid", PickleValue::dict({{"mu", PickleValue::ndarray(mu)},
                                                    {"sigma", PickleValue::ndarray(sigma)}})}}));
  Json info = describe_file(dir / "s.pkl");
  EXPECT_EQ(info.at("kind"), "feature statistics");
  EXPECT_EQ(info.at("num_images"), 50000);
  EXPECT_EQ(info.at("statistics").at("fid").at("features"), 3);
  EXPECT_EQ(info.at("statistics").at("fid").at("total_variance"), 6.0);
  write_npz(dir / "s.npz", {{"mu", mu}, {"sigma", sigma}});
  info = describe_file(dir / "s.npz");
  EXPECT_EQ(info.at("statistics").at("fid").at("total_variance"), 6.0);

  write_npz(dir / "a.npz", {{"images", at::zeros({2, 3, 4, 4}, at::kByte)}});
  info = describe_file(dir / "a.npz");
  EXPECT_EQ(info.at("kind"), "arrays");
  EXPECT_EQ(info.at("arrays").at(0).at("shape"), (Json{2, 3, 4, 4}));
  EXPECT_EQ(info.at("arrays").at(0).at("type"), "uint8");
  write_file(dir / "a.npy", npy_bytes(at::zeros({5}, at::kFloat)));
  EXPECT_EQ(describe_file(dir / "a.npy").at("shape"), (Json{5}));

  write_pickle_file(
      dir / "p.pkl",
      PickleValue::dict({{"net", PickleValue::persistent("ToyModel", PickleValue::dict(), "x")},
                         {"loss", 0.5},
                         {"w", at::ones({2, 2})},
                         {"list", PickleValue::list({1, 2})}}));
  info = describe_file(dir / "p.pkl");
  EXPECT_EQ(info.at("kind"), "pickle");
  EXPECT_EQ(info.at("contents").at("net"), "an object of the class ToyModel");
  EXPECT_EQ(info.at("contents").at("loss"), 0.5);
  EXPECT_EQ(info.at("contents").at("w"), "float32 [2, 2]");
}

TEST(FileInfo, Datasets) {
  const test::TempDir dir;
  test::write_small_dataset(dir / "data");
  Json info = describe_file(dir / "data");
  EXPECT_EQ(info.at("kind"), "dataset");
  EXPECT_EQ(info.at("container"), "folder");
  EXPECT_EQ(info.at("images"), 10);
  EXPECT_EQ(info.at("shape"), (Json{3, 8, 8}));
  EXPECT_EQ(info.at("label_dim"), 3);
  EXPECT_EQ(info.at("images_per_class"), (Json{3, 4}));
  EXPECT_EQ(info.at("encoder"), "StandardRGBEncoder");
  ZipWriter zip(dir / "latents.zip");
  zip.add("00000/img-mean-std-00000000.npy", npy_bytes(at::zeros({8, 4, 4}, at::kFloat)));
  zip.add("dataset.json", R"({"labels": null})");
  zip.finish();
  info = describe_file(dir / "latents.zip");
  EXPECT_EQ(info.at("container"), "zip");
  EXPECT_EQ(info.at("labels"), "none");
  EXPECT_EQ(info.at("type"), "float32");
  EXPECT_EQ(info.at("encoder"), "StabilityVAEEncoder");
}

TEST(FileInfo, RunsAndFoldersOfSnapshots) {
  const test::TempDir dir;
  for (const char* name :
       {"network-snapshot-0000000-0.050.pkl", "network-snapshot-0001048-0.050.pkl",
        "network-snapshot-0001048-0.100.pkl"})
    write_file(dir / name, "x");
  EXPECT_EQ(describe_file(dir.path()).at("kind"), "folder of snapshots");
  write_file(dir / "training-state-0000524.pt", "x");
  write_file(dir / "training-state-0001048.pt", "x");
  write_file(dir / "training_options.json", R"({"total_nimg": 4194304, "seed": 3})");
  write_file(dir / "stats.jsonl",
             "{\"Progress/kimg\": 0.0}\n{\"Progress/kimg\": 1048.576, \"Loss/loss\": NaN}\n");
  const Json info = describe_file(dir.path());
  EXPECT_EQ(info.at("kind"), "training run");
  EXPECT_EQ(info.at("images"), 1048576);
  EXPECT_EQ(info.at("images_wanted"), 4194304);
  EXPECT_EQ(info.at("training_states").at("files"), 2);
  EXPECT_EQ(info.at("training_states").at("newest_kimg"), 1048);
  EXPECT_EQ(info.at("snapshots").at("files"), 3);
  EXPECT_EQ(info.at("snapshots").at("kimg"), (Json{0, 1048}));
  EXPECT_EQ(info.at("snapshots").at("ema_stds"), (Json{0.05, 0.1}));
  EXPECT_TRUE(info.at("last_status").at("Loss/loss").is_null());
  EXPECT_EQ(info.at("options").at("seed"), 3);
  // Damaged text files are passed over.
  write_file(dir / "training_options.json", std::string(1'000'000, '['));
  write_file(dir / "stats.jsonl", "{\"Progress");
  EXPECT_FALSE(describe_file(dir.path()).contains("options"));
}

TEST(FileInfo, PicturesTellTheirTexts) {
  const test::TempDir dir;
  write_png(dir / "x.png", at::zeros({3, 4, 5}, at::kByte),
            {{"edm2", R"({"seed": 3})"}, {"Comment", "hello"}});
  const Json info = describe_file(dir / "x.png");
  EXPECT_EQ(info.at("kind"), "picture");
  EXPECT_EQ(info.at("width"), 5);
  EXPECT_EQ(info.at("height"), 4);
  EXPECT_EQ(info.at("text").at("edm2").at("seed"), 3);
  EXPECT_EQ(info.at("text").at("Comment"), "hello");
}

TEST(FileInfo, UnknownFilesAreErrors) {
  const test::TempDir dir;
  write_file(dir / "text", "hello");
  write_file(dir / "empty", "");
  fs::create_directory(dir / "folder");
  for (const char* name : {"text", "empty", "folder", "absent"}) {
    try {
      describe_file(dir / name);
      ADD_FAILURE() << name;
    } catch (const Error& error) {
      EXPECT_TRUE(test::contains(error.what(), (dir / name).string())) << error.what();
    }
  }
}

TEST(FileInfo, TheTextIsForReaders) {
  const Json info = {{"file", "x\x1b[31m"},
                     {"bytes", 1572864u},
                     {"parameters", 1234567},
                     {"small", 0.000123456789},
                     {"list", {1, 2}},
                     {"none", nullptr},
                     {"notes", {"one sentence"}},
                     {"object", {{"key", true}, {"longer_key", "text"}}},
                     {"layers", {{{"name", "a"}, {"shape", {1, 2}}}, {{"name", "bcd"}}}}};
  EXPECT_EQ(file_info_text(info),
            "file        x\\x1b[31m\n"
            "bytes       1,572,864 (1.5 MiB)\n"
            "parameters  1,234,567\n"
            "small       0.000123457\n"
            "list        [1, 2]\n"
            "none        none\n"
            "notes\n"
            "  one sentence\n"
            "object\n"
            "  key         true\n"
            "  longer_key  text\n"
            "layers\n"
            "  name  shape\n"
            "  a     [1, 2]\n"
            "  bcd\n");
}

TEST(FileInfoGolden, FilesOfTheOriginal) {
  EDM2_REQUIRE_REFERENCE();
  const fs::path root = test::reference_dir();
  const std::pair<fs::path, const char*> files[] = {
      {"denoiser/released_layout_torch21.pkl", "network snapshot"},
      {"phema/out/phema-0000049-0.050.pkl", "network snapshot"},
      {"phema/run", "folder of snapshots"},
      {"training/main", "training run"},
      {"training/main/training-state-0000001.pt", "training state"},
      {"training/digits16.zip", "dataset"},
      {"dataset/out/crop_64x64.zip", "dataset"},
      {"metrics/stats.pkl", "feature statistics"},
      {"metrics/stats_edm1_style.npz", "feature statistics"},
      {"metrics/tiny_dinov2.pth", "state dict of a vision transformer (DINOv2)"},
      {"toy/snap/clsA-layers04-dim32-b1024-iter0060.pkl", "pickle"},
      {"sampler/edm_sampler.npz", "arrays"},
      {test::data_dir() / "vae", "VAE folder"},
      {test::data_dir() / "vae" / "diffusion_pytorch_model.safetensors",
       "state dict of a VAE (AutoencoderKL)"}};
  for (const auto& [name, kind] : files) {
    const Json info = describe_file(root / name);  // an absolute name stands for itself
    EXPECT_EQ(info.at("kind"), kind) << name;
    EXPECT_FALSE(file_info_text(info).empty());
  }
  const Json state = describe_file(root / "training/main/training-state-0000001.pt");
  EXPECT_EQ(state.at("cur_nimg"), 1024);
  EXPECT_EQ(state.at("ema_stds"), (Json{0.05, 0.1}));
  EXPECT_EQ(state.at("network").at("channels_per_head"), 8);
  EXPECT_EQ(state.at("dataset").at("path"), "digits16.zip");
}

// ---- Hostile files

void expect_description_or_error(const fs::path& path) {
  try {
    file_info_text(describe_file(path, {.layers = true}));
  } catch (const Error&) {
  }
}

RC_GTEST_PROP(FileInfoProperty, ChangedBytesNeverCrash, ()) {
  static const test::TempDir dir;
  static const std::vector<std::string> originals = [] {
    NetworkOptions options = test::tiny_options(0, 8, 4);
    options.channel_mult = {1};
    const Snapshot snapshot = test::random_snapshot(options);
    std::vector<std::string> files;
    for (const auto format :
         {SnapshotFormat::pickle, SnapshotFormat::safetensors, SnapshotFormat::torch}) {
      save_snapshot(dir / "x", snapshot, format);
      files.push_back(read_text_file(dir / "x"));
    }
    write_npz(dir / "x", {{"mu", at::ones({3})}, {"sigma", at::ones({3, 3})}});
    files.push_back(read_text_file(dir / "x"));
    ZipWriter zip(dir / "x");
    zip.add("a.npy", npy_bytes(at::zeros({3, 4, 4}, at::kByte)));
    zip.add("dataset.json", R"({"labels": [["a.npy", 1]]})");
    zip.finish();
    files.push_back(read_text_file(dir / "x"));
    write_png(dir / "x", at::zeros({3, 4, 5}, at::kByte), {{"edm2", R"({"seed": 3})"}});
    files.push_back(read_text_file(dir / "x"));
    return files;
  }();
  std::string changed = originals[*rc::gen::inRange<size_t>(0, originals.size())];
  const int flips = *rc::gen::inRange(1, 6);
  for (int i = 0; i < flips; ++i)
    changed[*rc::gen::inRange<size_t>(0, changed.size())] = *rc::gen::arbitrary<char>();
  if (*rc::gen::inRange(0, 4) == 0) changed.resize(*rc::gen::inRange<size_t>(0, changed.size()));
  std::ofstream(dir / "y.zip", std::ios::binary) << changed;
  expect_description_or_error(dir / "y.zip");
}

}  // namespace
}  // namespace edm2
