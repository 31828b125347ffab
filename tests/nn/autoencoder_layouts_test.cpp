// Autoencoders in the layouts in which they are handed round: the same weights give the same
// latents in all of them.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <regex>

#include "edm2/core/error.h"
#include "edm2/io/atomic_file.h"
#include "edm2/io/safetensors.h"
#include "edm2/io/torch_file.h"
#include "edm2/nn/autoencoder_kl.h"
#include "support/checks.h"
#include "support/golden.h"
#include "support/paths.h"
#include "support/small_models.h"

namespace edm2 {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;
using Rename = std::function<std::string(const std::string&)>;
using Texts = std::vector<std::pair<std::string, std::string>>;

std::string replaced(std::string name, const Texts& changes) {
  for (const auto& [from, to] : changes)
    if (const size_t at = name.find(from); at != std::string::npos)
      name.replace(at, from.size(), to);
  return name;
}

/// Written apart from what is tested: the names of the latent-diffusion code, by expressions.
std::string latent_diffusion_name(const std::string& name, int levels) {
  std::smatch found;
  if (std::regex_match(name, found, std::regex(R"(decoder\.up_blocks\.(\d+)\.(.*))")))
    return latent_diffusion_name(
        "decoder.up." + std::to_string(levels - 1 - std::stoi(found[1])) + "." + found[2].str(),
        levels);
  return replaced(name, {{"down_blocks.", "down."},
                         {".downsamplers.0.", ".downsample."},
                         {".upsamplers.0.", ".upsample."},
                         {"mid_block.resnets.0.", "mid.block_1."},
                         {"mid_block.resnets.1.", "mid.block_2."},
                         {"mid_block.attentions.0.", "mid.attn_1."},
                         {".resnets.", ".block."},
                         {"conv_shortcut", "nin_shortcut"},
                         {"conv_norm_out", "norm_out"},
                         {"attn_1.group_norm.", "attn_1.norm."},
                         {"attn_1.to_q.", "attn_1.q."},
                         {"attn_1.to_k.", "attn_1.k."},
                         {"attn_1.to_v.", "attn_1.v."},
                         {"attn_1.to_out.0.", "attn_1.proj_out."}});
}

StateDict renamed(StateDict state, const Rename& rename) {
  for (auto& entry : state) entry.first = rename(entry.first);
  return state;
}
StateDict behind(const StateDict& state, const std::string& prefix) {
  return renamed(state, [&](const std::string& name) { return prefix + name; });
}
/// Matrices of attention as convolutions of kernel 1.
StateDict with_convolutions(StateDict state, int64_t axes = 4) {
  for (auto& [name, tensor] : state)
    while (tensor.dim() >= 2 && tensor.dim() < axes && name.ends_with(".weight"))
      tensor = tensor.unsqueeze(-1);
  return state;
}

class AutoencoderLayouts : public testing::Test {
 protected:
  AutoencoderLayouts() {
    options.block_out_channels = {32, 64, 64, 64};  // equal ones hide no mistake in the order
    options.layers_per_block = 2;
    weights = test::small_autoencoder(options);
    at::manual_seed(5);
    x = at::rand({1, 3, 16, 16});
    z = at::randn({1, 4, 2, 2});
    const AutoencoderKL vae(weights);
    moments = vae.moments(x);
    decoded = vae.decode(z);
  }

  StateDict latent_diffusion() const {
    return renamed(weights.tensors,
                   [](const std::string& n) { return latent_diffusion_name(n, 4); });
  }

  /// What is read from there gives the same numbers, to the last bit.
  void expect_same(const fs::path& path) const {
    const AutoencoderWeights read = load_autoencoder(path);
    EXPECT_EQ(to_json(read.options), to_json(options));
    const AutoencoderKL vae(read);
    EXPECT_TRUE(at::equal(vae.moments(x), moments));
    EXPECT_TRUE(at::equal(vae.decode(z), decoded));
  }
  void expect_same(const StateDict& state) const {
    save_safetensors(dir / "vae.safetensors", state);
    expect_same(dir / "vae.safetensors");
  }
  std::string error_for(const StateDict& state) const {
    save_safetensors(dir / "odd.safetensors", state);
    const std::string message = test::error_of([&] { load_autoencoder(dir / "odd.safetensors"); });
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    return message;
  }

