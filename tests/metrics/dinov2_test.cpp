#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>

#include "edm2/core/error.h"
#include "edm2/io/image.h"
#include "edm2/io/safetensors.h"
#include "edm2/io/torch_file.h"
#include "edm2/metrics/detector.h"
#include "metrics/dinov2_preprocess.h"
#include "metrics/weights.h"
#include "support/detector_weights.h"
#include "support/golden.h"
#include "support/run_program.h"

namespace edm2 {
namespace {

std::filesystem::path reference() { return test::reference_dir() / "metrics"; }

Tensor load_picture(const std::filesystem::path& path) {
  const std::string bytes = test::read_file(path);
  const Image image = decode_rgb(std::as_bytes(std::span(bytes)), path.string());
  Tensor pixels = at::empty({1, image.height, image.width, 3}, at::kByte);
  std::memcpy(pixels.mutable_data_ptr(), image.pixels.data(), image.pixels.size());
  return pixels.permute({0, 3, 1, 2}).contiguous();
}

/// Meta's names; the positions of the 16x16 patches need no other grid.
StateDict with_registers(int64_t count = 4) {
  StateDict state = test::random_dinov2(64, 2, 8);
  state.emplace_back("register_tokens", at::randn({1, count, 64}));
  return state;
}

/// As timm keeps them: the class token with its position, positions of the patches alone.
StateDict timm_registers(const StateDict& meta) {
  const Tensor positions = find_tensor(meta, "pos_embed");
  StateDict state = meta;
  for (auto& [name, tensor] : state) {
    if (name == "register_tokens") name = "reg_token";
    if (name == "cls_token") tensor = tensor + positions.slice(1, 0, 1);
    if (name == "pos_embed") tensor = positions.slice(1, 1).contiguous();
  }
  return state;
}

/// Hugging Face's names, queries, keys and values apart.
StateDict hugging_face(const StateDict& meta) {
  StateDict state;
  for (auto [name, tensor] : meta) {
    const auto replace = [&, &n = name](const std::string& from, const std::string& to) {
      if (const size_t at = n.find(from); at != std::string::npos) n.replace(at, from.size(), to);
    };
    for (const char* token : {"cls_token", "register_tokens", "mask_token"})
      if (name == token) name = "embeddings." + name;
    replace("pos_embed", "embeddings.position_embeddings");
    replace("patch_embed.proj.", "embeddings.patch_embeddings.projection.");
    replace("blocks.", "encoder.layer.");
    replace("attn.proj.", "attention.output.dense.");
    replace("ls1.gamma", "layer_scale1.lambda1");
    replace("ls2.gamma", "layer_scale2.lambda1");
    if (name.starts_with("norm.")) name = "layernorm." + name.substr(5);
    if (const size_t qkv = name.find("attn.qkv."); qkv != std::string::npos) {
      const auto parts = tensor.chunk(3);
      for (size_t i = 0; i < 3; ++i) {
        constexpr const char* names[] = {"query", "key", "value"};
        state.emplace_back(
            name.substr(0, qkv) + "attention.attention." + names[i] + "." + name.substr(qkv + 9),
            parts[i].contiguous());
      }
    } else {
      state.emplace_back(name, tensor);
    }
  }
  for (auto& entry : state) entry.first = "dinov2_with_registers." + entry.first;
  return state;
}

/// The definition, token by token: class, registers without positions, patches.
Tensor plain_features(const StateDict& state, const Tensor& pixels) {
  const auto get = [&](const std::string& name) { return find_tensor(state, name); };
  const auto linear = [&](const std::string& name, const Tensor& x) {
    return x.matmul(get(name + ".weight").t()) + get(name + ".bias");
  };
  const auto norm = [&](const std::string& name, const Tensor& x) {
    return at::layer_norm(x, {64}, get(name + ".weight"), get(name + ".bias"), 1e-6);
  };
  const Tensor patches =
      at::conv2d(preprocess_for_dinov2(pixels, DinoResize::torch), get("patch_embed.proj.weight"),
                 get("patch_embed.proj.bias"), 14)
          .flatten(2)
          .transpose(1, 2);
  Tensor x = at::cat({get("cls_token"), patches}, 1) + get("pos_embed");
  x = at::cat({x.slice(1, 0, 1), get("register_tokens"), x.slice(1, 1)}, 1);
  for (const std::string block : {"blocks.0.", "blocks.1."}) {
    const auto qkv = linear(block + "attn.qkv", norm(block + "norm1", x)).chunk(3, 2);
    const Tensor weights = (qkv[0].matmul(qkv[1].transpose(1, 2)) / 8).softmax(-1);  // one head
    x = x + get(block + "ls1.gamma") * linear(block + "attn.proj", weights.matmul(qkv[2]));
    const Tensor hidden = at::gelu(linear(block + "mlp.fc1", norm(block + "norm2", x)));
    x = x + get(block + "ls2.gamma") * linear(block + "mlp.fc2", hidden);
  }
  return norm("norm", x).select(1, 0);
}

}  // namespace

TEST(Dinov2Registers, AreReadFromEveryKindOfFile) {
  const test::TempDir dir;
  at::manual_seed(3);
  const Tensor pixels = at::randint(0, 256, {1, 3, 32, 32}, at::kByte);
  const StateDict meta = with_registers();
  const Tensor expected = plain_features(meta, pixels);
  for (const StateDict& state : {meta, timm_registers(meta), hugging_face(meta)}) {
    test::save_state(dir / "dino.pth", state);
    const auto detector = load_dinov2(dir / "dino.pth");
    EXPECT_LT(test::relative_error(detector->features(pixels), expected), 1e-4);
    EXPECT_EQ(detector->network_name(),
              "DINOv2 vision transformer of 64 dimensions, 2 blocks and patches of 14 with 4 "
              "registers");
    EXPECT_FALSE(detector->is_customary());
  }
  StateDict without = meta;
  without.pop_back();
  test::save_state(dir / "without.pth", without);
  EXPECT_GT(test::relative_error(load_dinov2(dir / "without.pth")->features(pixels), expected),
            1e-2);
}

TEST(Dinov2Registers, OfOtherShapesAreAnError) {
  const test::TempDir dir;
  StateDict state = with_registers();
  state.back().second = at::ones({1, 4, 63});
  test::save_state(dir / "dino.pth", state);
  EXPECT_THROW(load_dinov2(dir / "dino.pth"), Error);
  state.back().second = at::ones({1, 0, 64});
  test::save_state(dir / "dino.pth", state);
  EXPECT_THROW(load_dinov2(dir / "dino.pth"), Error);
}

TEST(Dinov2Sizes, AreTold) {
  const test::TempDir dir;
  test::save_state(dir / "small.pth", test::random_dinov2(384, 12));
  const auto detector = load_dinov2(dir / "small.pth");
  EXPECT_EQ(detector->network_name(), "DINOv2 ViT-S/14");
  EXPECT_FALSE(detector->is_customary());
}

// Keys' cubic kernel with a = -1/2, stretched by the scale: rows that are all alike keep that.
TEST(DinoPositions, OfModelsWithRegistersAreAntialiased) {
  constexpr int64_t from = 37, to = 16;
  const Tensor row = at::sin(0.7 * at::arange(from, at::kDouble));
  const auto kernel = [](double t) {
    t = std::abs(t);
    if (t < 1) return 1.5 * t * t * t - 2.5 * t * t + 1;
    return t < 2 ? -0.5 * (t * t * t - 5 * t * t + 8 * t - 4) : 0.0;
  };
  const Tensor grid = row.to(at::kFloat).expand({from, from}).reshape({from * from, 1});
  const Tensor result =
      interpolate_positions(grid, to, PositionResize::antialiased).reshape({to, to});
  constexpr double scale = static_cast<double>(from) / to;
  for (int64_t i = 0; i < to; ++i) {
    const double center = scale * (static_cast<double>(i) + 0.5);
    double sum = 0, weights = 0;
    for (int64_t j = 0; j < from; ++j) {
      const double weight = kernel((static_cast<double>(j) + 0.5 - center) / scale);
      sum += weight * row[j].item<double>();
      weights += weight;
    }
    EXPECT_NEAR(result[3][i].item<double>(), sum / weights, 2e-3) << i;
  }
  EXPECT_GT(test::max_difference(result, interpolate_positions(grid, to).reshape({to, to})), 0.05);
}

// From the specification: a sine on the 37x37 grid that the published models store.
TEST(DinoPositions, AreInterpolatedWithTheOriginalsScale) {
  const Tensor grid = at::sin(0.37 * at::arange(37 * 37, at::kFloat));
  const Tensor result = interpolate_positions(grid.unsqueeze(1), 16).reshape({16, 16});
  const Tensor first = at::tensor({0.752030, 0.941276, 0.455444, -0.321954}),
               last = at::tensor({-0.316143, 0.488763, 0.972150, 0.786511});
  EXPECT_LT(test::max_difference(result[0].narrow(0, 0, 4), first), 2e-6);
  EXPECT_LT(test::max_difference(result[15].narrow(0, 12, 4), last), 2e-6);
}

TEST(DinoPositions, OfTheRightSizeStayAsTheyAre) {
  const Tensor positions = at::randn({256, 3});
  EXPECT_TRUE(at::equal(interpolate_positions(positions, 16), positions));
  EXPECT_THROW(interpolate_positions(at::randn({255, 3}), 16), Error);
}

TEST(Dinov2Golden, ResizesLikeTheOriginal) {
  EDM2_REQUIRE_REFERENCE();
  const NpzFile expected(reference() / "dino.npz");
  for (const std::string size : {"64", "256", "512"}) {
    const Tensor resized = preprocess_for_dinov2(
        load_picture(reference() / ("dino_input_" + size + ".png")), DinoResize::torch)[0];
    const int64_t step = size == "64" ? 2 : 4;
    const Tensor every = expected.get("resized_" + size + "_every4");
    EXPECT_LT(test::relative_error(resized.slice(1, 0, {}, step).slice(2, 0, {}, step), every),
              1e-5);
    EXPECT_LT(test::relative_error(resized.slice(1, 0, 8).slice(2, 0, 8),
                                   expected.get("resized_" + size + "_corner8")),
              1e-5);
    EXPECT_LT(test::relative_error(resized.slice(1, 216).slice(2, 216),
                                   expected.get("resized_" + size + "_lastcorner8")),
              1e-5);
    const double sum = resized.to(at::kDouble).sum().item<double>(),
                 squares = resized.to(at::kDouble).square().sum().item<double>();
    EXPECT_NEAR(squares / expected.get("resized_" + size + "_sumsq64").item<double>(), 1, 1e-6);
    EXPECT_NEAR(sum, expected.get("resized_" + size + "_sum64").item<double>(), 1e-5 * squares);
  }
}

TEST(Dinov2Golden, FeaturesEqualTheOriginals) {
  EDM2_REQUIRE_REFERENCE();
  const NpzFile expected(reference() / "dino.npz");
  for (const auto resize : {DinoResize::torch, DinoResize::pil}) {
    const auto detector =
        load_dinov2(reference() / "tiny_dinov2.pth", {.resize = resize, .num_heads = 2});
    EXPECT_EQ(detector->feature_dim(), 32);
    EXPECT_EQ(detector->name(), "DINOv2Detector");
    for (const std::string size : {"64", "256", "512"}) {
      const Tensor features =
          detector->features(load_picture(reference() / ("dino_input_" + size + ".png")));
      const std::string name = "features_" + size + (resize == DinoResize::pil ? "_pilresize" : "");
      EXPECT_LT(test::relative_error(features, expected.get(name)), 1e-4) << name;
    }
  }
}

TEST(Dinov2Golden, PositionsEqualTheOriginals) {
  EDM2_REQUIRE_REFERENCE();
  const NpzFile expected(reference() / "dino.npz");
  const StateDict state = read_weights(reference() / "tiny_dinov2.pth");
  const Tensor positions = find_tensor(state, "pos_embed")[0];
  EXPECT_LT(test::relative_error(interpolate_positions(positions.slice(0, 1), 16),
                                 expected.get("pos_embed_interpolated")[0].slice(0, 1)),
            1e-5);
}

}  // namespace edm2
