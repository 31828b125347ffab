#include "edm2/nn/weights_file.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "edm2/io/atomic_file.h"
#include "edm2/io/safetensors.h"
#include "edm2/io/torch_file.h"
#include "edm2/io/zip.h"
#include "edm2/nn/state_report.h"
#include "support/checks.h"
#include "support/paths.h"
#include "support/pickle_protocols.h"
#include "support/small_models.h"

namespace edm2 {
namespace {

namespace fs = std::filesystem;

// Three channels and no odd numbers: nothing that tensors do not tell, except for the heads.
Snapshot plain_snapshot(int64_t label_dim = 3) {
  Snapshot snapshot = test::random_snapshot(test::tiny_options(label_dim, 8, 4));
  snapshot.encoder = {};
  snapshot.dataset.reset();
  snapshot.loss.reset();
  return snapshot;
}

WeightsOptions four_channels_a_head() {
  PartialConfig config;
  config.network.channels_per_head = 4;
  config.known = {"channels_per_head"};
  WeightsOptions options;
  options.config = config;
  return options;
}

std::string error_of(const fs::path& path, const WeightsOptions& options = {}) {
  try {
    load_weights(path, options);
  } catch (const Error& error) {
    return error.what();
  }
  ADD_FAILURE() << path << " was accepted";
  return {};
}

bool has_note(const LoadedWeights& loaded, const std::string& part) {
  return std::any_of(loaded.notes.begin(), loaded.notes.end(),
                     [&](const std::string& note) { return test::contains(note, part); });
}

PickleValue with_prefix(const StateDict& tensors, const std::string& prefix) {
  PickleValue dict = PickleValue::dict();
  for (const auto& [name, tensor] : tensors) dict.set(prefix + name, tensor);
  return dict;
}

TEST(WeightsFile, SnapshotsAreReadAsTheyAre) {
  const test::TempDir dir;
  const Snapshot snapshot = test::random_snapshot(test::tiny_options(3));
  for (const auto format :
       {SnapshotFormat::pickle, SnapshotFormat::safetensors, SnapshotFormat::torch}) {
    save_snapshot(dir / "x", snapshot, format);
    const LoadedWeights loaded = load_weights(dir / "x");
    test::expect_same_snapshot(loaded.snapshot, snapshot);
    EXPECT_EQ(loaded.format, format);
    EXPECT_TRUE(loaded.notes.empty());
    WeightsOptions options;
    options.config = config_of(snapshot);
    EXPECT_TRUE(test::contains(error_of(dir / "x", options), "--config"));
    options = {};
    options.ema_std = 0.05;
    EXPECT_TRUE(test::contains(error_of(dir / "x", options), "--ema"));
    options = {};
    options.prefix = "a";
    EXPECT_TRUE(test::contains(error_of(dir / "x", options), "--prefix"));
  }
}

TEST(WeightsFile, BareTensorsTellTheStructure) {
  const test::TempDir dir;
  for (const int64_t label_dim : {0, 3}) {
    const Snapshot snapshot = plain_snapshot(label_dim);
    save_torch_file(dir / "x.pt", to_pickle(snapshot.tensors));
    save_safetensors(dir / "x.safetensors", snapshot.tensors);
    for (const char* name : {"x.pt", "x.safetensors"}) {
      EXPECT_TRUE(test::contains(error_of(dir / name), "channels_per_head"));
      const LoadedWeights loaded = load_weights(dir / name, four_channels_a_head());
      test::expect_same_snapshot(loaded.snapshot, snapshot);
      EXPECT_TRUE(has_note(loaded, "clip_act"));
      EXPECT_TRUE(has_note(loaded, "RGB"));
      EXPECT_THROW(load_snapshot(dir / name), Error);
    }
  }
}

TEST(WeightsFile, StateDictsThatWerePickledAreRead) {
  const test::TempDir dir;
  const Snapshot snapshot = plain_snapshot();
  PickleValue arrays = PickleValue::dict();
  for (const auto& [name, tensor] : snapshot.tensors)
    arrays.set(name, PickleValue::ndarray(tensor));
  const PickleValue tensors = to_pickle(snapshot.tensors);
  for (const PickleValue& root :
       {tensors, arrays, PickleValue::dict({{"ema", tensors}}),
        PickleValue::dict({{"model", with_prefix(snapshot.tensors, "module.")}, {"epoch", 3}})}) {
    write_pickle_file(dir / "x.pkl", root);
    const std::string pickle = read_text_file(dir / "x.pkl");
    for (int protocol = 0; protocol <= 5; ++protocol) {
      write_file(dir / "x.pkl", test::in_protocol(pickle, protocol));
      const LoadedWeights loaded = load_weights(dir / "x.pkl", four_channels_a_head());
      test::expect_same_snapshot(loaded.snapshot, snapshot);
      EXPECT_EQ(loaded.format, SnapshotFormat::pickle);
    }
    EXPECT_THROW(load_snapshot(dir / "x.pkl"), Error);
  }
  write_pickle_file(dir / "x.pkl",
                    PickleValue::dict({{"fid", PickleValue::dict({{"mu", at::ones({2})}})}}));
  EXPECT_TRUE(test::contains(error_of(dir / "x.pkl"), "has no \"ema\""));
}

TEST(WeightsFile, TheUsualHeadsAreAssumedWhereTheyArePossible) {
  const test::TempDir dir;
  // Wide enough for heads of 64 channels, and too narrow for any attention.
  NetworkOptions wide = test::tiny_options(0, 4, 32), narrow = test::tiny_options(0, 8, 4);
  wide.channels_per_head = narrow.channels_per_head = 64;
  wide.logvar_channels = 8;
  for (const NetworkOptions& options : {wide, narrow}) {
    const Snapshot snapshot = test::random_snapshot(options);
    save_safetensors(dir / "x", snapshot.tensors);
    const LoadedWeights loaded = load_weights(dir / "x");
    // Without attention the tensors do not tell where it would have been.
    EXPECT_EQ(loaded.snapshot.network.channels_per_head, 64);
    EXPECT_TRUE(has_note(loaded, "channels_per_head"));
    EXPECT_EQ(loaded.snapshot.tensors.size(), snapshot.tensors.size());
  }
}

TEST(WeightsFile, EveryMissingTensorIsNamedWithoutAConfiguration) {
  const test::TempDir dir;
  const Snapshot snapshot = plain_snapshot();
  for (const auto& [lost, tensor] : snapshot.tensors) {
    if (lost == "unet.emb_label.weight") continue;  // without it the network has no classes
    StateDict tensors = snapshot.tensors;
    std::erase_if(tensors, [&](const auto& entry) { return entry.first == lost; });
    tensors.emplace_back("foreign.weight", at::ones({1}));
    save_safetensors(dir / "x", tensors);
    try {
      load_weights(dir / "x", four_channels_a_head());
      ADD_FAILURE() << lost;
    } catch (const StateMismatch& mismatch) {
      ASSERT_EQ(mismatch.report().missing.size(), 1u) << mismatch.what();
      EXPECT_EQ(mismatch.report().missing[0].name, lost);
      ASSERT_EQ(mismatch.report().unexpected.size(), 1u) << mismatch.what();
      EXPECT_EQ(mismatch.report().unexpected[0].name, "foreign.weight");
      EXPECT_TRUE(test::contains(mismatch.what(), lost) &&
                  test::contains(mismatch.what(), "foreign.weight"));
      EXPECT_TRUE(test::contains(mismatch.what(), (dir / "x").string()));
    }
  }
}

TEST(WeightsFile, OneTensorOfAnotherShapeDoesNotSpoilTheGuess) {
  const test::TempDir dir;
  const Snapshot snapshot = plain_snapshot();
  for (const char* odd :
       {"unet.enc.8x8_conv.weight", "unet.enc.8x8_block0.conv_res1.weight", "unet.out_conv.weight",
        "unet.enc.4x4_block0.emb_linear.weight", "unet.dec.4x4_in0.conv_res0.weight"}) {
    StateDict tensors = snapshot.tensors;
    for (auto& [name, tensor] : tensors)
      if (name == odd) tensor = at::ones({5, 5, 3, 3});
    save_safetensors(dir / "x", tensors);
    try {
      load_weights(dir / "x", four_channels_a_head());
      ADD_FAILURE() << odd;
    } catch (const StateMismatch& mismatch) {
      ASSERT_EQ(mismatch.report().unfitting.size(), 1u) << mismatch.what();
      EXPECT_EQ(mismatch.report().unfitting[0].name, odd);
    }
  }
}

TEST(WeightsFile, WhatStandsInFrontOfTheNamesIsTakenOff) {
  const test::TempDir dir;
  const Snapshot snapshot = plain_snapshot();
  const WeightsOptions options = four_channels_a_head();
  for (const char* prefix : {"module.", "_orig_mod.", "ema.", "net.", "_orig_mod.module.net."}) {
    save_torch_file(dir / "x.pt", with_prefix(snapshot.tensors, prefix));
    const LoadedWeights loaded = load_weights(dir / "x.pt", options);
    test::expect_same_snapshot(loaded.snapshot, snapshot);
    EXPECT_TRUE(has_note(loaded, "the names")) << prefix;
  }
  // Inside of names, as torch.compile(network.unet) writes them.
  PickleValue compiled = PickleValue::dict();
  for (const auto& [name, tensor] : snapshot.tensors)
    compiled.set(name.starts_with("unet.") ? "unet._orig_mod." + name.substr(5) : name, tensor);
  save_torch_file(dir / "x.pt", compiled);
  test::expect_same_snapshot(load_weights(dir / "x.pt", options).snapshot, snapshot);
}

TEST(WeightsFile, OneOfSeveralNetworksIsChosen) {
  const test::TempDir dir;
  const Snapshot first = plain_snapshot(), second = plain_snapshot();
  save_torch_file(dir / "x.pt", PickleValue::dict({{"ema", with_prefix(first.tensors, "module.")},
                                                   {"net", with_prefix(second.tensors, "")},
                                                   {"epoch", 3},
                                                   {"step", at::ones({})}}));
  WeightsOptions options = four_channels_a_head();
  const std::string error = error_of(dir / "x.pt", options);
  EXPECT_TRUE(test::contains(error, "'ema.module.'") && test::contains(error, "'net.'")) << error;
  options.prefix = "ema.module";
  const LoadedWeights loaded = load_weights(dir / "x.pt", options);
  test::expect_same_snapshot(loaded.snapshot, first);
  EXPECT_TRUE(has_note(loaded, "left out"));
  options.prefix = "net.";
  test::expect_same_snapshot(load_weights(dir / "x.pt", options).snapshot, second);
  options.prefix = "nothing.";
  EXPECT_TRUE(test::contains(error_of(dir / "x.pt", options), "'nothing.'"));
  options.prefix.reset();
  // A network without a prefix is meant before others.
  PickleValue both = with_prefix(first.tensors, "");
  for (const auto& [name, tensor] : second.tensors) both.set("guide." + name, tensor);
  save_torch_file(dir / "y.pt", both);
  test::expect_same_snapshot(load_weights(dir / "y.pt", options).snapshot, first);
}

TEST(WeightsFile, AConfigurationIsBindingAndMayBePartial) {
  const test::TempDir dir;
  const Snapshot snapshot = test::random_snapshot(test::tiny_options(3, 8, 4));
  save_torch_file(dir / "x.pt", to_pickle(snapshot.tensors));
  WeightsOptions options;
  options.config = config_of(snapshot);
  const LoadedWeights loaded = load_weights(dir / "x.pt", options);
  test::expect_same_snapshot(loaded.snapshot, snapshot);
  EXPECT_TRUE(loaded.notes.empty());

  // Another split of the widths into channels and multipliers is the same network.
  write_file(dir / "c.json", R"({"network": {"model_channels": 2, "channels_per_head": 4}})");
  options.config = read_config_file(dir / "c.json");
  const NetworkOptions split = load_weights(dir / "x.pt", options).snapshot.network;
  EXPECT_EQ(split.model_channels, 2);
  EXPECT_EQ(split.channel_mult, (std::vector<int64_t>{2, 4}));

  write_file(dir / "c.json", R"({"num_blocks": 2, "channels_per_head": 4})");
  options.config = read_config_file(dir / "c.json");
  EXPECT_TRUE(test::contains(error_of(dir / "x.pt", options), "unet.enc.8x8_block1"));
}

TEST(WeightsFile, ConfigurationsOfRuns) {
  const test::TempDir dir;
  write_file(dir / "c.json", R"({
    "dataset_kwargs": {"class_name": "training.dataset.ImageFolderDataset", "path": "a.zip"},
    "encoder_kwargs": {"class_name": "training.encoders.StabilityVAEEncoder", "batch_size": 4},
    "network_kwargs": {"class_name": "training.networks_edm2.Precond", "model_channels": 192,
                       "dropout": 0.1, "use_fp16": false},
    "loss_kwargs": {"class_name": "training.training_loop.EDM2Loss", "P_mean": -0.8, "P_std": 1.6}})");
  const PartialConfig config = read_config_file(dir / "c.json");
  EXPECT_EQ(config.network.model_channels, 192);
  EXPECT_EQ(config.network.dropout, 0.1);
  EXPECT_TRUE(config.known.contains("channels_per_head"));
  EXPECT_FALSE(config.known.contains("img_channels"));
  ASSERT_TRUE(config.encoder && config.dataset && config.loss);
  EXPECT_EQ(config.encoder->batch_size, 4);
  EXPECT_EQ(config.encoder->scale, stability_vae_options().scale);
  EXPECT_EQ(config.dataset, (DatasetOptions{"a.zip", true}));
  EXPECT_EQ(config.loss, (LossOptions{-0.8, 1.6, 0.5}));
}

TEST(WeightsFile, MalformedConfigurationsAreErrors) {
  const test::TempDir dir;
  for (const char* wrong :
       {"", "[]", "{", "3", R"({"network": 3})", R"({"network": {"model_channel": 3}})",
        R"({"network": {}, "encoder": {}})", R"({"network": {}, "encoder": {"class_name": "X"}})",
        R"({"network_kwargs": []})", R"({"network": {}, "dataset": {"path": 3}})",
        R"({"network_kwargs": {}, "encoder_kwargs":
            {"class_name": "training.encoders.StabilityVAEEncoder", "raw_mean": [1]}})"}) {
    write_file(dir / "c.json", std::string_view(wrong));
    try {
      read_config_file(dir / "c.json");
      ADD_FAILURE() << wrong;
    } catch (const Error& error) {
      EXPECT_TRUE(test::contains(error.what(), "c.json")) << error.what();
    }
  }
  EXPECT_THROW(read_config_file(dir / "absent.json"), Error);
}

