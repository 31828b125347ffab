#include "train/layer_norms.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "support/small_models.h"

namespace edm2 {

TEST(LayerNorms, GroupsByTheOriginalsNames) {
  EXPECT_EQ(layer_group("unet.emb_noise.weight"), "emb");
  EXPECT_EQ(layer_group("unet.emb_label.weight"), "emb");
  EXPECT_EQ(layer_group("unet.enc.64x64_conv.weight"), "enc.64x64");
  EXPECT_EQ(layer_group("unet.enc.8x8_block0.attn_qkv.weight"), "enc.8x8");
  EXPECT_EQ(layer_group("unet.dec.16x16_in0.emb_gain"), "dec.16x16");
  EXPECT_EQ(layer_group("unet.out_conv.weight"), "out");
  EXPECT_EQ(layer_group("unet.out_gain"), "out");
  EXPECT_EQ(layer_group("logvar_linear.weight"), "logvar");
}

TEST(LayerNorms, EqualNormsOfTheTensorsPutTogether) {
  at::manual_seed(3);
  Precond network(test::tiny_options(3));
  Statistics statistics;
  LayerNorms(network).report_weights(network, statistics);
  std::map<std::string, double> squares;
  for (const auto& parameter : network.named_parameters()) {
    const double square = parameter.tensor->to(at::kDouble).square().sum().item<double>();
    squares["WeightNorm/total"] += square;
    squares["WeightNorm/" + layer_group(parameter.name)] += square;
  }
  const NamedValues norms = statistics.take_means();
  std::vector<std::string> names;
  for (const auto& [name, norm] : norms) {
    names.push_back(name);
    EXPECT_NEAR(norm, std::sqrt(squares.at(name)), 1e-6 * norm) << name;
  }
  EXPECT_EQ(names, (std::vector<std::string>{"WeightNorm/total", "WeightNorm/out", "WeightNorm/emb",
                                             "WeightNorm/enc.8x8", "WeightNorm/enc.4x4",
                                             "WeightNorm/dec.4x4", "WeightNorm/dec.8x8",
                                             "WeightNorm/logvar"}));
}

}  // namespace edm2
