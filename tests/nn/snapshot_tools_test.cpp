#include "edm2/nn/snapshot_tools.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "edm2/core/error.h"
#include "edm2/io/npz.h"
#include "edm2/nn/network.h"
#include "support/golden.h"
#include "support/small_models.h"

namespace edm2 {
namespace {

Tensor& tensor_of(Snapshot& snapshot, const std::string& wanted) {
  for (auto& [name, tensor] : snapshot.tensors)
    if (name == wanted) return tensor;
  throw std::runtime_error(wanted);
}

TEST(ChangePrecision, CountsWhatChanges) {
  Snapshot snapshot = test::random_snapshot(test::tiny_options(3), at::kFloat);
  for (auto& [name, tensor] : snapshot.tensors) tensor.zero_();
  constexpr float inf = std::numeric_limits<float>::infinity();
  tensor_of(snapshot, "unet.emb_fourier.freqs")
      .narrow(0, 0, 8)
      .copy_(at::tensor({1.f, 0.1f, 65504.f, 65530.f, 1e-9f, -1e-9f, inf, std::nanf("")}));
  int64_t values = 0;
  for (const auto& [name, tensor] : snapshot.tensors) values += tensor.numel();

  Snapshot half = snapshot;
  const RoundingReport report = change_precision(half, at::kHalf);
  EXPECT_EQ(report.values, values);
  EXPECT_EQ(report.rounded, 4);  // 0.1, 65530 and both tiny ones
  EXPECT_EQ(report.underflowed, 2);
  EXPECT_EQ(report.overflowed, 1);
  EXPECT_EQ(report.first_overflow, "unet.emb_fourier.freqs");
  for (const auto& [name, tensor] : half.tensors) EXPECT_EQ(tensor.scalar_type(), at::kHalf);

  Snapshot brain = snapshot;
  const RoundingReport other = change_precision(brain, at::kBFloat16);
  EXPECT_EQ(other.overflowed, 0);
  EXPECT_EQ(other.underflowed, 0);
  EXPECT_EQ(other.rounded, 5);  // 0.1, 65504, 65530 and both tiny ones
  // Between the small types, through the wider one.
  Snapshot mixed = half;
  tensor_of(mixed, "unet.emb_fourier.freqs").narrow(0, 2, 2).zero_();
  EXPECT_EQ(change_precision(mixed, at::kBFloat16).rounded, 1);  // float16's 0.1

  // Doubles are compared as such.
  Snapshot wide = test::random_snapshot(test::tiny_options(3), at::kDouble);
  tensor_of(wide, "unet.out_gain").fill_(1 + 1e-12);
  EXPECT_GE(change_precision(wide, at::kFloat).rounded, 1);
  const Snapshot same = wide;
  EXPECT_EQ(change_precision(wide, at::kFloat).rounded, 0);
  test::expect_same_snapshot(wide, same);
}

TEST(Differences, FindsEveryKind) {
  const Snapshot a = test::random_snapshot(test::tiny_options(3));
  EXPECT_TRUE(differences(a, a).empty());
  const auto expect_found = [&](const std::function<void(Snapshot&)>& change,
                                const std::string& text) {
    Snapshot b = a;
    change(b);
    const auto found = differences(a, b);
    ASSERT_EQ(found.size(), 1u) << text;
    EXPECT_NE(found[0].find(text), std::string::npos) << found[0];
  };
  expect_found([](auto& b) { b.network.dropout = 0.25; }, "dropout");
  expect_found([](auto& b) { b.network.clip_act.reset(); }, "clip_act");
  expect_found([](auto& b) { b.encoder = {}; }, "encoder");
  expect_found([](auto& b) { b.dataset.reset(); }, "dataset");
  expect_found([](auto& b) { b.loss->P_mean += 1e-9; }, "loss");
  expect_found([](auto& b) { b.folded = true; }, "folded");
  expect_found([](auto& b) { b.tensors.pop_back(); }, "tensors");
  expect_found([](auto& b) { b.tensors[3].first = "x"; }, "x");
  expect_found([](auto& b) { b.tensors[3].second = b.tensors[3].second.to(at::kFloat); }, "Float");
  expect_found([](auto& b) { b.tensors[3].second = b.tensors[3].second.t(); }, "shapes");
  // 0 and -0 are equal numbers of different bits; NaN is not equal to itself but the same bits.
  Snapshot b = a, c = a;
  b.tensors[0].second = at::zeros({}, at::kHalf);
  c.tensors[0].second = at::zeros({}, at::kHalf).neg();
  EXPECT_EQ(differences(b, c).size(), 1u);
  b.tensors[0].second = c.tensors[0].second = at::full({}, std::nan(""), at::kHalf);
  EXPECT_TRUE(differences(b, c).empty());
}

// ---- Folding

// The network written down once more, with plain convolutions and matrix products and without any
// code of the library: what another program has to do with folded weights.
class PlainNetwork {
 public:
  explicit PlainNetwork(const Snapshot& folded) : s_(folded) {}

