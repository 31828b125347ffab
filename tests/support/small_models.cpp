#include "support/small_models.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "edm2/io/npz.h"

namespace edm2::test {

NetworkOptions tiny_options(int64_t label_dim, int64_t resolution, int64_t channels) {
  NetworkOptions options;
  options.img_resolution = resolution;
  options.label_dim = label_dim;
  options.model_channels = channels;
  options.channel_mult = {1, 2};
  options.num_blocks = 1;
  options.attn_resolutions = {resolution / 2};
  options.channels_per_head = channels;
  return options;
}

Snapshot small_snapshot(int64_t label_dim, uint64_t seed, int64_t resolution) {
  at::manual_seed(seed);
  Precond network(tiny_options(label_dim, resolution));
  for (auto& entry : network.named_parameters())
    if (entry.name.ends_with("gain")) entry.tensor->fill_(0.7);
  return make_snapshot(network);
}

void expect_same_snapshot(const Snapshot& a, const Snapshot& b) {
  EXPECT_EQ(to_json(a.network), to_json(b.network));
  EXPECT_EQ(a.encoder, b.encoder);
  EXPECT_EQ(a.dataset, b.dataset);
  EXPECT_EQ(a.loss, b.loss);
  ASSERT_EQ(a.tensors.size(), b.tensors.size());
  for (size_t i = 0; i < a.tensors.size(); ++i) {
    const auto& [name, tensor] = a.tensors[i];
    EXPECT_EQ(name, b.tensors[i].first);
    EXPECT_EQ(tensor.scalar_type(), b.tensors[i].second.scalar_type()) << name;
    EXPECT_TRUE(at::equal(tensor, b.tensors[i].second)) << name;
  }
}

void write_small_dataset(const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  nlohmann::json labels = nlohmann::json::array();
  for (int i = 0; i < 10; ++i) {
    Tensor image = at::empty({3, 8, 8}, at::kByte);
    for (int c = 0; c < 3; ++c)
      for (int y = 0; y < 8; ++y)
        for (int x = 0; x < 8; ++x) image[c][y][x] = (37 * i + 11 * c + 5 * y + 3 * x) % 256;
    char name[32];
    std::snprintf(name, sizeof name, "img%03d.npy", i);
    std::ofstream(folder / name, std::ios::binary) << npy_bytes(image);
    labels.push_back({name, i % 3});
  }
  std::ofstream(folder / "dataset.json") << nlohmann::json{{"labels", labels}}.dump();
}

}  // namespace edm2::test
