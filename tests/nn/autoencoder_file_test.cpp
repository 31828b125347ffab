// Files of autoencoders: every layout that is in use, and what is refused.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include "edm2/core/error.h"
#include "edm2/io/atomic_file.h"
#include "edm2/io/safetensors.h"
#include "edm2/io/torch_file.h"
#include "edm2/nn/autoencoder_kl.h"
#include "support/golden.h"
#include "support/paths.h"
#include "support/python.h"
#include "support/small_models.h"

namespace edm2 {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

void expect_same_weights(const AutoencoderWeights& a, const AutoencoderWeights& b) {
  EXPECT_EQ(to_json(a.options), to_json(b.options));
  ASSERT_EQ(a.tensors.size(), b.tensors.size());
  for (size_t i = 0; i < a.tensors.size(); ++i) {
    EXPECT_EQ(a.tensors[i].first, b.tensors[i].first);
    EXPECT_TRUE(at::equal(a.tensors[i].second, b.tensors[i].second)) << a.tensors[i].first;
  }
}

/// The names that diffusers used until 2023, some weights of attention as 1x1 convolutions.
StateDict with_old_names(const StateDict& state) {
  StateDict result;
  for (const auto& [name, tensor] : state) {
    std::string old = name;
    for (const auto& [now, before] : std::vector<std::pair<std::string, std::string>>{
             {"to_q", "query"}, {"to_k", "key"}, {"to_v", "value"}, {"to_out.0", "proj_attn"}})
      if (const size_t at = old.find("." + now + "."); at != std::string::npos)
        old.replace(at + 1, now.size(), before);
    const bool as_conv = old.ends_with("query.weight") || old.ends_with("key.weight");
    result.emplace_back(old, as_conv ? tensor.unsqueeze(2).unsqueeze(3) : tensor);
  }
  return result;
}

class AutoencoderFile : public testing::Test {
 protected:
  void SetUp() override { test::write_autoencoder(folder, weights); }

  void write_config(const json& config) { std::ofstream(folder / "config.json") << config.dump(); }
  void write_tensors(const StateDict& tensors) { save_safetensors(file, tensors); }
  /// The message of the error, which must be one line; "" if there was none.
  static std::string error_of(const fs::path& path) {
    try {
      load_autoencoder(path);
    } catch (const Error& error) {
      const std::string message = error.what();
      EXPECT_EQ(message.find('\n'), std::string::npos) << message;
      return message;
    }
    return "";
  }
  /// Loading fails, and the message has these texts.
  void expect_refused(const std::vector<std::string>& texts) const {
    const std::string message = error_of(folder);
    for (const auto& text : texts)
      EXPECT_NE(message.find(text), std::string::npos) << "'" << message << "' lacks " << text;
  }
  void change_config(const std::function<void(json&)>& change) {
    json config = to_json(weights.options);
    change(config);
    write_config(config);
  }

  test::TempDir dir;
  const fs::path folder = dir / "vae";
  const fs::path file = folder / "diffusion_pytorch_model.safetensors";
  const AutoencoderWeights weights = test::small_autoencoder(test::small_autoencoder_options());
};

}  // namespace

TEST_F(AutoencoderFile, Folder) { expect_same_weights(load_autoencoder(folder), weights); }

TEST_F(AutoencoderFile, OldNamesOfAttention) {
  write_tensors(with_old_names(weights.tensors));
  expect_same_weights(load_autoencoder(folder), weights);
}

TEST_F(AutoencoderFile, OldNamesInOneHalfOnly) {
  StateDict mixed = weights.tensors;
  const StateDict old = with_old_names(weights.tensors);
  for (size_t i = 0; i < mixed.size(); ++i)
    if (mixed[i].first.starts_with("encoder.")) mixed[i] = old[i];
  write_tensors(mixed);
  expect_same_weights(load_autoencoder(folder), weights);
}