  test::TempDir dir;
  AutoencoderOptions options;
  AutoencoderWeights weights;
  Tensor x, z, moments, decoded;
};

}  // namespace

TEST_F(AutoencoderLayouts, Names) {
  const StateDict diffusers = weights.tensors, original = latent_diffusion();
  const auto change = [](const StateDict& state, const Texts& changes) {
    return renamed(state, [=](const std::string& name) { return replaced(name, changes); });
  };
  const std::pair<const char*, StateDict> layouts[] = {
      {"diffusers", diffusers},
      {"diffusers as convolutions", with_convolutions(diffusers)},
      {"original", with_convolutions(original)},
      {"original with matrices", original},
      {"original with convolutions along one axis", with_convolutions(original, 3)},
      {"to_q left in the original", change(original, {{"attn_1.q.", "attn_1.to_q."},
                                                      {"attn_1.k.", "attn_1.to_k."},
                                                      {"attn_1.v.", "attn_1.to_v."},
                                                      {"attn_1.proj_out.", "attn_1.to_out.0."}})},
      {"query left in the original", change(original, {{"attn_1.q.", "attn_1.query."},
                                                       {"attn_1.k.", "attn_1.key."},
                                                       {"attn_1.v.", "attn_1.value."},
                                                       {"attn_1.proj_out.", "attn_1.proj_attn."}})},
      {"original names left in diffusers",
       change(diffusers, {{"conv_shortcut", "nin_shortcut"},
                          {"conv_norm_out", "norm_out"},
                          {"attentions.0.group_norm.", "attentions.0.norm."},
                          {"attentions.0.to_q.", "attentions.0.q."},
                          {"attentions.0.to_out.0.", "attentions.0.proj_out."}})},
      {"conv_shortcut left in the original",
       change(original, {{"nin_shortcut", "conv_shortcut"}, {"norm_out", "conv_norm_out"}})},
      {"to_out without its number", change(diffusers, {{"to_out.0.", "to_out."}})},
      {"one half in each", [&] {
         StateDict mixed = diffusers;
         for (size_t i = 0; i < mixed.size(); ++i)
           if (mixed[i].first.starts_with("decoder.")) mixed[i] = original[i];
         return mixed;
       }()}};
  for (const auto& [what, state] : layouts) {
    SCOPED_TRACE(what);
    expect_same(state);
  }
}

TEST_F(AutoencoderLayouts, InsideOfCheckpoints) {
  for (const StateDict& state : {weights.tensors, with_convolutions(latent_diffusion())})
    for (const char* prefix : {"first_stage_model.", "vae.", "model.vae.", "module.", "_orig_mod.",
                               "state_dict.first_stage_model.", "model._orig_mod."}) {
      SCOPED_TRACE(prefix);
      StateDict checkpoint = behind(state, prefix);
      const bool whole = std::string(prefix).find("vae") != std::string::npos ||
                         std::string(prefix).starts_with("first_stage");
      if (whole) {  // what else is in there does not matter
        checkpoint.insert(checkpoint.begin(),
                          {"model.diffusion_model.input_blocks.0.0.weight", at::ones({4, 4})});
        checkpoint.emplace_back("cond_stage_model.x", at::ones({2}, at::kLong));
      }
      expect_same(checkpoint);
    }
  // Compiled halves.
  expect_same(renamed(weights.tensors, [](const std::string& name) {
    return replaced(name, {{"encoder.", "encoder._orig_mod."}});
  }));
}

TEST_F(AutoencoderLayouts, LeftoversOfTraining) {
  StateDict state = latent_diffusion();
  state.emplace_back("loss.logvar", at::zeros({}));
  state.emplace_back("loss.discriminator.main.0.weight", at::ones({4, 3, 4, 4}));
  state.emplace_back("model_ema.decay", at::ones({}));
  state.emplace_back("model_ema.num_updates", at::ones({}, at::kInt));
  expect_same(state);
  state.emplace_back("model_ema.encoderconv_inweight", at::ones({4}));
  EXPECT_THAT(error_for(state), HasSubstr("model_ema.encoderconv_inweight is unknown"));
}

