// Post-hoc EMA for any network: trains a small classifier, stores averages of its weights now and
// then, and asks afterwards which EMA length would have been best. No length in the table but two
// was ever computed during training.
#include <ATen/ATen.h>

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <numbers>

#include "edm2/core/error.h"
#include "edm2/ema/power_function.h"
#include "edm2/ema/snapshots.h"
#include "edm2/io/safetensors.h"

namespace {

using edm2::StateDict;
using edm2::Tensor;

constexpr int64_t batch = 16, total = 48 * 1024;  // samples
const std::vector<double> stored_lengths = {0.05, 0.10};

// Two spirals, blurred: points [n,2] and their classes [n].
std::pair<Tensor, Tensor> draw_samples(int64_t n) {
  const Tensor labels = at::randint(2, {n}, at::kLong);
  const Tensor t = at::rand({n}).sqrt() * 3 * std::numbers::pi;
  const Tensor angle = t + labels * std::numbers::pi;
  const Tensor points = at::stack({t * angle.cos(), t * angle.sin()}, 1) / 9;
  return {points + 0.07 * at::randn({n, 2}), labels};
}

// A perceptron with two hidden layers.
StateDict make_weights() {
  StateDict weights;
  const std::vector<int64_t> widths = {2, 64, 64, 2};
  for (size_t i = 0; i + 1 < widths.size(); ++i) {
    const double scale = std::sqrt(2.0 / static_cast<double>(widths[i]));
    weights.emplace_back("layer" + std::to_string(i) + ".weight",
                         at::randn({widths[i + 1], widths[i]}) * scale);
    weights.emplace_back("layer" + std::to_string(i) + ".bias", at::zeros({widths[i + 1]}));
  }
  return weights;
}

Tensor classify(const StateDict& weights, Tensor x) {
  for (size_t i = 0; i < weights.size(); i += 2) {
    x = at::linear(x, weights[i].second, weights[i + 1].second);
    if (i + 2 < weights.size()) x = at::relu(x);
  }
  return x;
}

double test_loss(const StateDict& weights) {
  at::manual_seed(1);
  const auto [points, labels] = draw_samples(8192);
  return at::cross_entropy_loss(classify(weights, points), labels).item<double>();
}

void train(StateDict& weights, const std::filesystem::path& folder) {
  for (auto& [name, tensor] : weights) tensor.requires_grad_(true);
  edm2::PowerFunctionEma ema(weights, stored_lengths);
  for (int64_t seen = batch; seen <= total; seen += batch) {
    const auto [points, labels] = draw_samples(batch);
    at::cross_entropy_loss(classify(weights, points), labels).backward();
    for (auto& [name, tensor] : weights) {
      Tensor value = tensor.detach();
      value.sub_(tensor.grad(), 0.3);  // a constant, large learning rate: EMA does the rest
      tensor.mutable_grad() = Tensor();
    }
    ema.update(weights, seen, batch);
    if (seen % (8 * 1024) != 0) continue;
    for (size_t i = 0; i < stored_lengths.size(); ++i) {
      const edm2::SnapshotName name{"classifier", edm2::kimg_from_nimg(seen), stored_lengths[i],
                                    edm2::SnapshotFormat::safetensors};
      edm2::save_safetensors(folder / name.file_name(), ema.weights(i));
    }
  }
  for (auto& [name, tensor] : weights) tensor.requires_grad_(false);
}

}  // namespace

int main(int argc, char** argv) try {
  const std::filesystem::path folder = argc > 1 ? argv[1] : "classifier-snapshots";
  std::filesystem::create_directories(folder);
  at::manual_seed(0);
  StateDict weights = make_weights();
  train(weights, folder);

  std::printf("EMA length   expected error   test loss\n");
  std::printf("       none                      %.4f\n", test_loss(weights));
  edm2::Snapshots snapshots(folder);
  for (const double length : {0.02, 0.05, 0.075, 0.10, 0.15, 0.20, 0.25})
    std::printf("      %.3f         %6.2f %%      %.4f\n", length,
                100 * snapshots.solve(length).error,
                test_loss(snapshots.reconstruct_tensors(length)));
} catch (const edm2::Error& error) {
  std::fprintf(stderr, "Error: %s\n", error.what());
  return 1;
}
