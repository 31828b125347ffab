// The folded network on the CPU: oneDNN's convolutions in channels-last order, own passes between.
#pragma once

#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "edm2/core/tensor.h"
#include "edm2/engine/engine.h"
#include "engine/activation_arena.h"
#include "engine/activations.h"
#include "engine/compact_weights.h"
#include "engine/folded_network.h"
#include "engine/winograd.h"
#include "nn/fused_layers.h"

namespace edm2 {

/// F(c_in x; c_noise, label) of arXiv 2312.02696, image by image.
///
/// A batch is shared out as whole images, one thread for each, so that the activations of an image
/// stay in one processor's cache; images that are left over are computed by all threads together.
/// An image gets the same bits in either way.
///
/// In float32, layers whose weights are larger than their images keep float16 weights as float16
/// (CompactWeights) and make them float32 for a few images at a time, which go through these layers
/// side by side.
class CpuNetwork {
 public:
  /// dtype: of the activations, float32 or bfloat16. In float32, EngineKind::fast computes large
  /// 3x3 convolutions by Winograd's algorithm, int8 keeps weights in 8 bits.
  CpuNetwork(StoredSnapshot snapshot, c10::ScalarType dtype, EngineKind kind);

  /// x[N,C,R,R] float32; sigma[N] or [1], labels[N,K] or [1,K], or undefined where the network has
  /// none: float32. Returns D(x; sigma) [N,C,R,R] float32.
  Tensor denoise(const Tensor& x, const Tensor& sigma, const Tensor& labels) const;

 private:
  struct CompactConv;
  struct Layer {
    BlockPlan plan;
    bool encoder = false;
    std::optional<FusedConv> conv, res0, res1, skip, qkv, proj;
    std::optional<WinogradConv> fast_res0, fast_res1;  // instead of res0, res1
    std::vector<CompactConv> compact;                  // what must be expanded first
    bool phases = false;     // res0 works on the small image, in four phases
    int64_t modulation = 0;  // where its c begins in a row of modulations
    float keep = 1, cat_x = 1, cat_skip = 1;
  };
  struct CompactConv {
    CompactWeights weights;
    std::optional<FusedConv> Layer::*conv;
    float* expanded;  // in expanded_
  };
  /// What an image is evaluated with.
  struct Condition {
    float c_in, c_skip, c_out;
    const float* modulations;
  };
  struct Conditions {
    Tensor modulations;  // [rows, modulations_], which the images point into
    std::vector<Condition> of_images;
  };

  Layer make_layer(const FoldedBlock& block, WeightPacker& packer) const;
  FusedConv make_conv(const Tensor& weight, int64_t size, int64_t padding) const;
  void share_expanded_memory();
  static void expand(const Layer& layer);
  /// All modulations c of all layers, [rows, modulations_] with one row for each condition.
  Tensor modulate(const Tensor& c_noise, const Tensor& labels, int64_t rows) const;
  /// sigmas[n] or [1], labels[n,K] or [1,K] or undefined, contiguous.
  Conditions conditions_of(int64_t n, const Tensor& sigmas, const Tensor& labels) const;
  /// out[N,C,R,R] = D(x[N,C,R,R]) for a few images.
  void denoise_together(std::span<const Condition> conditions, const float* x, float* out) const;
  Tensor scaled_input(const float* x, float c_in) const;
  void finish(const LayerOutput& last, const Condition& condition, const float* x,
              float* out) const;
  LayerOutput run(const Layer& layer, LayerOutput input, LayerOutput skip,
                  const float* modulations) const;
  void attend(const Layer& layer, const Tensor& x) const;
  Tensor convolve(const FusedConv& conv, const Tensor& x, int64_t channels) const;
  Tensor empty(int64_t channels, int64_t height, int64_t width) const;

  NetworkOptions options_;
  c10::ScalarType dtype_;
  bool winograd_, int8_;
  float limit_;  // clip_act, infinity for none
  FoldedEmbedding embedding_;
  Tensor embeddings_;  // [modulations_, E]: the layers' embedding weights, one below the other
  int64_t modulations_ = 0;
  std::vector<Layer> layers_;
  std::optional<FusedConv> out_conv_;
  Tensor expanded_;  // float32 weights of one layer at a time; undefined if all are kept so
  mutable std::mutex expanded_in_use_;
  mutable ActivationArena arena_;
};

}  // namespace edm2
