#include "support/small_models.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "edm2/ema/snapshot_name.h"
#include "edm2/io/npz.h"
#include "edm2/io/safetensors.h"
#include "edm2/nn/state_layout.h"

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

std::vector<Snapshot> write_snapshots(const std::filesystem::path& folder, int times,
                                      SnapshotFormat format) {
  std::filesystem::create_directories(folder);
  std::vector<Snapshot> snapshots;
  for (int time = 1; time <= times; ++time)
    for (const double std : {0.05, 0.1}) {
      snapshots.push_back(small_snapshot(/*label_dim=*/3, snapshots.size() + 1));
      const SnapshotName name{"network-snapshot", kimg_from_nimg(1024 * time), std, format};
      save_snapshot(folder / name.file_name(), snapshots.back(), format);
    }
  return snapshots;
}

Snapshot random_snapshot(const NetworkOptions& options, at::ScalarType dtype) {
  Snapshot snapshot;
  snapshot.network = options;
  for (const StateEntry& entry : state_layout(options))
    snapshot.tensors.emplace_back(entry.name, at::randn(entry.shape).to(dtype));
  snapshot.encoder.kind = EncoderOptions::Kind::stability_vae;
  snapshot.encoder.scale = {0.5f, 0.25f, 0.1f, 2};
  snapshot.encoder.bias = {0, -0.3f, 1, 2};
  snapshot.dataset = DatasetOptions{"datasets/tiny.zip", false};
  snapshot.loss = LossOptions{-0.8, 1.6, 0.5};
  return snapshot;
}

std::vector<std::string> describe_tensors(const Snapshot& snapshot) {
  const std::map<at::ScalarType, std::string> types = {{at::kHalf, "float16"},
                                                       {at::kFloat, "float32"},
                                                       {at::kDouble, "float64"},
                                                       {at::kBFloat16, "bfloat16"}};
  std::vector<std::string> lines;
  for (const auto& [name, tensor] : snapshot.tensors) {
    std::string shape;
    for (const int64_t size : tensor.sizes())
      shape += (shape.empty() ? "" : "x") + std::to_string(size);
    const auto crc = crc32(0, static_cast<const Bytef*>(tensor.const_data_ptr()),
                           static_cast<uInt>(tensor.nbytes()));
    lines.push_back(name + ' ' + types.at(tensor.scalar_type()) + ' ' +
                    (shape.empty() ? "scalar" : shape) + ' ' + std::to_string(crc));
  }
  return lines;
}

void expect_same_snapshot(const Snapshot& a, const Snapshot& b) {
  EXPECT_EQ(to_json(a.network), to_json(b.network));
  EXPECT_EQ(a.encoder, b.encoder);
  EXPECT_EQ(a.dataset, b.dataset);
  EXPECT_EQ(a.loss, b.loss);
  EXPECT_EQ(a.folded, b.folded);
  ASSERT_EQ(a.tensors.size(), b.tensors.size());
  for (size_t i = 0; i < a.tensors.size(); ++i) {
    const auto& [name, tensor] = a.tensors[i];
    EXPECT_EQ(name, b.tensors[i].first);
    EXPECT_EQ(tensor.scalar_type(), b.tensors[i].second.scalar_type()) << name;
    EXPECT_TRUE(at::equal(tensor, b.tensors[i].second)) << name;
  }
}

AutoencoderOptions small_autoencoder_options() {
  AutoencoderOptions options;
  options.block_out_channels = {8, 12, 16};
  options.layers_per_block = 1;
  options.norm_num_groups = 4;
  return options;
}

AutoencoderWeights small_autoencoder(const AutoencoderOptions& options, uint64_t seed) {
  at::manual_seed(seed);
  AutoencoderWeights weights{options, {}};
  for (const StateEntry& entry : autoencoder_layout(options)) {
    const at::IntArrayRef shape = entry.shape;
    Tensor value = at::randn(shape);
    if (shape.size() > 1)
      value.div_(std::sqrt(static_cast<double>(c10::multiply_integers(shape.slice(1)))));
    else
      value.mul_(0.2).add_(entry.name.ends_with(".weight") ? 1 : 0);
    weights.tensors.emplace_back(entry.name, value);
  }
  return weights;
}

void write_autoencoder(const std::filesystem::path& folder, const AutoencoderWeights& weights) {
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "config.json") << to_json(weights.options).dump(2);
  save_safetensors(folder / "diffusion_pytorch_model.safetensors", weights.tensors);
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

void write_dataset(const std::filesystem::path& folder, const Tensor& images,
                   const nlohmann::json& labels) {
  std::filesystem::create_directories(folder);
  nlohmann::json list = nlohmann::json::array();
  for (int64_t i = 0; i < images.size(0); ++i) {
    char name[32];
    std::snprintf(name, sizeof name, "img%03d.npy", static_cast<int>(i));
    std::ofstream(folder / name, std::ios::binary) << npy_bytes(images[i].contiguous());
    if (!labels.is_null()) list.push_back({name, labels.at(static_cast<size_t>(i))});
  }
  nlohmann::json root;
  root["labels"] = labels.is_null() ? nlohmann::json() : list;
  std::ofstream(folder / "dataset.json") << root.dump();
}

}  // namespace edm2::test