TEST_F(AutoencoderFile, TorchFile) {
  fs::remove(file);
  save_torch_file(folder / "diffusion_pytorch_model.bin",
                  to_pickle(with_old_names(weights.tensors)));
  expect_same_weights(load_autoencoder(folder), weights);
  expect_same_weights(load_autoencoder(folder / "diffusion_pytorch_model.bin"), weights);
}

TEST_F(AutoencoderFile, SafetensorsAreTakenBeforeTheTorchFile) {
  write_file(folder / "diffusion_pytorch_model.bin", "not read");
  expect_same_weights(load_autoencoder(folder), weights);
}

TEST_F(AutoencoderFile, HalfPrecisionIsComputedInFloat32) {
  StateDict half = weights.tensors;
  for (auto& [name, tensor] : half) tensor = tensor.to(at::kHalf);
  write_tensors(half);
  const AutoencoderWeights loaded = load_autoencoder(folder);
  AutoencoderWeights rounded = weights;
  for (auto& [name, tensor] : rounded.tensors) tensor = tensor.to(at::kHalf).to(at::kFloat);
  const Tensor z = at::randn({1, 4, 4, 4});
  const Tensor decoded = AutoencoderKL(loaded).decode(z);
  EXPECT_EQ(decoded.scalar_type(), at::kFloat);
  EXPECT_TRUE(at::equal(decoded, AutoencoderKL(rounded).decode(z)));
}

TEST_F(AutoencoderFile, AFileAloneTellsItsOptions) {
  std::vector<AutoencoderOptions> cases(4);
  for (auto& options : cases) options.block_out_channels = {32};
  cases[1].block_out_channels = {32, 64, 64};
  cases[1].layers_per_block = 3;
  cases[2].use_quant_conv = cases[2].use_post_quant_conv = false;
  cases[2].latent_channels = 16;
  cases[3].mid_block_add_attention = false;
  cases[3].in_channels = 1;
  for (const auto& options : cases) {
    const AutoencoderWeights some = test::small_autoencoder(options);
    save_safetensors(dir / "alone.safetensors", some.tensors);
    expect_same_weights(load_autoencoder(dir / "alone.safetensors"), some);
  }
}

TEST_F(AutoencoderFile, AFileAloneCannotTellAnUnusualNumberOfGroups) {
  fs::rename(file, dir / "alone.safetensors");
  const std::string message = error_of(dir / "alone.safetensors");
  EXPECT_NE(message.find("alone.safetensors: its tensors do not tell the number of groups"),
            std::string::npos)
      << message;
}

TEST_F(AutoencoderFile, AConfigBesideTheFileCounts) {
  expect_same_weights(load_autoencoder(file), weights);
  // One that is about something else does not.
  std::ofstream(folder / "config.json") << R"({"_class_name": "UNet2DModel"})";
  EXPECT_NE(error_of(file).find("do not tell the number of groups"), std::string::npos);
}

TEST_F(AutoencoderFile, UnknownKeysOfTheConfigDoNotMatter) {
  change_config([](json& config) {
    config["_diffusers_version"] = "0.4.2";
    config["sample_size"] = 256;
    config["scaling_factor"] = 0.18215;
    config["shift_factor"] = nullptr;
    config["force_upcast"] = true;
    config["act_fn"] = "swish";
    for (const char* key : {"use_quant_conv", "use_post_quant_conv", "mid_block_add_attention"})
      config.erase(key);
  });
  expect_same_weights(load_autoencoder(folder), weights);
}

TEST_F(AutoencoderFile, MissingFiles) {
  EXPECT_NE(error_of(dir / "nosuch").find("there is no VAE at"), std::string::npos);
  fs::rename(folder / "config.json", dir / "config.json");
  expect_refused({folder.string(), "has no config.json"});
  fs::remove(file);
  expect_refused({folder.string(), "diffusion_pytorch_model.safetensors"});
}