TEST(WeightsFile, OtherTorchFilesAreRefused) {
  const test::TempDir dir;
  const std::pair<PickleValue, const char*> others[] = {
      {at::ones({3}), "instead of a state dict"},
      {PickleValue::list(), "instead of a state dict"},
      {PickleValue::dict(), "no tensors"},
      {PickleValue::dict({{"epoch", 3}}), "no tensors"},
      {PickleValue::dict({{"conv1.weight", at::ones({3})}}), "not those of an EDM2 network"}};
  for (const auto& [root, expected] : others) {
    save_torch_file(dir / "x.pt", root);
    EXPECT_TRUE(test::contains(error_of(dir / "x.pt"), expected)) << error_of(dir / "x.pt");
  }
  WeightsOptions ema;
  ema.ema_std = 0.05;
  save_torch_file(dir / "x.pt", to_pickle(plain_snapshot().tensors));
  EXPECT_TRUE(test::contains(error_of(dir / "x.pt", ema), "--ema"));
}

TEST(WeightsFile, TrainingStatesHoldSeveralNetworks) {
  const test::TempDir dir;
  const Snapshot net = plain_snapshot(), narrow = plain_snapshot(), broad = plain_snapshot();
  const auto save = [&](const PickleValue& ema) {
    save_torch_file(
        dir / "training-state-0000002.pt",
        PickleValue::dict(
            {{"state", PickleValue::dict({{"cur_nimg", 2048}})},
             {"net", to_pickle(net.tensors)},
             {"loss_fn", PickleValue::dict({{"P_mean", -1}, {"P_std", 2}, {"sigma_data", 0.5}})},
             {"optimizer", PickleValue::dict()},
             {"ema", ema}}));
  };
  const fs::path state = dir / "training-state-0000002.pt";
  save(PickleValue::dict(
      {{"stds", PickleValue::list({0.05, 0.1})},
       {"emas", PickleValue::list({to_pickle(narrow.tensors), to_pickle(broad.tensors)})}}));
  WeightsOptions options = four_channels_a_head();
  const auto expect_network = [&](Snapshot expected) {
    expected.loss = LossOptions{-1, 2, 0.5};
    test::expect_same_snapshot(load_weights(state, options).snapshot, expected);
  };
  expect_network(net);
  options.ema_std = 0.05;
  expect_network(narrow);
  options.ema_std = 0.1;
  expect_network(broad);
  options.ema_std = 0.2;
  EXPECT_TRUE(test::contains(error_of(state, options), "0.050, 0.100"));
  options.ema_std = 0.1;
  options.prefix = "net";
  EXPECT_TRUE(test::contains(error_of(state, options), "--prefix"));
  // The run's options stand beside the state.
  options = {};
  write_file(dir / "training_options.json",
             R"({"network_kwargs": {"class_name": "x", "model_channels": 4, "channel_mult": [1, 2],
                 "num_blocks": 1, "attn_resolutions": [4], "channels_per_head": 4}})");
  expect_network(net);
  EXPECT_TRUE(has_note(load_weights(state), "training_options.json"));

  save({});
  expect_network(net);
  options.ema_std = 0.05;
  EXPECT_TRUE(test::contains(error_of(state, options), "no moving averages"));
}

