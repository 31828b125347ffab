// The ways in which the CPU computes a convolution. A new one is a class derived from
// CpuConvolution, a maker of it, and a line in cpu_convolutions().
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "edm2/engine/engine.h"
#include "engine/convolution.h"

namespace edm2 {

/// A convolution of one image at a time, [1,C,H,W]. What is derived must say how it adds to a sum,
/// and may say more where it knows a shorter way. Several threads use it at the same time.
class CpuConvolution : public Convolution {
 public:
  explicit CpuConvolution(int64_t out_channels) : out_channels_(out_channels) {}
  Tensor operator()(const Tensor& x) const override;
  Tensor modulated_silu(const Tensor& x, const Modulations& c) const override;

  /// How many float32 weights have to be made anew before each use; a multiple of 16, or 0 for a
  /// convolution that is always ready.
  virtual int64_t expanded_size() const { return 0; }
  /// Where they will be: memory that the layers share, aligned to 64 bytes.
  virtual void expand_at(float*) {}
  /// Makes them, with all threads.
  virtual void expand() const {}

 protected:
  int64_t out_channels_;
};

/// Null if the convolution is none of those that it makes. Several threads call it at the same
/// time.
using CpuConvolutionMaker =
    std::function<std::unique_ptr<CpuConvolution>(const ConvolutionSpec& spec)>;

/// The makers for activations of that type, to be asked in this order; the last one makes all.
std::vector<CpuConvolutionMaker> cpu_convolutions(c10::ScalarType dtype, EngineKind kind);

/// oneDNN's, of all that keep the size of the image.
CpuConvolutionMaker direct_convolutions(c10::ScalarType dtype);
/// Of those that upsample, as one 2x2 convolution of the small image with four times the outputs
/// (phase_weights()). They are the first ones of blocks and always modulated.
CpuConvolutionMaker upsampling_convolutions(c10::ScalarType dtype);
/// In float32, where weights outweigh images: as 8 bits, or as float16 where the snapshot has them
/// so (CompactWeights).
CpuConvolutionMaker compact_convolutions(bool int8);
/// In float32, Winograd's algorithm for 3x3 kernels in blocks, where it pays off.
std::unique_ptr<CpuConvolution> make_winograd_convolution(const ConvolutionSpec& spec);

}  // namespace edm2
