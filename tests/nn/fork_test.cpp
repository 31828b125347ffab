// Networks of forks and relatives: without uncertainty head, with dropout in some blocks, built by
// other sources, in the wrappers and checkpoints of other programs.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "edm2/engine/engine.h"
#include "edm2/io/safetensors.h"
#include "edm2/io/torch_file.h"
#include "edm2/nn/convert.h"
#include "edm2/nn/network.h"
#include "edm2/nn/snapshot_tools.h"
#include "edm2/nn/state_report.h"
#include "edm2/nn/stored_snapshot.h"
#include "edm2/nn/weights_file.h"
#include "nn/snapshot_formats.h"
#include "nn/source_text.h"
#include "support/checks.h"
#include "support/paths.h"
#include "support/small_models.h"

namespace edm2 {
namespace {

namespace fs = std::filesystem;

Snapshot without_head(Snapshot snapshot) {
  std::erase_if(snapshot.tensors,
                [](const auto& entry) { return entry.first.starts_with("logvar_"); });
  snapshot.network.has_logvar = false;
  return snapshot;
}

bool has_note_of(const std::vector<std::string>& notes, const std::string& part) {
  return std::any_of(notes.begin(), notes.end(),
                     [&](const std::string& note) { return test::contains(note, part); });
}

Tensor drawn(Denoiser& network) {
  const Tensor x = at::arange(2 * 3 * 16 * 16).sin().reshape({2, 3, 16, 16});
  return network.denoise(x, at::tensor({0.3f, 5.f}), {});
}

TEST(Forks, WithoutUncertaintyHeadInEveryContainer) {
  const test::TempDir dir;
  const Snapshot whole = test::small_snapshot(3), headless = without_head(whole);
  for (const auto format :
       {SnapshotFormat::pickle, SnapshotFormat::safetensors, SnapshotFormat::torch}) {
    SCOPED_TRACE(format_name(format));
    save_snapshot(dir / "x", headless, format);
    test::expect_same_snapshot(load_snapshot(dir / "x"), headless);
    test::expect_same_snapshot(load_weights(dir / "x").snapshot, headless);
    for (const auto kind : {EngineKind::automatic, EngineKind::reference}) {
      const auto own = make_denoiser(whole, Precision::fp32, c10::kCPU, kind);
      const auto other = make_denoiser(StoredSnapshot(dir / "x"), Precision::fp32, c10::kCPU, kind);
      EXPECT_TRUE(at::equal(drawn(*own), drawn(*other)));
    }
  }
  // The head is wanted by the metadata, and is not there.
  save_safetensors(dir / "y", headless.tensors, safetensors_metadata(whole));
  test::expect_same_snapshot(load_snapshot(dir / "y"), headless);
  Precond network(headless);
  EXPECT_TRUE(test::contains(
      test::error_of([&] {
        network.forward(at::zeros({1, 3, 16, 16}), at::ones({1}), {}, /*return_logvar=*/true);
      }),
      "uncertainty head"));
}

TEST(Forks, HalfOfAHeadIsRefused) {
  const test::TempDir dir;
  const Snapshot whole = test::small_snapshot(0);
  for (const char* lost :
       {"logvar_fourier.freqs", "logvar_fourier.phases", "logvar_linear.weight"}) {
    StateDict tensors = whole.tensors;
    std::erase_if(tensors, [&](const auto& entry) { return entry.first == lost; });
    save_safetensors(dir / "x", tensors, safetensors_metadata(whole));
    EXPECT_TRUE(test::contains(test::error_of([&] { load_snapshot(dir / "x"); }), lost));
  }
}

// The blocks of a snapshot's pickle with what `change` makes of each one's state.
PickleValue with_changed_blocks(
    const Snapshot& snapshot, const std::function<void(const std::string&, PickleValue)>& change) {
  PickleValue root = snapshot_to_pickle(snapshot);
  const PickleValue& unet = root.at("ema").state().at("_modules").at("unet").state();
  for (const char* part : {"enc", "dec"})
    for (const auto& [name, block] : unet.at("_modules").at(part).state().at("_modules").items())
      if (block.class_name() == "Block") change(std::string(part) + '.' + name.as_string(), block);
  return root;
}

TEST(Forks, DropoutInSomeBlocksOnly) {
  const test::TempDir dir;
  Snapshot snapshot = test::small_snapshot(0);
  snapshot.network.dropout = 0.25;
  int blocks = 0;
  const PickleValue root =
      with_changed_blocks(snapshot, [&](const std::string&, PickleValue block) {
        if (++blocks % 2) PickleValue(block.state()).set("dropout", 0);
      });
  write_pickle_file(dir / "x.pkl", root);
  const Snapshot read = load_snapshot(dir / "x.pkl");
  test::expect_same_snapshot(read, snapshot);
  EXPECT_TRUE(has_note_of(read.notes, "dropout of 0.0 to 0.25")) << read.notes.size();
  EXPECT_TRUE(has_note_of(load_weights(dir / "x.pkl").notes, "dropout"));
  // Other options must still agree.
  write_pickle_file(dir / "x.pkl",
                    with_changed_blocks(snapshot, [](const std::string& name, PickleValue block) {
                      if (name.starts_with("dec"))
                        PickleValue(block.state()).set("res_balance", 0.4);
                    }));
  EXPECT_TRUE(
      test::contains(test::error_of([&] { load_snapshot(dir / "x.pkl"); }), "other options"));
}

TEST(Forks, ArgumentsThatTheOriginalLacksAreTold) {
  const test::TempDir dir;
  const Snapshot snapshot = test::small_snapshot(0);
  EXPECT_TRUE(snapshot_from_pickle(snapshot_to_pickle(snapshot)).notes.empty());
  const PickleValue root = with_changed_blocks(snapshot, [](const std::string&, PickleValue block) {
    PickleValue(block.state().at("_init_kwargs")).set("dropout_res", 16);
  });
  write_pickle_file(dir / "x.pkl", root);
  const Snapshot read = load_snapshot(dir / "x.pkl");
  ASSERT_EQ(read.notes.size(), 1u);
  EXPECT_TRUE(has_note_of(read.notes, "Block was given the argument 'dropout_res'"));
}

TEST(Forks, PartsOfUnknownClassesAreTold) {
  const test::TempDir dir;
  const Snapshot snapshot = test::small_snapshot(0);
  const PickleValue root = snapshot_to_pickle(snapshot);
  const PickleValue& unet = root.at("ema").state().at("_modules").at("unet").state();
  PickleValue blocks = unet.at("_modules").at("enc").state().at("_modules");
  const auto items = blocks.items();  // a copy: blocks change
  for (const auto& [name, block] : items)
    if (block.class_name() == "Block")
      blocks.set(name, PickleValue::persistent("AdaBlock", block.state(), {}));
  write_pickle_file(dir / "x.pkl", root);
  EXPECT_TRUE(has_note_of(load_snapshot(dir / "x.pkl").notes, "a part of the class 'AdaBlock'"));
}

TEST(Forks, FourChannelsWithoutAVaeAreTold) {
  const test::TempDir dir;
  NetworkOptions options = test::tiny_options(0);
  for (const int64_t channels : {3, 4}) {
    options.img_channels = channels;
    Snapshot snapshot = test::random_snapshot(options);
    for (const bool vae : {false, true}) {
      snapshot.encoder = vae ? stability_vae_options() : EncoderOptions{};
      for (const auto format :
           {SnapshotFormat::pickle, SnapshotFormat::safetensors, SnapshotFormat::torch}) {
        save_snapshot(dir / "x", snapshot, format);
        EXPECT_EQ(has_note_of(load_snapshot(dir / "x").notes, "RGBA"), channels == 4 && !vae);
      }
    }
  }
}

TEST(SourceText, OnlyWhatTheOriginalLacksIsUnusual) {
  const std::string functions =
      "def normalize(x):\n  pass\ndef resample(x):\n  pass\ndef mp_silu(x):\n  return x / 0.596\n"
      "def mp_sum(a):\n  pass\ndef mp_cat(a):\n  pass\n";
  const std::string classes =
      "@persistence.persistent_class\nclass MPFourier(M):\n    def __init__(self): pass\n"
      "    def forward(self): pass\nclass MPConv(M):\n  pass\nclass Block(M):\n  pass\n"
      "class UNet(M):\n  pass\n\nclass Precond(torch.nn.Module) :\n\tdef forward (self): pass\n";
  const std::string head =
      "# A comment of a class Foo: def bar(x).\nimport torch\n"
      "from torch_utils import persistence\n";
  EXPECT_TRUE(unusual_in_source("").empty());
  EXPECT_TRUE(unusual_in_source("from training.networks_edm2 import Precond, UNet\n").empty());
  EXPECT_TRUE(unusual_in_source(head + functions + classes).empty());
  const std::pair<std::string, std::string> unusual[] = {
      {"from fork.networks import Precond\n", "takes its classes from 'fork.networks'"},
      {head + functions + classes + "class AdaBlock(Block):\n  pass\n", "the class 'AdaBlock'"},
      {head + functions + classes + "    def attend(self, x):\n  pass\n", "the function 'attend'"},
      {head + classes, "does not define 'normalize'"},
      {head + functions + "class Precond:\n  pass\n", "does not define 'MPFourier'"},
      {head +
           "def mp_silu(x):\n  return x / 0.5\ndef normalize(): 1\ndef resample(): 1\n"
           "def mp_sum(): 1\ndef mp_cat(): 1\n" +
           classes,
       "another constant"},
  };
  for (const auto& [text, expected] : unusual) {
    const auto found = unusual_in_source(text);
    ASSERT_FALSE(found.empty()) << expected;
    EXPECT_TRUE(test::contains(found.front(), expected)) << found.front();
  }
}

TEST(Forks, AWholeModuleOfTheOriginalsClassesIsRead) {
  const test::TempDir dir;
  Snapshot snapshot = test::small_snapshot(3);
  const PickleValue network = snapshot_to_pickle(snapshot).at("ema");
  snapshot.encoder = {};
  snapshot.dataset.reset();
  snapshot.loss.reset();
  write_pickle_file(dir / "x.pkl", network);
  test::expect_same_snapshot(load_snapshot(dir / "x.pkl"), snapshot);
  write_pickle_file(dir / "x.pkl", PickleValue::dict({{"step", 3}, {"model", network}}));
  const Snapshot read = load_snapshot(dir / "x.pkl");
  test::expect_same_snapshot(read, snapshot);
  EXPECT_TRUE(has_note_of(read.notes, "\"model\""));
  write_pickle_file(dir / "x.pkl", PickleValue::dict({{"a", network}, {"b", network}}));
  EXPECT_TRUE(
      test::contains(test::error_of([&] { load_snapshot(dir / "x.pkl"); }), "several networks"));
}

// ---- Checkpoints

struct Plain {
  Snapshot snapshot = test::random_snapshot(test::tiny_options(3, 8, 4));
  test::TempDir dir;
  WeightsOptions like;

