// The folded network on the CPU: convolutions in channels-last order, own passes between.
#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "edm2/core/tensor.h"
#include "engine/activation_arena.h"
#include "engine/cpu_convolution.h"
#include "engine/folded_network.h"
#include "engine/layers.h"

namespace edm2 {

/// The passes between convolutions for an image at a time: float32 or bfloat16 activations, which
/// lie in the ActivationArena.
const LayerPasses& cpu_layer_passes();

/// F(c_in x; c_noise, label) of arXiv 2312.02696, image by image.
///
/// A batch is shared out as whole images, one thread for each, so that the activations of an image
/// stay in one processor's cache; images that are left over are computed by all threads together.
/// An image gets the same bits in either way.
///
/// Layers with convolutions that make their weights anew before each use do so for a few images at
/// a time, which go through these layers side by side.
class CpuNetwork {
 public:
  /// dtype: of the activations, float32 or bfloat16. Each convolution is made by the first of
  /// `makers` that does: see cpu_convolutions().
  CpuNetwork(StoredSnapshot snapshot, c10::ScalarType dtype,
             const std::vector<CpuConvolutionMaker>& makers);

  /// x[N,C,R,R] float32; sigma[N] or [1], labels[N,K] or [1,K], or undefined where the network has
  /// none: float32. Returns D(x; sigma) [N,C,R,R] float32.
  Tensor denoise(const Tensor& x, const Tensor& sigma, const Tensor& labels) const;

 private:
  struct NetworkLayer {
    std::unique_ptr<Layer> layer;
    std::vector<CpuConvolution*> expanding;  // those of the layer that make their weights anew
  };
  /// What an image is evaluated with.
  struct Condition {
    float c_in, c_skip, c_out;
    const float* modulations;
  };
  struct Conditions {
    Tensor modulations;  // [rows, modulations], which the images point into
    std::vector<Condition> of_images;
  };

  void share_expanded_memory();
  /// All modulations c of all layers, [rows, modulations] with one row for each condition.
  Tensor modulate(const Tensor& c_noise, const Tensor& labels, int64_t rows) const;
  /// sigmas[n] or [1], labels[n,K] or [1,K] or undefined, contiguous.
  Conditions conditions_of(int64_t n, const Tensor& sigmas, const Tensor& labels) const;
  /// out[N,C,R,R] = D(x[N,C,R,R]) for a few images.
  void denoise_together(std::span<const Condition> conditions, const float* x, float* out) const;
  Tensor scaled_input(const float* x, float c_in) const;
  void finish(const LayerOutput& last, const Condition& condition, const float* x,
              float* out) const;

  NetworkOptions options_;
  c10::ScalarType dtype_;
  FoldedEmbedding embedding_;
  std::vector<NetworkLayer> layers_;
  std::unique_ptr<CpuConvolution> out_conv_;
  Tensor expanded_;  // float32 weights of one layer at a time; undefined if all are kept so
  mutable std::mutex expanded_in_use_;
  mutable ActivationArena arena_;
};

}  // namespace edm2
