// The autoencoder's arithmetic: against the original's numbers, and against a plain computation.
#include "edm2/nn/autoencoder_kl.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>

#include "edm2/core/error.h"
#include "support/golden.h"
#include "support/small_models.h"

namespace edm2 {
namespace {

using test::relative_error;

/// The definition, step by step: plain libtorch operations on whole batches.
class PlainAutoencoder {
 public:
  PlainAutoencoder(AutoencoderWeights weights, at::ScalarType dtype)
      : weights_(std::move(weights)) {
    for (auto& [name, tensor] : weights_.tensors) tensor = tensor.to(dtype);
  }

  Tensor moments(Tensor x) const {
    const AutoencoderOptions& o = weights_.options;
    x = conv("encoder.conv_in", x);
    for (size_t i = 0; i < o.block_out_channels.size(); ++i) {
      const std::string level = "encoder.down_blocks." + std::to_string(i);
      for (int64_t j = 0; j < o.layers_per_block; ++j)
        x = block(level + ".resnets." + std::to_string(j), x);
      if (i + 1 < o.block_out_channels.size())
        x = at::conv2d(at::constant_pad_nd(x, {0, 1, 0, 1}),
                       get(level + ".downsamplers.0.conv.weight"),
                       get(level + ".downsamplers.0.conv.bias"), 2);
    }
    x = conv("encoder.conv_out", at::silu(norm("encoder.conv_norm_out", mid("encoder", x))));
    return o.use_quant_conv ? conv("quant_conv", x) : x;
  }

  Tensor decode(Tensor x) const {
    const AutoencoderOptions& o = weights_.options;
    if (o.use_post_quant_conv) x = conv("post_quant_conv", x);
    x = mid("decoder", conv("decoder.conv_in", x));
    for (size_t i = 0; i < o.block_out_channels.size(); ++i) {
      const std::string level = "decoder.up_blocks." + std::to_string(i);
      for (int64_t j = 0; j <= o.layers_per_block; ++j)
        x = block(level + ".resnets." + std::to_string(j), x);
      if (i + 1 < o.block_out_channels.size())
        x = conv(level + ".upsamplers.0.conv", x.repeat_interleave(2, 2).repeat_interleave(2, 3));
    }
    return conv("decoder.conv_out", at::silu(norm("decoder.conv_norm_out", x)));
  }

 private:
  Tensor get(const std::string& name) const { return find_tensor(weights_.tensors, name); }
  Tensor conv(const std::string& name, const Tensor& x) const {
    const Tensor weight = get(name + ".weight");
    return at::conv2d(x, weight, get(name + ".bias"), 1, weight.size(2) / 2);
  }
  Tensor norm(const std::string& name, const Tensor& x) const {
    return at::group_norm(x, weights_.options.norm_num_groups, get(name + ".weight"),
                          get(name + ".bias"), 1e-6);
  }
  Tensor block(const std::string& name, const Tensor& x) const {
    Tensor y = conv(name + ".conv1", at::silu(norm(name + ".norm1", x)));
    y = conv(name + ".conv2", at::silu(norm(name + ".norm2", y)));
    return y +
           (get(name + ".conv_shortcut.weight").defined() ? conv(name + ".conv_shortcut", x) : x);
  }
  Tensor attention(const std::string& name, const Tensor& x) const {
    const auto linear = [&](const char* layer, const Tensor& y) {
      return at::linear(y, get(name + layer + ".weight"), get(name + layer + ".bias"));
    };
    const Tensor y = norm(name + ".group_norm", x).flatten(2).transpose(1, 2);  // [N, HW, C]
    const double root = std::sqrt(static_cast<double>(x.size(1)));
    const Tensor weights =
        linear(".to_q", y).matmul(linear(".to_k", y).transpose(1, 2)).div(root).softmax(2);
    return x + linear(".to_out.0", weights.matmul(linear(".to_v", y)))
                   .transpose(1, 2)
                   .reshape(x.sizes());
  }
  Tensor mid(const std::string& part, Tensor x) const {
    const std::string name = part + ".mid_block.";
    x = block(name + "resnets.0", x);
    if (weights_.options.mid_block_add_attention) x = attention(name + "attentions.0", x);
    return block(name + "resnets.1", x);
  }

