#include "edm2/nn/snapshot.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cstdio>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "edm2/core/error.h"
#include "edm2/io/atomic_file.h"
#include "edm2/io/npz.h"
#include "edm2/io/safetensors.h"
#include "edm2/io/torch_file.h"
#include "edm2/io/zip.h"
#include "edm2/nn/state_layout.h"
#include "nn/snapshot_formats.h"
#include "support/paths.h"
#include "support/small_models.h"

namespace edm2 {
namespace {

namespace fs = std::filesystem;

NetworkOptions small_network() {
  NetworkOptions options = test::tiny_options(/*label_dim=*/3, /*resolution=*/8, /*channels=*/4);
  options.img_channels = 4;
  options.logvar_channels = 6;
  options.dropout = 0.125;
  options.clip_act = 300;
  options.concat_balance = 0.25;
  return options;
}

Snapshot small_snapshot(NetworkOptions options = small_network(),
                        at::ScalarType dtype = at::kHalf) {
  return test::random_snapshot(options, dtype);
}

std::string load_error(const fs::path& path) {
  try {
    load_snapshot(path);
  } catch (const Error& error) {
    return error.what();
  }
  ADD_FAILURE() << path << " was accepted";
  return {};
}

TEST(Snapshot, EveryFormatKeepsEverything) {
  const test::TempDir dir;
  for (const auto dtype : {at::kHalf, at::kFloat, at::kBFloat16, at::kDouble}) {
    const Snapshot snapshot = small_snapshot(small_network(), dtype);
    save_snapshot(dir / "a.pkl", snapshot, SnapshotFormat::pickle);
    test::expect_same_snapshot(load_snapshot(dir / "a.pkl"), snapshot);
    save_snapshot(dir / "b.safetensors", load_snapshot(dir / "a.pkl"), SnapshotFormat::safetensors);
    test::expect_same_snapshot(load_snapshot(dir / "b.safetensors"), snapshot);
    save_snapshot(dir / "c.pkl", load_snapshot(dir / "b.safetensors"), SnapshotFormat::pickle);
    EXPECT_EQ(read_text_file(dir / "a.pkl"), read_text_file(dir / "c.pkl"));
    save_snapshot(dir / "d.pt", load_snapshot(dir / "c.pkl"), SnapshotFormat::torch);
    test::expect_same_snapshot(load_snapshot(dir / "d.pt"), snapshot);
    save_snapshot(dir / "e.pkl", load_snapshot(dir / "d.pt"), SnapshotFormat::pickle);
    EXPECT_EQ(read_text_file(dir / "a.pkl"), read_text_file(dir / "e.pkl"));
  }
}

TEST(Snapshot, KindsOfEncodersAndLabelsSurvive) {
  const test::TempDir dir;
  Snapshot snapshot = test::random_snapshot(test::tiny_options(5));
  snapshot.encoder = {};
  snapshot.encoder.kind = EncoderOptions::Kind::none;
  snapshot.dataset = DatasetOptions{"own.zip", true, /*vector_labels=*/true};
  for (const char* name : {"net.pkl", "net.safetensors", "net.pt"}) {
    save_snapshot(dir / name, snapshot, snapshot_format_for(name));
    test::expect_same_snapshot(load_snapshot(dir / name), snapshot);
  }
}

TEST(Snapshot, EveryOptionSurvives) {
  const test::TempDir dir;
  const std::vector<std::function<void(NetworkOptions&)>> changes = {
      [](auto& o) { o.label_dim = 0; },
      [](auto& o) { o.use_fp16 = false; },
      [](auto& o) { o.sigma_data = 1; },
      [](auto& o) { o.channel_mult_noise = 2; },
      [](auto& o) { o.channel_mult_emb = 3; },
      [](auto& o) { o.label_balance = 0.75; },
      [](auto& o) {
        o.resample_filter = {1, 3, 3, 1};
      },
      [](auto& o) { o.res_balance = 0.5; },
      [](auto& o) { o.attn_balance = 0.5; },
      [](auto& o) { o.clip_act.reset(); },
      [](auto& o) { o.attn_resolutions = {}; },
      [](auto& o) { o.channels_per_head = 100; },
      [](auto& o) { o.num_blocks = 3; },
      [](auto& o) {
        o.channel_mult = {1, 2, 3, 4};
      },
  };
  for (const auto& change : changes) {
    Snapshot snapshot = small_snapshot();
    change(snapshot.network);
    snapshot = small_snapshot(snapshot.network);
    snapshot.encoder = {};
    snapshot.dataset.reset();
    snapshot.loss.reset();
    for (const auto format :
         {SnapshotFormat::pickle, SnapshotFormat::safetensors, SnapshotFormat::torch}) {
      save_snapshot(dir / "x", snapshot, format);
      test::expect_same_snapshot(load_snapshot(dir / "x"), snapshot);
    }
  }
}

TEST(Snapshot, StructureIsInferredWhereNothingIsRecorded) {
  for (const auto& change : std::vector<std::function<void(NetworkOptions&)>>{
           [](auto&) {}, [](auto& o) { o.label_dim = 0; },
           [](auto& o) { o.channel_mult_noise = 2; }, [](auto& o) { o.channel_mult_emb = 3; },
           [](auto& o) {
             o.channel_mult = {1, 2, 3, 4};
             o.num_blocks = 2;
           },
           [](auto& o) {
             o.attn_resolutions = {8, 4};
           }}) {
    NetworkOptions options = small_network();
    change(options);
    const Snapshot snapshot = small_snapshot(options);
    // As if the constructor arguments had not been recorded: Precond is `ema`, UNet its first
    // module.
    const PickleValue root = snapshot_to_pickle(snapshot);
    const PickleValue& precond = root.at("ema").state();
    PickleValue(precond).set("_init_kwargs", {});
    PickleValue(precond.at("_modules").at("unet").state()).set("_init_kwargs", {});
    test::expect_same_snapshot(snapshot_from_pickle(root), snapshot);
  }
}

TEST(Snapshot, ATrainingStateIsNoSnapshot) {
  const test::TempDir dir;
  save_torch_file(dir / "state.pt", PickleValue::dict({{"net", PickleValue::ordered_dict()},
                                                       {"optimizer", PickleValue::dict()},
                                                       {"ema", PickleValue::dict()}}));
  EXPECT_NE(load_error(dir / "state.pt").find("training state"), std::string::npos);
}

TEST(Snapshot, TorchSavedSnapshotsAreRead) {
  const test::TempDir dir;
  const Snapshot snapshot = small_snapshot();
  save_snapshot(dir / "x.pkl", snapshot, SnapshotFormat::pickle);
  ZipWriter zip(dir / "x.pt");
  zip.add("x/data.pkl", read_text_file(dir / "x.pkl"));
  zip.finish();
  test::expect_same_snapshot(load_snapshot(dir / "x.pt"), snapshot);
}

TEST(Snapshot, MissingAndOddTensorsAreNamed) {
  const test::TempDir dir;
  const Snapshot good = small_snapshot();
  const std::string victim = "unet.enc.4x4_block0.conv_res1.weight";
  const auto save_changed = [&](const std::function<void(StateDict&)>& change) {
    StateDict tensors = good.tensors;
    change(tensors);
    save_safetensors(dir / "x", tensors, safetensors_metadata(good));
    return load_error(dir / "x");
  };
  const auto find = [&](StateDict& tensors) {
    return std::find_if(tensors.begin(), tensors.end(),
                        [&](const auto& entry) { return entry.first == victim; });
  };
  EXPECT_NE(save_changed([&](auto& t) { t.erase(find(t)); }).find("lacks the tensor " + victim),
            std::string::npos);
  EXPECT_NE(save_changed([&](auto& t) {
              find(t)->second = at::ones({8, 8});
            }).find(victim),
            std::string::npos);
  EXPECT_NE(
      save_changed([&](auto& t) { find(t)->second = find(t)->second.to(at::kInt); }).find("Int"),
      std::string::npos);
  EXPECT_NE(save_changed([&](auto& t) {
              t.emplace_back("extra.weight", at::ones({1}));
            }).find("extra.weight"),
            std::string::npos);
  // Saving checks too, before there is a file.
  Snapshot bad = good;
  bad.tensors.pop_back();
  EXPECT_THROW(save_snapshot(dir / "y", bad, SnapshotFormat::pickle), Error);
  bad = good;
  bad.encoder.scale.clear();
  EXPECT_THROW(save_snapshot(dir / "y", bad, SnapshotFormat::pickle), Error);
  EXPECT_FALSE(fs::exists(dir / "y"));
}

TEST(Snapshot, ContradictingBlocksAreRefused) {
  const PickleValue root = snapshot_to_pickle(small_snapshot());
  const PickleValue& decoder =
      root.at("ema").state().at("_modules").at("unet").state().at("_modules").at("dec");
  PickleValue block = decoder.state().at("_modules").at("4x4_in0").state();
  block.set("num_heads", 1);
  EXPECT_THROW(snapshot_from_pickle(root), Error);
  block.set("num_heads", 2);
  EXPECT_NO_THROW(snapshot_from_pickle(root));
  block.set("dropout", 0.5);  // which matters for training alone
  EXPECT_EQ(snapshot_from_pickle(root).network.dropout, 0.5);
  EXPECT_EQ(snapshot_from_pickle(root).notes.size(), 1u);
  block.set("res_balance", 0.5);
  EXPECT_THROW(snapshot_from_pickle(root), Error);
}

TEST(Snapshot, OptionalPartsMayBeMissing) {
  PickleValue root = PickleValue::dict({{"ema", snapshot_to_pickle(small_snapshot()).at("ema")},
                                        {"remark", "unknown keys are ignored"}});
  const Snapshot snapshot = snapshot_from_pickle(root);
  EXPECT_EQ(snapshot.encoder, EncoderOptions{});
  EXPECT_FALSE(snapshot.dataset);
  EXPECT_FALSE(snapshot.loss);
  root.set("encoder", {});
  EXPECT_EQ(snapshot_from_pickle(root).encoder, EncoderOptions{});
}

TEST(Snapshot, OtherFilesAreRefused) {
  const test::TempDir dir;
  const std::pair<const char*, std::string> files[] = {
      {"empty", ""},
      {"text", "hello"},
      {"none", std::string("\x80\x04N.", 4)},
      {
          "system",
          std::string("\x80\x04") + "cos\nsystem\n(X\x02\0\0\0lstR.",
      },
  };
  for (const auto& [name, contents] : files) {
    write_file(dir / name, contents);
    EXPECT_NE(load_error(dir / name).find((dir / name).string()), std::string::npos);
  }
  EXPECT_NE(load_error(dir / "system").find("os.system"), std::string::npos);
  load_error(dir / "absent");
  save_safetensors(dir / "plain", {{"x", at::ones({1})}});
  load_error(dir / "plain");
}

TEST(Snapshot, FormatFollowsTheExtension) {
  EXPECT_EQ(snapshot_format_for("a/b.SafeTensors"), SnapshotFormat::safetensors);
  EXPECT_EQ(snapshot_format_for("a.safetensors/b.pkl"), SnapshotFormat::pickle);
  EXPECT_EQ(snapshot_format_for("a.PT"), SnapshotFormat::torch);
  EXPECT_EQ(snapshot_format_for("a.pth"), SnapshotFormat::torch);
  for (const char* other : {"snapshot", "a.bin", "a.pkl/b", ""})
    EXPECT_THROW(snapshot_format_for(other), UsageError) << other;
}

// ---- Hostile files

std::string small_pickle() {
  static const std::string contents = [] {
    const test::TempDir dir;
    NetworkOptions options = small_network();
    options.label_dim = 0;
    options.channel_mult = {1};
    save_snapshot(dir / "x", small_snapshot(options), SnapshotFormat::pickle);
    return read_text_file(dir / "x");
  }();
  return contents;
}

RC_GTEST_PROP(SnapshotProperty, ChangedBytesNeverCrash, ()) {
  static const test::TempDir dir;
  std::string changed = small_pickle();
  const int flips = *rc::gen::inRange(1, 6);
  for (int i = 0; i < flips; ++i)
    changed[*rc::gen::inRange<size_t>(0, changed.size())] = *rc::gen::arbitrary<char>();
  std::ofstream(dir / "x", std::ios::binary) << changed;
  try {
    load_snapshot(dir / "x");
  } catch (const Error&) {
  }
}

TEST(SnapshotProperty, TruncationsAreErrors) {
  const std::string whole = small_pickle();
  const test::TempDir dir;
  for (size_t size = 0; size < whole.size(); size += 1 + size / 50) {
    std::ofstream(dir / "x", std::ios::binary) << whole.substr(0, size);
    EXPECT_THROW(load_snapshot(dir / "x"), Error) << size;
  }
}

// ---- Files of the original

NetworkOptions reference_options(const std::string& name) {
  const auto configs =
      nlohmann::json::parse(read_text_file(test::reference_dir() / "denoiser" / "configs.json"));
  return network_options_from_json(configs.at(name).at("precond_kwargs"));
}

TEST(SnapshotGolden, OptionsOfTheReferenceNetworks) {
  EDM2_REQUIRE_REFERENCE();
  for (const std::string name :
       {"rgb16_cond", "rgb16_uncond", "rgb8_multihead", "lat8_cond_drop"}) {
    const Snapshot snapshot = load_snapshot(test::reference_dir() / "denoiser" / (name + ".pkl"));
    EXPECT_EQ(to_json(snapshot.network), to_json(reference_options(name))) << name;
    const bool is_latent = name == "lat8_cond_drop";
    EXPECT_EQ(snapshot.encoder.kind == EncoderOptions::Kind::stability_vae, is_latent);
    for (const auto& [key, tensor] : snapshot.tensors) EXPECT_EQ(tensor.scalar_type(), at::kHalf);
  }
}

TEST(SnapshotGolden, LayoutOfTheReleasedFiles) {
  EDM2_REQUIRE_REFERENCE();
  const Snapshot snapshot =
      load_snapshot(test::reference_dir() / "denoiser" / "released_layout_torch21.pkl");
  NetworkOptions expected;
  expected.img_channels = 4;
  expected.label_dim = 1000;
  expected.model_channels = 16;
  EXPECT_EQ(to_json(snapshot.network), to_json(expected));
  EXPECT_EQ(snapshot.encoder.vae_name, "stabilityai/sd-vae-ft-mse");
  EXPECT_FLOAT_EQ(snapshot.encoder.scale.at(0), 0.5f / 4.17f);
  EXPECT_FLOAT_EQ(snapshot.encoder.bias.at(3), 2.15f * 0.5f / 3.28f);
  EXPECT_EQ(snapshot.encoder.batch_size, 8);
  EXPECT_EQ(snapshot.dataset, (DatasetOptions{"img512-sd.zip", true}));
  EXPECT_EQ(snapshot.loss, (LossOptions{-0.4, 1.0, 0.5}));
}

TEST(SnapshotGolden, TensorsEqualTheReferenceArrays) {
  EDM2_REQUIRE_REFERENCE();
  const fs::path folder = test::reference_dir() / "phema";
  for (const std::string std : {"0.050", "0.100"}) {
    const Snapshot snapshot = load_snapshot(folder / "out" / ("phema-0000049-" + std + ".pkl"));
    const NpzFile arrays(folder / ("reconstructed_full_0000049-" + std + ".npz"));
    ASSERT_EQ(snapshot.tensors.size(), arrays.names().size());
    for (const auto& [name, tensor] : snapshot.tensors)
      EXPECT_TRUE(at::equal(tensor, arrays.get(name))) << name;
  }
}

TEST(SnapshotGolden, EveryReferenceSnapshotSurvivesBothFormats) {
  EDM2_REQUIRE_REFERENCE();
  const test::TempDir dir;
  size_t count = 0;
  for (const char* folder : {"denoiser", "phema/run", "phema/out", "training/main"}) {
    for (const auto& entry : fs::directory_iterator(test::reference_dir() / folder)) {
      if (entry.path().extension() != ".pkl") continue;
      const Snapshot original = load_snapshot(entry.path());
      save_snapshot(dir / "x.safetensors", original, SnapshotFormat::safetensors);
      save_snapshot(dir / "y.pkl", load_snapshot(dir / "x.safetensors"), SnapshotFormat::pickle);
      test::expect_same_snapshot(load_snapshot(dir / "y.pkl"), original);
      ++count;
    }
  }
  EXPECT_GE(count, 20u);
}

TEST(SnapshotGolden, ForeignSnapshotsAreRefused) {
  EDM2_REQUIRE_REFERENCE();
  for (const auto& entry : fs::directory_iterator(test::reference_dir() / "toy" / "snap"))
    load_error(entry.path());
  load_error(test::reference_dir() / "metrics" / "stats.pkl");
  load_error(test::reference_dir() / "training" / "main" / "training-state-0000001.pt");
}

// ---- Python

struct Description {
  std::multiset<std::string> tensors;
  std::vector<std::string> skeleton;
};

bool has_python() { return std::system("python3 -c 'import zlib' > /dev/null 2>&1") == 0; }

Description describe_with_python(const fs::path& path) {
  const fs::path script = test::data_dir().parent_path() / "interop" / "describe_snapshot.py";
  const std::string command = "python3 '" + script.string() + "' '" + path.string() + "'";
  std::FILE* pipe = popen(command.c_str(), "r");
  std::string output;
  char buffer[4096];
  while (const size_t got = std::fread(buffer, 1, sizeof buffer, pipe)) output.append(buffer, got);
  EXPECT_EQ(pclose(pipe), 0) << command;
  Description description;
  std::istringstream lines(output);
  bool in_skeleton = false;
  for (std::string line; std::getline(lines, line);) {
    if (line == "tensors") continue;
    if (line == "skeleton")
      in_skeleton = true;
    else if (in_skeleton)
      description.skeleton.push_back(line);
    else
      description.tensors.insert(line);
  }
  return description;
}

std::multiset<std::string> describe_tensors(const Snapshot& snapshot) {
  const auto lines = test::describe_tensors(snapshot);
  return {lines.begin(), lines.end()};
}

TEST(SnapshotInterop, PythonReadsWhatWeWrite) {
  if (!has_python()) GTEST_SKIP() << "no python3";
  const test::TempDir dir;
  for (const auto dtype : {at::kHalf, at::kFloat}) {
    const Snapshot snapshot = small_snapshot(small_network(), dtype);
    save_snapshot(dir / "x.pkl", snapshot, SnapshotFormat::pickle);
    EXPECT_EQ(describe_with_python(dir / "x.pkl").tensors, describe_tensors(snapshot));
  }
}

TEST(SnapshotInterop, WhatWeWriteHasTheFormOfTheOriginal) {
  EDM2_REQUIRE_REFERENCE();
  if (!has_python()) GTEST_SKIP() << "no python3";
  const test::TempDir dir;
  const fs::path folder = test::reference_dir();
  for (const char* name :
       {"denoiser/rgb16_cond.pkl", "denoiser/rgb16_uncond.pkl", "denoiser/rgb8_multihead.pkl",
        "denoiser/lat8_cond_drop.pkl", "training/main/network-snapshot-0000002-0.100.pkl"}) {
    const Snapshot snapshot = load_snapshot(folder / name);
    save_snapshot(dir / "x.pkl", snapshot, SnapshotFormat::pickle);
    const Description original = describe_with_python(folder / name);
    const Description ours = describe_with_python(dir / "x.pkl");
    EXPECT_EQ(ours.tensors, original.tensors) << name;
    EXPECT_EQ(describe_tensors(snapshot), original.tensors) << name;
    // Everything but the recorded constructor arguments, of which we write those that matter.
    const auto attributes = [](const Description& description) {
      std::vector<std::string> lines;
      for (const std::string& line : description.skeleton)
        if (line.find("_init_kwargs") == std::string::npos) lines.push_back(line);
      return lines;
    };
    EXPECT_EQ(attributes(ours), attributes(original)) << name;
  }
}

}  // namespace
}  // namespace edm2