TEST_F(AutoencoderLayouts, FilesOfTorch) {
  const PickleValue plain = to_pickle(latent_diffusion());
  PickleValue checkpoint = PickleValue::dict(
      {{"epoch", 3},
       {"state_dict", to_pickle(behind(latent_diffusion(), "first_stage_model."))},
       {"optimizer_states", PickleValue::list({PickleValue::dict({{"lr", 0.1}})})}});
  for (const char* name : {"vae.pt", "vae.ckpt", "vae.bin", "vae", "vae.safetensors"})
    for (const PickleValue& root : {plain, checkpoint}) {
      save_torch_file(dir / name, root);
      expect_same(dir / name);
    }
}

TEST_F(AutoencoderLayouts, Types) {
  for (const auto type : {at::kHalf, at::kBFloat16, at::kDouble}) {
    StateDict state = latent_diffusion();
    AutoencoderWeights rounded = weights;
    for (auto& entry : state) entry.second = entry.second.to(type);
    for (auto& entry : rounded.tensors) entry.second = entry.second.to(type).to(at::kFloat);
    save_safetensors(dir / "typed.safetensors", state);
    const AutoencoderKL read(load_autoencoder(dir / "typed.safetensors"));
    EXPECT_TRUE(at::equal(read.moments(x), AutoencoderKL(rounded).moments(x)));
  }
}

TEST_F(AutoencoderLayouts, NothingMayBeLackingOrStrange) {
  StateDict state = latent_diffusion();
  const auto without = [&](const std::string& name) {
    StateDict some = state;
    EXPECT_EQ(std::erase_if(some, [&](const auto& entry) { return entry.first == name; }), 1u);
    return some;
  };
  EXPECT_THAT(error_for(without("decoder.up.3.block.1.conv2.bias")),
              HasSubstr("decoder.up_blocks.0.resnets.1.conv2.bias is missing"));
  EXPECT_THAT(error_for(without("decoder.conv_in.weight")), HasSubstr("decoder.conv_in.weight"));
  state.emplace_back("extra\x1b[31m", at::ones({1}));
  EXPECT_THAT(error_for(state), HasSubstr("extra\\x1b[31m is unknown"));
  state.back() = {"encoder.mid.attn_1.to_q.bias", at::ones({64})};
  EXPECT_THAT(error_for(state), HasSubstr("two tensors are named encoder.mid_block.attentions.0."));
  StateDict two = behind(weights.tensors, "vae.");
  for (const auto& entry : behind(weights.tensors, "vae_ema.")) two.push_back(entry);
  EXPECT_THAT(error_for(two),
              HasSubstr("several VAEs (their names begin with 'vae.' and 'vae_ema."));
}

TEST_F(AutoencoderLayouts, OtherAutoencodersByName) {
  const auto with = [&](const std::string& name, at::IntArrayRef shape) {
    StateDict state = latent_diffusion();
    state.emplace_back(name, at::zeros(shape));
    return error_for(state);
  };
  EXPECT_THAT(with("quantize.embedding.weight", {8, 4}),
              HasSubstr("a VQ model, whose latents are entries of a table (it has quantize."));
  EXPECT_THAT(with("encoder.down.3.attn.0.q.weight", {64, 64, 1, 1}),
              HasSubstr("attention in its levels"));
  EXPECT_THAT(with("decoder.time_conv_out.weight", {3, 3, 3, 1, 1}), HasSubstr("of videos"));
  EXPECT_THAT(with("encoder.down.0.block.0.x.weight", {3, 3, 3, 3, 3}), HasSubstr("of videos"));
  EXPECT_THAT(with("decoder.condition_encoder.layers.0.weight", {4}), HasSubstr("asymmetric"));
  const auto alone = [&](const Texts& names, at::IntArrayRef shape) {
    StateDict state;
    for (const auto& [name, unused] : names) state.emplace_back(name, at::zeros(shape));
    return error_for(state);
  };
  EXPECT_THAT(alone({{"encoder.conv_in.conv.weight", ""}}, {8, 3, 3, 3, 3}),
              HasSubstr("of videos"));
  EXPECT_THAT(alone({{"encoder.layers.0.weight", ""}}, {64, 3, 3, 3}), HasSubstr("(TAESD)"));
  EXPECT_THAT(alone({{"0.weight", ""}, {"1.conv.0.weight", ""}}, {64, 3, 3, 3}),
              HasSubstr("one half of a tiny autoencoder (TAESD)"));
  EXPECT_THAT(alone({{"encoder.stages.0.0.conv.weight", ""}}, {8, 3, 3, 3}), HasSubstr("DC-AE"));
  EXPECT_THAT(alone({{"model.diffusion_model.out.2.weight", ""}}, {4, 4}),
              HasSubstr("this checkpoint of a diffusion model holds no VAE"));
  // A text encoder has layers too.
  EXPECT_THAT(alone({{"model.diffusion_model.a.time_stack.weight", ""},
                     {"cond_stage_model.transformer.text_model.encoder.layers.0.weight", ""}},
                    {4, 4}),
              HasSubstr("this checkpoint of a diffusion model holds no VAE"));
}