  Plain() {
    snapshot.encoder = {};
    snapshot.dataset.reset();
    snapshot.loss.reset();
    like.config = config_of(snapshot);
  }
  PickleValue named(const std::string& prefix) const {
    PickleValue dict = PickleValue::dict();
    add_to(dict, prefix);
    return dict;
  }
  void add_to(PickleValue& dict, const std::string& prefix) const {
    for (const auto& [name, tensor] : snapshot.tensors) dict.set(prefix + name, tensor);
  }
  LoadedWeights load(const PickleValue& root, const WeightsOptions& options) const {
    save_torch_file(dir / "x.pt", root);
    return load_weights(dir / "x.pt", options);
  }
};

TEST(Checkpoints, WrappersInAnyNesting) {
  const Plain plain;
  for (const char* prefix :
       {"module._orig_mod.", "_orig_mod.module.", "model.module._orig_mod.", "ema_model.module.",
        "state_dict.model.", "net._fsdp_wrapped_module.", "a.b.c."}) {
    SCOPED_TRACE(prefix);
    test::expect_same_snapshot(plain.load(plain.named(prefix), plain.like).snapshot,
                               plain.snapshot);
  }
  for (const char* inside :
       {"unet.module.", "unet._orig_mod.module.", "unet._fsdp_wrapped_module."}) {
    PickleValue dict = PickleValue::dict();
    for (const auto& [name, tensor] : plain.snapshot.tensors)
      dict.set(name.starts_with("unet.") ? inside + name.substr(5) : name, tensor);
    SCOPED_TRACE(inside);
    test::expect_same_snapshot(plain.load(dict, plain.like).snapshot, plain.snapshot);
  }
}

TEST(Checkpoints, EmaPytorch) {
  const Plain plain;
  PickleValue state = plain.named("ema_model.");
  state.set("initted", at::ones({}, at::kBool));
  state.set("step", at::full({}, 12, at::kLong));
  LoadedWeights loaded = plain.load(state, plain.like);
  test::expect_same_snapshot(loaded.snapshot, plain.snapshot);
  EXPECT_TRUE(has_note_of(loaded.notes, "left out 2 tensors"));
  // Beside the network that is being trained, which is another.
  for (const auto& [name, tensor] : plain.snapshot.tensors)
    state.set("online_model." + name, at::zeros_like(tensor));
  loaded = plain.load(state, plain.like);
  test::expect_same_snapshot(loaded.snapshot, plain.snapshot);
  EXPECT_TRUE(has_note_of(loaded.notes, "--prefix=online_model."));
  WeightsOptions online = plain.like;
  online.prefix = "online_model.";
  EXPECT_EQ(plain.load(state, online).snapshot.tensors[4].second.abs().max().item<double>(), 0);
  // Without a prefix, counters alone are passed over.
  PickleValue bare = plain.named("");
  bare.set("num_updates", at::full({}, 3, at::kLong));
  test::expect_same_snapshot(plain.load(bare, plain.like).snapshot, plain.snapshot);
  bare.set("table", at::ones({3}));
  const std::string error = test::error_of([&] { plain.load(bare, plain.like); });
  EXPECT_TRUE(test::contains(error, "table") && test::contains(error, "--prefix") &&
              test::contains(error, "--like"))
      << error;
}

TEST(Checkpoints, TheirOwnOptionsAreTaken) {
  const Plain plain;
  const auto options = [](int64_t channels_per_head) {
    return PickleValue::dict({{"model_channels", 4},
                              {"channel_mult", PickleValue::list({1, 2})},
                              {"num_blocks", 1},
                              {"attn_resolutions", PickleValue::list({4})},
                              {"channels_per_head", channels_per_head},
                              {"learning_rate", 0.1},
                              {"class_name", "x.Precond"}});
  };
  const PickleValue weights = plain.named("");
  const PickleValue roots[] = {
      PickleValue::dict({{"net", PickleValue::dict({{"kwargs", options(4)}, {"state", weights}})},
                         {"optimizer", PickleValue::dict({{"lr", 1}})}}),
      PickleValue::dict({{"state_dict", plain.named("model.")}, {"hyper_parameters", options(4)}}),
      PickleValue::dict({{"model", weights}, {"model_kwargs", options(4)}, {"epoch", 3}}),
      PickleValue::dict({{"model", weights},
                         {"args", PickleValue::dict({{"network", options(4)}})},
                         {"copy", options(4)}})};
  for (const PickleValue& root : roots) {
    const LoadedWeights loaded = plain.load(root, {});
    EXPECT_EQ(loaded.snapshot.network.channels_per_head, 4);
    EXPECT_EQ(loaded.snapshot.network.attn_resolutions, (std::vector<int64_t>{4}));
    EXPECT_TRUE(has_note_of(loaded.notes, "the options are those under '"));
  }
  // Such that contradict each other are not.
  const std::string error = test::error_of([&] {
    plain.load(PickleValue::dict({{"a", weights}, {"x", options(4)}, {"y", options(2)}}), {});
  });
  EXPECT_TRUE(test::contains(error, "channels_per_head")) << error;
  // A prefix chooses those beside it.
  const auto network = [&](int64_t channels_per_head) {
    return PickleValue::dict({{"kwargs", options(channels_per_head)}, {"state_dict", weights}});
  };
  WeightsOptions chosen;
  for (const auto& [prefix, channels_per_head] :
       {std::pair("net.state_dict", 4), {"gnet.state_dict", 2}}) {
    chosen.prefix = prefix;
    EXPECT_EQ(plain.load(PickleValue::dict({{"net", network(4)}, {"gnet", network(2)}}), chosen)
                  .snapshot.network.channels_per_head,
              channels_per_head);
  }
  // Those of the user come first.
  WeightsOptions like = plain.like;
  like.config->network.clip_act = 7;
  EXPECT_EQ(plain.load(roots[1], like).snapshot.network.clip_act, 7);
}

TEST(Checkpoints, WithoutHead) {
  const Plain plain;
  PickleValue dict = PickleValue::dict();
  for (const auto& [name, tensor] : plain.snapshot.tensors)
    if (!name.starts_with("logvar_")) dict.set("module." + name, tensor);
  const LoadedWeights loaded = plain.load(dict, plain.like);
  test::expect_same_snapshot(loaded.snapshot, without_head(plain.snapshot));
  EXPECT_TRUE(has_note_of(loaded.notes, "no uncertainty head"));
}

TEST(Checkpoints, NumbersOfEightBits) {
  const Plain plain;
  for (const auto type : {at::kFloat8_e4m3fn, at::kFloat8_e5m2}) {
    StateDict tensors = plain.snapshot.tensors;
    Snapshot expected = plain.snapshot;
    for (size_t i = 0; i < tensors.size(); ++i) {
      tensors[i].second = tensors[i].second.to(type);
      expected.tensors[i].second = tensors[i].second.to(at::kHalf);
    }
    save_safetensors(plain.dir / "x", tensors, safetensors_metadata(plain.snapshot));
    const Snapshot read = load_snapshot(plain.dir / "x");
    test::expect_same_snapshot(read, expected);
    EXPECT_TRUE(has_note_of(read.notes, "8 bits"));
  }
  StateDict tensors = plain.snapshot.tensors;
  tensors[4].second = tensors[4].second.to(at::kFloat).to(at::kFloat8_e8m0fnu);
  save_safetensors(plain.dir / "x", tensors, safetensors_metadata(plain.snapshot));
  EXPECT_TRUE(test::contains(test::error_of([&] { load_snapshot(plain.dir / "x"); }), "e8m0"));
}

}  // namespace
}  // namespace edm2