TEST(WeightsFileGolden, TheOriginalsTrainingStateHoldsItsSnapshots) {
  EDM2_REQUIRE_REFERENCE();
  const fs::path folder = test::reference_dir() / "training" / "main";
  for (const double std : {0.05, 0.1}) {
    WeightsOptions options;
    options.ema_std = std;
    Snapshot ours = load_weights(folder / "training-state-0000001.pt", options).snapshot;
    for (auto& [name, tensor] : ours.tensors) {
      EXPECT_EQ(tensor.scalar_type(), at::kFloat);
      tensor = tensor.to(at::kHalf);
    }
    const std::string name =
        std == 0.05 ? "network-snapshot-0000001-0.050.pkl" : "network-snapshot-0000001-0.100.pkl";
    test::expect_same_snapshot(ours, load_snapshot(folder / name));
  }
}

// ---- Hostile files

struct SmallFile {
  std::string pickle, config, whole;
  std::vector<std::pair<std::string, std::string>> storages;
};

const SmallFile& small_file() {
  static const SmallFile file = [] {
    const test::TempDir dir;
    NetworkOptions options = test::tiny_options(0, 8, 4);
    options.channel_mult = {1};
    save_snapshot(dir / "x.pt", test::random_snapshot(options), SnapshotFormat::torch);
    const ZipReader zip(dir / "x.pt");
    const auto text = [&](const std::string& name) {
      const auto bytes = zip.read(name);
      return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    };
    SmallFile parts{text("x/data.pkl"), text("x/edm2.json"), read_text_file(dir / "x.pt"), {}};
    for (const std::string& name : zip.names())
      if (name.starts_with("x/data/")) parts.storages.emplace_back(name, text(name));
    return parts;
  }();
  return file;
}