TEST_F(AutoencoderLayouts, FoldersAndVariants) {
  const auto write_model = [&](const fs::path& folder, const std::string& file) {
    fs::create_directories(folder);
    write_file(folder / "config.json", to_json(options).dump());
    if (file.ends_with(".bin"))
      save_torch_file(folder / file, to_pickle(weights.tensors));
    else
      save_safetensors(folder / file, weights.tensors);
    return folder;
  };
  int number = 0;
  for (const char* file :
       {"diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.fp16.safetensors",
        "diffusion_pytorch_model.fp16.bin", "diffusion_pytorch_model.non_ema.bin",
        "vae-ft-mse-840000-ema-pruned.safetensors"}) {
    SCOPED_TRACE(file);
    const fs::path folder = dir / ("alone" + std::to_string(number++));
    expect_same(write_model(folder, file));
    expect_same(folder / file);
    // The folder of a pipeline; what else is in it does not matter.
    const fs::path pipeline = folder.string() + "_pipeline";
    write_model(pipeline / "vae", file);
    write_model(pipeline / "unet", "diffusion_pytorch_model.safetensors");
    write_file(pipeline / "model_index.json", R"({"_class_name": "StableDiffusionPipeline"})");
    expect_same(pipeline);
    // A model in a cache of the hub's tools.
    const fs::path cached = dir / ("models--some--" + folder.filename().string());
    write_model(cached / "snapshots" / std::string(40, 'b') / "vae", file);
    fs::create_directories(cached / "snapshots" / std::string(40, 'a'));
    fs::create_directories(cached / "refs");
    write_file(cached / "refs" / "main", std::string(40, 'b'));
    expect_same(cached);
  }
  // A plain one is taken before variants, and one variant must be the only one.
  const fs::path both = write_model(dir / "both", "diffusion_pytorch_model.fp16.safetensors");
  write_file(both / "diffusion_pytorch_model.fp16.bin", "not read");
  expect_same(both);
  write_file(both / "diffusion_pytorch_model.non_ema.safetensors", "not read");
  EXPECT_THAT(test::error_of([&] { load_autoencoder(both); }),
              HasSubstr("several variants of its VAE ('fp16', 'non_ema')"));
  write_model(both, "diffusion_pytorch_model.safetensors");
  expect_same(both);
  // Other names: only if it is certain which is meant.
  const fs::path loose = dir / "loose";
  fs::create_directories(loose);
  save_torch_file(loose / "vae.ckpt", to_pickle(latent_diffusion()));
  expect_same(loose);
  save_safetensors(loose / "vae.safetensors", latent_diffusion());
  expect_same(loose);
  write_file(loose / "other.pt", "x");
  EXPECT_THAT(test::error_of([&] { load_autoencoder(loose); }),
              HasSubstr("holds several files of weights ('other.pt', 'vae.ckpt')"));
}

