// The folded network on CUDA: cuDNN's convolutions in channels-last order, flash attention, own
// passes between. A whole batch at a time. Knows no CUDA headers: it computes wherever its passes
// do, in tests on the CPU.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <vector>

#include "edm2/core/tensor.h"
#include "engine/cuda_graph.h"
#include "engine/cuda_passes.h"
#include "engine/folded_network.h"
#include "engine/layers.h"

namespace edm2 {

/// Convolutions and the passes between them, which must live as long.
struct CudaBackEnd {
  std::unique_ptr<const LayerPasses> passes;
  ConvolutionMaker convolution;
};
CudaBackEnd cuda_back_end(c10::ScalarType dtype, c10::Device device,
                          const cuda_passes::Passes& passes);

/// D(x; sigma) of arXiv 2312.02696, for a batch.
class CudaNetwork {
 public:
  /// dtype: of the activations, float16, bfloat16 or float32. `passes` must work on `device` and
  /// live as long. With a recorder, evaluations of a shape that was seen before are replayed as a
  /// whole.
  CudaNetwork(StoredSnapshot snapshot, c10::ScalarType dtype, c10::Device device,
              const cuda_passes::Passes& passes, WorkRecorder recorder = {});

  /// x[N,C,R,R] float32; sigma[N] or [1], labels[N,K] or [1,K], or undefined where the network has
  /// none: float32, on the device. Returns D(x; sigma) [N,C,R,R] float32.
  Tensor denoise(const Tensor& x, const Tensor& sigma, const Tensor& labels);

 private:
  /// An evaluation that was recorded, and the tensors that it reads and writes.
  struct RecordedEvaluation {
    bool seen = false;
    Tensor x, sigma, labels, result;
    RecordedWork work;
  };
  Tensor evaluate(const Tensor& x, const Tensor& sigma, const Tensor& labels) const;

  /// All modulations c of all layers [rows, modulations] float32, for c_noise[rows or 1] and
  /// labels[rows or 1, K].
  Tensor modulate(const Tensor& c_noise, const Tensor& labels) const;

  NetworkOptions options_;
  c10::ScalarType dtype_;
  c10::Device device_;
  CudaBackEnd back_end_;
  FoldedEmbedding embedding_;
  std::vector<std::unique_ptr<Layer>> layers_;
  std::unique_ptr<Convolution> out_conv_;
  WorkRecorder recorder_;
  std::map<std::array<int64_t, 3>, RecordedEvaluation> recorded_;  // by rows of x, sigma, labels
};

}  // namespace edm2
