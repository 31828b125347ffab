#include "support/detector_weights.h"

#include <ATen/ATen.h>

#include <cmath>

#include "edm2/io/torch_file.h"
#include "metrics/inception_weights.h"
#include "support/paths.h"

namespace edm2::test {

StateDict random_inception(uint64_t seed) {
  at::manual_seed(seed);
  StateDict state;
  for (const InceptionConv& conv : inception_convs()) {
    const auto fan_in = static_cast<double>(conv.in * conv.kernel_h * conv.kernel_w);
    const std::string name = conv.torch_name + ".";
    state.emplace_back(
        name + "conv.weight",
        at::randn({conv.out, conv.in, conv.kernel_h, conv.kernel_w}) * std::sqrt(2 / fan_in));
    state.emplace_back(name + "bn.weight", at::rand({conv.out}) * 0.6 + 0.7);
    state.emplace_back(name + "bn.bias", at::randn({conv.out}) * 0.2);
    state.emplace_back(name + "bn.running_mean", at::randn({conv.out}) * 0.2);
    state.emplace_back(name + "bn.running_var", at::rand({conv.out}) * 0.6 + 0.7);
    state.emplace_back(name + "bn.num_batches_tracked", at::zeros({}, at::kLong));
  }
  state.emplace_back("fc.weight", at::randn({1008, 2048}) * 0.02);
  state.emplace_back("fc.bias", at::randn({1008}) * 0.02);
  return state;
}

StateDict random_dinov2(int64_t dim, int64_t depth, uint64_t seed) {
  at::manual_seed(seed);
  StateDict state;
  const auto linear = [&](const std::string& name, int64_t in, int64_t out) {
    state.emplace_back(name + ".weight", at::randn({out, in}) / std::sqrt(static_cast<double>(in)));
    state.emplace_back(name + ".bias", at::randn({out}) * 0.1);
  };
  const auto norm = [&](const std::string& name) {
    state.emplace_back(name + ".weight", at::rand({dim}) + 0.5);
    state.emplace_back(name + ".bias", at::randn({dim}) * 0.1);
  };
  state.emplace_back("cls_token", at::randn({1, 1, dim}));
  state.emplace_back("pos_embed", at::randn({1, 257, dim}) * 0.5);
  state.emplace_back("mask_token", at::randn({1, dim}));
  state.emplace_back("patch_embed.proj.weight", at::randn({dim, 3, 14, 14}) * 0.05);
  state.emplace_back("patch_embed.proj.bias", at::randn({dim}) * 0.1);
  for (int64_t i = 0; i < depth; ++i) {
    const std::string block = "blocks." + std::to_string(i) + ".";
    norm(block + "norm1");
    linear(block + "attn.qkv", dim, 3 * dim);
    linear(block + "attn.proj", dim, dim);
    state.emplace_back(block + "ls1.gamma", at::rand({dim}) + 0.2);
    norm(block + "norm2");
    linear(block + "mlp.fc1", dim, 4 * dim);
    linear(block + "mlp.fc2", 4 * dim, dim);
    state.emplace_back(block + "ls2.gamma", at::rand({dim}) + 0.2);
  }
  norm("norm");
  return state;
}

void save_state(const std::filesystem::path& path, const StateDict& state) {
  save_torch_file(path, to_pickle(state));
}

const std::filesystem::path& shared_inception_file() {
  static const TempDir dir;
  static const std::filesystem::path file = [] {
    const auto path = dir / "inception.pth";
    save_state(path, random_inception());
    return path;
  }();
  return file;
}

const std::filesystem::path& shared_dinov2_file() {
  static const TempDir dir;
  static const std::filesystem::path file = [] {
    const auto path = dir / "dinov2.pth";
    save_state(path, random_dinov2());
    return path;
  }();
  return file;
}

}  // namespace edm2::test