  AutoencoderWeights weights_;
};

AutoencoderKL reference_vae() { return AutoencoderKL(load_autoencoder(test::data_dir() / "vae")); }

}  // namespace

TEST(AutoencoderGolden, EncodesAsTheOriginal) {
  const NpzFile expected(test::data_dir() / "vae" / "vae.npz");
  AutoencoderKL vae = reference_vae();
  const Tensor x = expected.get("x").to(at::kFloat).div(255);
  for (const int64_t strip_bytes : {vae.strip_bytes, int64_t{20'000}}) {
    vae.strip_bytes = strip_bytes;
    const auto posterior = vae.encode(x);
    EXPECT_LE(relative_error(posterior.mean, expected.get("mean")), 1e-5);
    EXPECT_LE(relative_error(posterior.std, expected.get("std")), 1e-5);
    EXPECT_LE(relative_error(vae.moments(x.narrow(0, 0, 1)).narrow(1, 4, 4),
                             expected.get("logvar_first")),
              1e-5);
  }
}

TEST(AutoencoderGolden, DecodesAsTheOriginal) {
  const NpzFile expected(test::data_dir() / "vae" / "vae.npz");
  AutoencoderKL vae = reference_vae();
  const Tensor z = (expected.get("encode_latents") - expected.get("bias").reshape({1, -1, 1, 1})) /
                   expected.get("scale").reshape({1, -1, 1, 1});
  for (const int64_t strip_bytes : {vae.strip_bytes, int64_t{20'000}}) {
    vae.strip_bytes = strip_bytes;
    EXPECT_LE(relative_error(vae.decode(z), expected.get("decode_float")), 1e-5);
  }
}

RC_GTEST_PROP(AutoencoderProperty, EqualsThePlainComputation, ()) {
  AutoencoderOptions options;
  options.norm_num_groups = *rc::gen::element<int64_t>(1, 2, 4);
  options.block_out_channels.clear();
  const int levels = *rc::gen::inRange(1, 4);
  for (int i = 0; i < levels; ++i)
    options.block_out_channels.push_back(options.norm_num_groups *
                                         *rc::gen::inRange<int64_t>(1, 4));
  options.layers_per_block = *rc::gen::inRange<int64_t>(1, 3);
  options.latent_channels = *rc::gen::inRange<int64_t>(1, 5);
  options.mid_block_add_attention = *rc::gen::arbitrary<bool>();
  options.use_quant_conv = *rc::gen::arbitrary<bool>();
  options.use_post_quant_conv = *rc::gen::arbitrary<bool>();
  const AutoencoderWeights weights =
      test::small_autoencoder(options, *rc::gen::inRange<uint64_t>(0, 1000));
  const int64_t n = *rc::gen::inRange<int64_t>(1, 3), h = *rc::gen::inRange<int64_t>(3, 5),
                w = *rc::gen::inRange<int64_t>(3, 5), f = options.downscale();
  const Tensor x = at::rand({n, 3, h * f, w * f}),
               z = at::randn({n, options.latent_channels, h, w});
  // Normalising a few numbers that happen to be nearly equal makes anyone's rounding errors large.
  const PlainAutoencoder exact(weights, at::kDouble), plain(weights, at::kFloat);
  const Tensor moments = exact.moments(x.to(at::kDouble)),
               decoded = exact.decode(z.to(at::kDouble));
  const double moments_limit = std::max(1e-5, 5 * relative_error(plain.moments(x), moments));
  const double decoded_limit = std::max(1e-5, 5 * relative_error(plain.decode(z), decoded));

  AutoencoderKL vae(weights);
  // Everything at once, and strips of a few rows.
  for (const int64_t strip_bytes : {int64_t{1} << 40, int64_t{1000}}) {
    vae.strip_bytes = strip_bytes;
    RC_ASSERT(relative_error(vae.moments(x), moments) < moments_limit);
    RC_ASSERT(relative_error(vae.decode(z), decoded) < decoded_limit);
  }
}

TEST(Autoencoder, StripsChangeNothing) {
  AutoencoderOptions options = test::small_autoencoder_options();
  AutoencoderKL vae(test::small_autoencoder(options));
  const Tensor x = at::rand({1, 3, 128, 96}), z = at::randn({1, 4, 32, 24});
  vae.strip_bytes = int64_t{1} << 40;
  const Tensor moments = vae.moments(x), decoded = vae.decode(z);
  vae.strip_bytes = 30'000;
  EXPECT_LE(relative_error(vae.moments(x), moments), 1e-6);
  EXPECT_LE(relative_error(vae.decode(z), decoded), 1e-6);
}

TEST(Autoencoder, APictureDoesNotDependOnItsBatch) {
  const AutoencoderKL vae(test::small_autoencoder(test::small_autoencoder_options()));
  const Tensor x = at::rand({5, 3, 32, 32}), z = at::randn({5, 4, 8, 8});
  const Tensor moments = vae.moments(x), decoded = vae.decode(z);
  for (int64_t i = 0; i < 5; ++i) {
    EXPECT_TRUE(at::equal(vae.moments(x.narrow(0, i, 1)), moments.narrow(0, i, 1)));
    EXPECT_TRUE(at::equal(vae.decode(z.narrow(0, i, 1)), decoded.narrow(0, i, 1)));
  }
}

TEST(Autoencoder, InputsStayAsTheyAre) {
  AutoencoderOptions options = test::small_autoencoder_options();
  options.use_post_quant_conv = false;
  const AutoencoderKL vae(test::small_autoencoder(options));
  const Tensor x = at::rand({1, 3, 16, 16}), z = at::randn({1, 4, 4, 4});
  const Tensor x_before = x.clone(), z_before = z.clone();
  EXPECT_TRUE(at::equal(vae.moments(x), vae.moments(x)));
  EXPECT_TRUE(at::equal(vae.decode(z), vae.decode(z)));
  EXPECT_TRUE(at::equal(x, x_before));
  EXPECT_TRUE(at::equal(z, z_before));
}

TEST(Autoencoder, TheDeviationIsBounded) {
  AutoencoderWeights weights = test::small_autoencoder(test::small_autoencoder_options());
  for (auto& [name, tensor] : weights.tensors)
    if (name == "quant_conv.bias") tensor = at::tensor({0.f, 0.f, 0.f, 0.f, 1e3f, -1e3f, 0.f, 0.f});
  const Tensor std = AutoencoderKL(weights).encode(at::rand({1, 3, 8, 8})).std;
  EXPECT_TRUE(at::allclose(std.select(1, 0), at::full({}, std::exp(10.0))));
  EXPECT_TRUE(at::allclose(std.select(1, 1), at::full({}, std::exp(-15.0)), 1e-5, 0));
}

TEST(Autoencoder, LayoutOfThePublishedModel) {
  const auto layout = autoencoder_layout({});
  EXPECT_EQ(layout.size(), 248u);
  int64_t count = 0;
  for (const StateEntry& entry : layout) {
    int64_t numel = 1;
    for (const int64_t size : entry.shape) numel *= size;
    count += numel;
  }
  EXPECT_EQ(count, 83'653'863);
}

}  // namespace edm2
