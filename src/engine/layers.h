// The layers of the U-Net (arXiv 2312.02696, Figure 21, configuration G) as types, written once for
// both back ends: each brings its convolutions and the passes between them.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "engine/convolution.h"
#include "engine/folded_network.h"

namespace edm2 {

/// What comes out of a layer, and where its values are to be clipped by who reads it.
struct LayerOutput {
  Tensor values;
  float limit = no_limit;
};

/// What a block begins with.
struct BlockInput {
  Tensor main;    ///< what the residual branch is added to
  Tensor branch;  ///< what the residual branch starts from, behind its first silu
};

/// The passes between convolutions on one back end. With silu(x) = x sigmoid(x); x is clipped to
/// its limit when it is read.
class LayerPasses {
 public:
  virtual ~LayerPasses() = default;
  /// In place.
  virtual void clip(const LayerOutput& x) const = 0;
  /// The mean of 2x2 pixels, [N,C,H/2,W/2].
  virtual Tensor downsample(LayerOutput x) const = 0;
  /// {keep x, each pixel repeated 2x2: [N,C,2H,2W]; silu(x): [N,C,H,W]}.
  virtual BlockInput upsample_silu(LayerOutput x, float keep) const = 0;
  /// {keep y; silu(y)} with y = x / (1e-4 + RMS over the channels).
  virtual BlockInput pixel_norm_silu(LayerOutput x, float keep) const = 0;
  /// {keep y; silu(y)} with y = [cat_x x, cat_skip skip] along the channels, or x if there is no
  /// skip.
  virtual BlockInput cat_silu(LayerOutput x, LayerOutput skip, float cat_x, float cat_skip,
                              float keep) const = 0;
  /// softmax(q k^T) v with normalised q, k, v: [N,heads depth,H,W] of qkv[N,3 heads depth,H,W],
  /// which is overwritten.
  virtual Tensor attend(const Tensor& qkv, int64_t heads) const = 0;
};

/// An image, or a batch, on its way through the network.
struct OnTheWay {
  LayerOutput x;
  std::vector<LayerOutput> skips;  // the encoder's outputs that no layer of the decoder has taken
};

/// One layer of the network.
class Layer {
 public:
  explicit Layer(const LayerPlan& plan) : plan_(plan) {}
  virtual ~Layer() = default;
  /// Goes through the layer. c: the modulations of all layers.
  void advance(OnTheWay& state, const Modulations& c) const;

 private:
  /// x[N,in - from skip,H,W] and what comes from the encoder, undefined where the layer takes
  /// nothing; c[out]. Returns [N,out,H,W]. Lets go of both before it ends.
  virtual LayerOutput run(LayerOutput x, LayerOutput skip, const Modulations& c) const = 0;

  LayerPlan plan_;
};

/// A layer with the convolutions that `make` gives; `passes` must live as long.
std::unique_ptr<Layer> make_layer(const FoldedBlock& block, const LayerPasses& passes,
                                  const ConvolutionMaker& make);

}  // namespace edm2
