// The folded network on CUDA: cuDNN's convolutions in channels-last order, flash attention, own
// passes between. A whole batch at a time. Knows no CUDA headers: it computes wherever its passes
// do, in tests on the CPU.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <vector>

#include "edm2/core/tensor.h"
#include "engine/activations.h"
#include "engine/cuda_graph.h"
#include "engine/cuda_passes.h"
#include "engine/folded_network.h"

namespace edm2 {

/// D(x; sigma) of arXiv 2312.02696, for a batch.
class CudaNetwork {
 public:
  /// dtype: of the activations, float16, bfloat16 or float32. `passes` must work on `device` and
  /// live as long. With a recorder, evaluations of a shape that was seen before are replayed as a
  /// whole.
  CudaNetwork(StoredSnapshot snapshot, c10::ScalarType dtype, c10::Device device,
              const cuda_passes::Passes& passes, std::unique_ptr<WorkRecorder> recorder = nullptr);

  /// x[N,C,R,R] float32; sigma[N] or [1], labels[N,K] or [1,K], or undefined where the network has
  /// none: float32, on the device. Returns D(x; sigma) [N,C,R,R] float32.
  Tensor denoise(const Tensor& x, const Tensor& sigma, const Tensor& labels);

 private:
  /// An evaluation that was recorded, and the tensors that it reads and writes.
  struct RecordedEvaluation {
    bool seen = false;
    Tensor x, sigma, labels, result;
    std::unique_ptr<RecordedWork> work;
  };
  Tensor evaluate(const Tensor& x, const Tensor& sigma, const Tensor& labels) const;

  struct Layer {
    BlockPlan plan;
    bool encoder = false;
    Tensor conv, res0, res1, skip, qkv, proj;  // weights, or undefined
    int64_t modulation = 0;                    // where its c begins in a row of modulations
    float keep = 1, cat_x = 1, cat_skip = 1;
  };

  Layer make_layer(const FoldedBlock& block);
  Tensor weight(const FoldedWeight& folded) const;
  /// All modulations c of all layers [rows, modulations_] float32, for c_noise[rows or 1] and
  /// labels[rows or 1, K].
  Tensor modulate(const Tensor& c_noise, const Tensor& labels) const;
  LayerOutput run(const Layer& layer, LayerOutput x, LayerOutput skip,
                  const Tensor& modulations) const;
  void attend(const Layer& layer, const Tensor& x) const;
  Tensor resampled(const Layer& layer, const LayerOutput& x) const;
  void clip(const LayerOutput& x) const;
  void add(const Tensor& x, const Tensor& y) const;
  Tensor empty(int64_t batch, int64_t channels, int64_t height, int64_t width) const;
  template <class Pass>
  void run(cuda_passes::Passes::Run<Pass> run, const Pass& pass) const;

  NetworkOptions options_;
  c10::ScalarType dtype_;
  c10::Device device_;
  const cuda_passes::Passes& passes_;
  float limit_;  // clip_act, infinity for none
  FoldedEmbedding embedding_;
  Tensor embeddings_;  // [modulations_, E]: the layers' embedding weights, one below the other
  int64_t modulations_ = 0;
  std::vector<Layer> layers_;
  Tensor out_conv_;
  std::vector<Tensor> collected_;  // while layers are made
  std::unique_ptr<WorkRecorder> recorder_;
  std::map<std::array<int64_t, 3>, RecordedEvaluation> recorded_;  // by rows of x, sigma, labels
};

}  // namespace edm2