TEST_F(AutoencoderFile, OddConfigs) {
  const auto refuse = [&](const std::string& text, const std::function<void(json&)>& change) {
    change_config(change);
    expect_refused({"config.json does not describe a VAE", text});
  };
  std::ofstream(folder / "config.json") << "{";
  expect_refused({"config.json", "not valid JSON"});
  std::ofstream(folder / "config.json") << "[]";
  expect_refused({"config.json", "must hold a JSON object"});
  refuse("block_out_channels is missing", [](json& c) { c.erase("block_out_channels"); });
  refuse("layers_per_block is missing", [](json& c) { c.erase("layers_per_block"); });
  refuse("block_out_channels must be a list", [](json& c) { c["block_out_channels"] = 8; });
  refuse("block_out_channels must be an integer, not \"8\"", [](json& c) {
    c["block_out_channels"] = {"8", "12", "16"};
  });
  refuse("number of levels", [](json& c) {
    c["block_out_channels"] = json::array();
    c["down_block_types"] = c["up_block_types"] = json::array();
  });
  refuse("a list of at most 10",
         [](json& c) { c["block_out_channels"] = std::vector<int>(1000, 8); });
  refuse("between 1 and", [](json& c) { c["block_out_channels"] = {8, 12, int64_t{1} << 40}; });
  refuse("between 1 and", [](json& c) { c["layers_per_block"] = 1'000'000'000; });
  refuse("between 1 and", [](json& c) { c["latent_channels"] = -4; });
  refuse("between 1 and", [](json& c) { c["norm_num_groups"] = 0; });
  refuse("norm_num_groups 5 does not divide", [](json& c) { c["norm_num_groups"] = 5; });
  refuse("norm_num_groups must be an integer", [](json& c) { c["norm_num_groups"] = nullptr; });
  refuse("\"AttnDownEncoderBlock2D\"",
         [](json& c) { c["down_block_types"][1] = "AttnDownEncoderBlock2D"; });
  refuse("up_block_types must be a list of 3", [](json& c) { c["up_block_types"].erase(0); });
  refuse("act_fn is \"mish\"", [](json& c) { c["act_fn"] = "mish"; });
  refuse("use_quant_conv must be true or false", [](json& c) { c["use_quant_conv"] = 1; });
}

TEST_F(AutoencoderFile, ConfigOfAnotherVae) {
  change_config([](json& c) { c["block_out_channels"] = {8, 12, 20}; });
  expect_refused({file.string(), "has the shape [", "demands ["});
  change_config([](json& c) { c["layers_per_block"] = 2; });
  expect_refused(
      {file.string(), "encoder.down_blocks.0.resnets.1.norm1.weight and ", " others are missing"});
  change_config([](json& c) {
    c["layers_per_block"] = 64;
    c["block_out_channels"] = std::vector<int>(10, 65536);
    c["down_block_types"] = std::vector<std::string>(10, "DownEncoderBlock2D");
    c["up_block_types"] = std::vector<std::string>(10, "UpDecoderBlock2D");
  });
  expect_refused({file.string(), " are missing"});  // and no memory was taken
}

TEST_F(AutoencoderFile, WrongTensors) {
  const auto refuse = [&](const std::vector<std::string>& texts,
                          const std::function<void(StateDict&)>& change) {
    StateDict tensors = weights.tensors;
    change(tensors);
    write_tensors(tensors);
    expect_refused(texts);
  };
  const auto erase = [](StateDict& tensors, const std::string& name) {
    EXPECT_EQ(std::erase_if(tensors, [&](const auto& entry) { return entry.first == name; }), 1u);
  };
  refuse({file.string(), " decoder.conv_in.weight is missing"},
         [&](StateDict& t) { erase(t, "decoder.conv_in.weight"); });
  refuse({" decoder.conv_in.weight is missing, and extra is unknown"}, [&](StateDict& t) {
    erase(t, "decoder.conv_in.weight");
    t.emplace_back("extra", at::ones({1}));
  });
  refuse({"two tensors are named encoder.mid_block.attentions.0.to_q.weight"}, [](StateDict& t) {
    t.emplace_back("encoder.mid_block.attentions.0.query.weight", at::ones({16, 16}));
  });
  refuse({"quant_conv.bias has the shape [9], but", "demands [8]"}, [](StateDict& t) {
    for (auto& [name, tensor] : t)
      if (name == "quant_conv.bias") tensor = at::ones({9});
  });
  refuse({file.string(), "values in quant_conv.bias are not finite"}, [](StateDict& t) {
    for (auto& [name, tensor] : t)
      if (name == "quant_conv.bias") tensor = tensor.clone().fill_(std::nan(""));
  });
  refuse({"quant_conv.bias is of type Int"}, [](StateDict& t) {
    for (auto& [name, tensor] : t)
      if (name == "quant_conv.bias") tensor = tensor.to(at::kInt);
  });
}

TEST_F(AutoencoderFile, OtherNetworksAlone) {
  save_safetensors(dir / "other.safetensors", {{"weight", at::ones({3})}});
  EXPECT_NE(error_of(dir / "other.safetensors").find("other.safetensors: this is not a VAE"),
            std::string::npos);
  save_safetensors(dir / "odd.safetensors",
                   {{"encoder.down_blocks.0.resnets.0.conv1.weight", at::ones({})}});
  EXPECT_NE(error_of(dir / "odd.safetensors").find("has the shape [], which no VAE has"),
            std::string::npos);
  write_file(dir / "text.bin", "hello");
  EXPECT_NE(error_of(dir / "text.bin").find("text.bin"), std::string::npos);
  save_torch_file(dir / "list.bin", PickleValue::list({1, 2}));
  EXPECT_NE(error_of(dir / "list.bin").find("list.bin"), std::string::npos);
}

TEST_F(AutoencoderFile, TruncatedFiles) {
  fs::remove(file);
  save_torch_file(folder / "diffusion_pytorch_model.bin", to_pickle(weights.tensors));
  for (const char* name : {"diffusion_pytorch_model.bin", "diffusion_pytorch_model.safetensors"}) {
    if (!fs::exists(folder / name)) write_tensors(weights.tensors);
    const std::string whole = read_text_file(folder / name);
    for (const size_t size :
         {size_t{0}, size_t{7}, size_t{100}, whole.size() / 2, whole.size() - 1}) {
      std::ofstream(folder / name, std::ios::binary) << whole.substr(0, size);
      expect_refused({name});
    }
  }
}

TEST(AutoencoderInterop, DiffusersModelsInEveryForm) {
  const std::string python = test::find_python("diffusers, safetensors, torch");
  if (python.empty()) GTEST_SKIP() << "no Python with diffusers (set EDM2_TORCH_PYTHON)";
  const test::TempDir dir;
  const AutoencoderWeights own = test::small_autoencoder(test::small_autoencoder_options());
  test::write_autoencoder(dir / "own", own);
  test::run_interop_script(python, "autoencoder.py", {dir.path(), dir / "own"});
  const StateDict expected = load_safetensors(dir / "expected.safetensors").tensors;
  const auto get = [&](const char* name) { return find_tensor(expected, name); };
  for (const char* form : {"new", "bin", "old", "old_bin"}) {
    SCOPED_TRACE(form);
    const AutoencoderKL vae(load_autoencoder(dir / form));
    const auto posterior = vae.encode(get("x"));
    EXPECT_LE(test::relative_error(posterior.mean, get("mean")), 1e-5);
    EXPECT_LE(test::relative_error(posterior.std, get("std")), 1e-5);
    EXPECT_LE(test::relative_error(vae.decode(get("z")), get("decoded")), 1e-5);
  }
  const StateDict theirs = load_safetensors(dir / "own" / "decoded.safetensors").tensors;
  EXPECT_LE(
      test::relative_error(AutoencoderKL(own).decode(get("z")), find_tensor(theirs, "decoded")),
      1e-5);
}

}  // namespace edm2
