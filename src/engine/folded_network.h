// A network as the engine computes it: weights normalised and scaled once, with every constant
// factor of the magnitude-preserving layers in some weight. Knows nothing of devices.
#pragma once

#include <string>
#include <vector>

#include "edm2/core/tensor.h"
#include "edm2/nn/network_options.h"
#include "edm2/nn/stored_snapshot.h"
#include "engine/layer_plan.h"

namespace edm2 {

/// What a layer multiplies with, as the snapshot stores it, and what makes it so.
struct FoldedWeight {
  Tensor stored;            ///< [out,in] or [out,in,k,k]
  bool normalized = false;  ///< `stored` is; else each of its rows is to be normalised
  float factor = 1;         ///< then times this

  bool defined() const { return stored.defined(); }
  /// Of a float32 copy of `stored`: [out], what each row is multiplied with.
  Tensor row_factors() const;
  /// All of it, float32, kernels in channels-last order.
  Tensor tensor() const;
};

/// One layer of the encoder or decoder. With silu(x) = x sigmoid(x) (no 1/0.596), a block is
///
///   x = resample(x);  encoder with skip: x = skip(x)
///   x, or its pixel norm, or mp_cat(x, from the encoder)        -> x, a = silu(x)
///   y = res1(silu(res0(a) * c))
///   x = (skip(x) or keep * x) + y
///   with attention: x = x + proj(attend(qkv(x)))
///   x = clip(x)
struct FoldedBlock {
  LayerPlan plan;
  FoldedWeight conv;        ///< [out,in,3,3], the encoder's first layer; it has nothing else
  FoldedWeight res0, res1;  ///< [out,in,3,3]
  FoldedWeight skip;        ///< [out,in,1,1], or undefined: the channels stay
  FoldedWeight qkv;   ///< [3 out,out,1,1], outputs in the order [3][heads][depth]; or undefined
  FoldedWeight proj;  ///< [out,out,1,1]
  double keep = 1;    ///< what is left of x in the sum; where a decoder has skip, it is in there
  double cat_x = 1, cat_skip = 1;  ///< weights of mp_cat
};

/// What makes the embedding emb of noise level and label, before mp_silu, and the modulations of
/// it.
struct FoldedEmbedding {
  Tensor fourier_freqs, fourier_phases;  ///< [F]
  Tensor noise;                          ///< [E,F]
  Tensor label;                          ///< [E,K], or undefined
  double weight_noise = 1;               ///< of the noise level's part; the label's is in `label`
  Tensor layers;  ///< [modulations,E]: a row of modulations is layers mp_silu(emb) + 1
};

/// Folds the weights of a snapshot one layer at a time, reads them when it gets there and lets go
/// of them behind, so that they are not all in memory beside what is made of them: each can be
/// asked for once, different layers by several threads at a time. All tensors that come out are on
/// the CPU, and float32 but for what is stored. Throws Error if the snapshot lacks a tensor, and
/// NotFiniteError.
class NetworkFolder {
 public:
  explicit NetworkFolder(StoredSnapshot snapshot);
  const NetworkPlan& plan() const { return plan_; }
  FoldedEmbedding embedding();
  FoldedBlock block(const LayerPlan& plan);
  FoldedWeight out_conv();  ///< [C,in,3,3], with the gain

 private:
  Tensor take(const std::string& name);
  FoldedWeight weight(const std::string& layer, double factor = 1, const Tensor& gain = {});

  StoredSnapshot snapshot_;
  NetworkPlan plan_;
};

/// Whether the balances allow it: the sum behind attention must keep something of x, because its
/// factor is taken out of qkv again.
bool can_fold(const NetworkOptions& options);

/// The kernels [4 out,in,2,2] of the four phases of "repeat each pixel 2x2, then convolve with w
/// [out,in,3,3]": phase (py, px) makes the pixels (2 i + py, 2 j + px), outputs in the order
/// [py][px][out]. With a padding of 1, its pixel (i, j) is at (i + py, j + px) of the result.
Tensor phase_weights(const Tensor& w);

}  // namespace edm2