TEST_F(AutoencoderLayouts, SeveralFilesWithAnIndex) {
  const fs::path folder = dir / "sharded";
  fs::create_directories(folder);
  write_file(folder / "config.json", to_json(options).dump());
  const StateDict& all = weights.tensors;
  const auto middle = all.begin() + static_cast<std::ptrdiff_t>(all.size() / 2);
  const std::string names[] = {"diffusion_pytorch_model-00001-of-00002.safetensors",
                               "diffusion_pytorch_model-00002-of-00002.safetensors"};
  save_safetensors(folder / names[0], StateDict(all.begin(), middle));
  save_safetensors(folder / names[1], StateDict(middle, all.end()));
  json index = {{"metadata", {{"total_size", 1}}}, {"weight_map", json::object()}};
  for (size_t i = 0; i < all.size(); ++i)
    index["weight_map"][all[i].first] = names[i < all.size() / 2 ? 0 : 1];
  const fs::path file = folder / "diffusion_pytorch_model.safetensors.index.json";
  write_file(file, index.dump());
  expect_same(folder);
  expect_same(file);
  fs::rename(file, folder / "diffusion_pytorch_model.safetensors.index.fp16.json");
  expect_same(folder);
  fs::rename(folder / "diffusion_pytorch_model.safetensors.index.fp16.json", file);

  const auto refuse = [&](const std::string& text, const std::string& why) {
    write_file(file, text);
    const std::string message = test::error_of([&] { load_autoencoder(folder); });
    EXPECT_THAT(message, HasSubstr(why));
    EXPECT_THAT(message, HasSubstr(file.filename().string()));
  };
  refuse("{", "not valid JSON");
  refuse("[]", "no weight_map");
  refuse(R"({"weight_map": {"a": "../secret"}})", "not beside it");
  refuse(R"({"weight_map": {"a": 3}})", "not beside it");
  index["weight_map"].clear();
  index["weight_map"]["a"] = names[0];
  refuse(index.dump(), "missing");
  index["weight_map"]["a"] = "absent.safetensors";
  write_file(file, index.dump());
  EXPECT_THAT(test::error_of([&] { load_autoencoder(folder); }), HasSubstr("absent.safetensors"));
}

TEST_F(AutoencoderLayouts, ConfigsOfOtherAutoencoders) {
  test::write_autoencoder(dir / "vae", weights);
  for (const char* name : {"VQModel", "AutoencoderTiny", "AutoencoderKLWan", "AutoencoderDC"}) {
    json config = to_json(options);
    config["_class_name"] = name;
    write_file(dir / "vae" / "config.json", config.dump());
    EXPECT_THAT(test::error_of([&] { load_autoencoder(dir / "vae"); }),
                HasSubstr(std::string("it is for ") + name));
  }
}

TEST_F(AutoencoderLayouts, ContentsOfOtherKinds) {
  const Texts contents = {{"version https://git-lfs.github.com/spec/v1\noid sha256:", "Git LFS"},
                          {"<!DOCTYPE html><html>", "a web page"},
                          {"\x1f\x8b\x08", "a gzip file"},
                          {"", "empty"}};
  for (const auto& [text, words] : contents) {
    write_file(dir / "odd.safetensors", text);
    const std::string message = test::error_of([&] { load_autoencoder(dir / "odd.safetensors"); });
    EXPECT_THAT(message, HasSubstr(words));
    EXPECT_THAT(message, HasSubstr("odd.safetensors"));
  }
}

TEST(AutoencoderLayoutsGolden, TheOriginalsNumbersInTheOtherLayout) {
  const fs::path folder = test::data_dir() / "vae";
  AutoencoderWeights own = load_autoencoder(folder);
  const auto levels = static_cast<int>(own.options.block_out_channels.size());
  const test::TempDir dir;
  save_safetensors(
      dir / "vae.safetensors",
      behind(renamed(with_convolutions(own.tensors),
                     [&](const std::string& name) { return latent_diffusion_name(name, levels); }),
             "first_stage_model."));
  const AutoencoderWeights other =
      load_autoencoder(AutoencoderFiles{dir / "vae.safetensors", folder / "config.json"});
  ASSERT_EQ(own.tensors.size(), other.tensors.size());
  for (size_t i = 0; i < own.tensors.size(); ++i) {
    EXPECT_EQ(own.tensors[i].first, other.tensors[i].first);
    EXPECT_TRUE(at::equal(own.tensors[i].second, other.tensors[i].second));
  }
}

}  // namespace edm2