  Tensor denoise(const Tensor& x, const Tensor& sigma_in, const Tensor& labels) const {
    const Tensor sigma = sigma_in.reshape({-1, 1, 1, 1});
    const double sd = s_.network.sigma_data;
    const Tensor variance = sigma * sigma + sd * sd;
    const Tensor f = unet(x / variance.sqrt(), sigma.flatten().log() / 4, labels);
    return x * (sd * sd) / variance + sigma * sd / variance.sqrt() * f;
  }

 private:
  Tensor get(const std::string& name) const { return find_tensor(s_.tensors, name); }
  Tensor conv(const std::string& name, const Tensor& x) const {
    const Tensor w = get(name + ".weight");
    return w.defined() ? at::conv2d(x, w, {}, 1, w.size(2) / 2) : x;
  }
  Tensor linear(const std::string& name, const Tensor& x) const {
    return x.matmul(get(name + ".weight").t());
  }
  static Tensor silu(const Tensor& x) { return x * x.sigmoid() / 0.596; }
  static Tensor sum(const Tensor& a, const Tensor& b, double t) {
    return (a * (1 - t) + b * t) / std::hypot(1 - t, t);
  }
  static Tensor unit(const Tensor& x, int64_t dim) {
    return x / (x.square().mean(dim, true).sqrt() + 1e-4);
  }

  Tensor unet(const Tensor& x_in, const Tensor& noise, const Tensor& labels) const {
    const NetworkOptions& o = s_.network;
    const Tensor phase = at::outer(noise, get("unet.emb_fourier.freqs"));
    const Tensor features = (phase + get("unet.emb_fourier.phases")).cos() * std::sqrt(2.0);
    Tensor emb = linear("unet.emb_noise", features);
    if (o.label_dim > 0)
      emb = sum(emb, linear("unet.emb_label", labels * std::sqrt(static_cast<double>(o.label_dim))),
                o.label_balance);
    emb = silu(emb);

    Tensor x = at::cat({x_in, at::ones_like(x_in.narrow(1, 0, 1))}, 1);
    std::vector<Tensor> skips;
    for (const std::string& name : layers("unet.enc.")) {
      x = name.ends_with("_conv") ? conv(name, x) : block(name, x, emb, true);
      skips.push_back(x);
    }
    for (const std::string& name : layers("unet.dec.")) {
      if (name.find("block") != std::string::npos) {
        const Tensor skip = skips.back();
        skips.pop_back();
        const double t = o.concat_balance, na = x.size(1), nb = skip.size(1);
        const double c = std::sqrt((na + nb) / ((1 - t) * (1 - t) + t * t));
        x = at::cat({x * (c / std::sqrt(na) * (1 - t)), skip * (c / std::sqrt(nb) * t)}, 1);
      }
      x = block(name, x, emb, false);
    }
    return conv("unet.out_conv", x);
  }

  // "unet.enc.8x8_conv", ... in order.
  std::vector<std::string> layers(const std::string& part) const {
    std::vector<std::string> names;
    for (const auto& [name, tensor] : s_.tensors) {
      if (!name.starts_with(part)) continue;
      const std::string layer = name.substr(0, name.find('.', part.size()));
      if (names.empty() || names.back() != layer) names.push_back(layer);
    }
    return names;
  }

  Tensor block(const std::string& name, Tensor x, const Tensor& emb, bool encoder) const {
    if (name.ends_with("_down")) x = at::avg_pool2d(x, 2);
    if (name.ends_with("_up")) x = x.repeat_interleave(2, 2).repeat_interleave(2, 3);
    if (encoder) x = unit(conv(name + ".conv_skip", x), 1);
    Tensor y = conv(name + ".conv_res0", silu(x));
    const Tensor scale = linear(name + ".emb_linear", emb) + 1;
    y = conv(name + ".conv_res1", silu(y * scale.unsqueeze(2).unsqueeze(3)));
    if (!encoder) x = conv(name + ".conv_skip", x);
    x = sum(x, y, s_.network.res_balance);
    if (get(name + ".attn_qkv.weight").defined())
      x = sum(x, attention(name, x), s_.network.attn_balance);
    const double limit = s_.network.clip_act.value_or(1e30);
    return x.clamp(-limit, limit);
  }