void expect_value_or_error(const fs::path& path) {
  try {
    load_snapshot(path);
  } catch (const Error&) {
  }
  try {
    load_weights(path, four_channels_a_head());
  } catch (const Error&) {
  }
}

std::string with_changed_bytes(std::string text) {
  const int changes = *rc::gen::inRange(1, 5);
  for (int i = 0; i < changes; ++i)
    text[*rc::gen::inRange<size_t>(0, text.size())] = *rc::gen::arbitrary<char>();
  return text;
}

RC_GTEST_PROP(WeightsFileProperty, ChangedBytesNeverCrash, ()) {
  static const test::TempDir dir;
  std::ofstream(dir / "x.pt", std::ios::binary) << with_changed_bytes(small_file().whole);
  expect_value_or_error(dir / "x.pt");
}

// Checksums keep most of the above from being read; here they are right.
RC_GTEST_PROP(WeightsFileProperty, ChangedContentsNeverCrash, ()) {
  static const test::TempDir dir;
  const SmallFile& file = small_file();
  const bool in_config = *rc::gen::arbitrary<bool>();
  ZipWriter zip(dir / "x.pt");
  zip.add("x/data.pkl", in_config ? file.pickle : with_changed_bytes(file.pickle));
  zip.add("x/edm2.json", in_config ? with_changed_bytes(file.config) : file.config);
  for (const auto& [name, contents] : file.storages) zip.add(name, contents);
  zip.finish();
  expect_value_or_error(dir / "x.pt");
}

TEST(WeightsFileProperty, TruncationsAreErrors) {
  const test::TempDir dir;
  const std::string& whole = small_file().whole;
  for (size_t size = 0; size < whole.size(); size += 1 + size / 50) {
    std::ofstream(dir / "x.pt", std::ios::binary) << whole.substr(0, size);
    EXPECT_THROW(load_snapshot(dir / "x.pt"), Error) << size;
    EXPECT_THROW(load_weights(dir / "x.pt"), Error) << size;
  }
}

}  // namespace
}  // namespace edm2