  Tensor attention(const std::string& name, const Tensor& x) const {
    const int64_t n = x.size(0), c = x.size(1), heads = c / s_.network.channels_per_head;
    const auto qkv =
        unit(conv(name + ".attn_qkv", x).reshape({n, heads, c / heads, 3, -1}), 2).unbind(3);
    const Tensor w =
        qkv[0].mT().matmul(qkv[1]).div(std::sqrt(static_cast<double>(c / heads))).softmax(-1);
    const Tensor y = qkv[2].matmul(w.mT());  // [N, heads, d, HW]
    return conv(name + ".attn_proj", y.reshape(x.sizes()));
  }

  const Snapshot& s_;
};

struct Inputs {
  Tensor x, sigma, labels;
};

Inputs inputs_for(const NetworkOptions& options) {
  at::manual_seed(1);
  Inputs in;
  in.sigma = at::tensor({0.3f, 5.f});
  in.x = at::randn({2, options.img_channels, options.img_resolution, options.img_resolution});
  if (options.label_dim > 0) in.labels = at::rand({2, options.label_dim});
  return in;
}

TEST(Fold, PlainLayersGiveTheSameOutputs) {
  for (const int64_t label_dim : {0, 3}) {
    const Snapshot snapshot = test::small_snapshot(label_dim);
    Snapshot unfolded = snapshot;
    change_precision(unfolded, at::kFloat);
    const Snapshot folded = fold(snapshot);
    const auto [x, sigma, labels] = inputs_for(snapshot.network);
    Precond original(snapshot), ours(folded);
    const Tensor expected = original.denoise(x, sigma, labels);
    // Our own network with folded weights does the same operations but for the normalisation.
    EXPECT_TRUE(ours.denoise(x, sigma, labels).equal(expected));
    const Tensor plain = PlainNetwork(folded).denoise(x, sigma, labels);
    EXPECT_LE(test::relative_error(plain, expected), 2e-6);
    // Which is not so without folding.
    EXPECT_GT(test::relative_error(PlainNetwork(unfolded).denoise(x, sigma, labels), expected), 1);
  }
}

TEST(Fold, GainsAreOneAndTypesFloat32) {
  const Snapshot snapshot = test::small_snapshot(3);
  const Snapshot folded = fold(snapshot);
  EXPECT_TRUE(folded.folded);
  for (const auto& [name, tensor] : folded.tensors) {
    EXPECT_EQ(tensor.scalar_type(), at::kFloat) << name;
    if (name.ends_with("_gain")) {
      EXPECT_EQ(tensor.item<float>(), 1) << name;
    }
  }
  EXPECT_THROW(fold(folded), Error);
}

TEST(Fold, TheUncertaintyHeadIsFoldedToo) {
  const Snapshot snapshot = test::small_snapshot(0);
  const auto [x, sigma, labels] = inputs_for(snapshot.network);
  Precond original(snapshot), folded(fold(snapshot));
  EXPECT_TRUE(folded.forward(x, sigma, labels, true)
                  .logvar.equal(original.forward(x, sigma, labels, true).logvar));
}

TEST(Fold, FoldedNetworksCannotBeTrained) {
  const Snapshot folded = fold(test::small_snapshot(0));
  const auto [x, sigma, labels] = inputs_for(folded.network);
  Precond network(folded);
  EXPECT_TRUE(make_snapshot(network).folded);
  network.context.training = true;
  EXPECT_THROW(network.forward(x, sigma, labels), c10::Error);
}

TEST(FoldGolden, PlainLayersGiveTheOriginalsOutputs) {
  EDM2_REQUIRE_REFERENCE();
  const auto folder = test::reference_dir() / "denoiser";
  for (const std::string name :
       {"rgb16_cond", "rgb16_uncond", "rgb8_multihead", "lat8_cond_drop"}) {
    const Snapshot snapshot = load_snapshot(folder / (name + ".pkl"));
    const NpzFile values(folder / (name + ".npz"));
    const Tensor labels = values.contains("labels") ? values.get("labels") : Tensor();
    const Snapshot folded = fold(snapshot);
    if (snapshot.network.resample_filter == std::vector<double>{1, 1}) {
      const Tensor plain =
          PlainNetwork(folded).denoise(values.get("x"), values.get("sigma"), labels);
      EXPECT_LE(test::relative_error(plain, values.get("D_x")), 1e-5) << name;
    }
    const Tensor ours = Precond(folded).denoise(values.get("x"), values.get("sigma"), labels);
    EXPECT_LE(test::relative_error(ours, values.get("D_x")), 1e-5) << name;
  }
}

}  // namespace
}  // namespace edm2
