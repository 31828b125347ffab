// From a snapshot to the layers of CpuNetwork: what is done once.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <atomic>

#include "core/page_tensor.h"
#include "edm2/core/platform.h"
#include "engine/cpu_network.h"
#include "nn/fused_layers.h"

namespace edm2 {
namespace {

std::unique_ptr<CpuConvolution> first_made(const std::vector<CpuConvolutionMaker>& makers,
                                           const ConvolutionSpec& spec) {
  for (const CpuConvolutionMaker& make : makers)
    if (auto convolution = make(spec)) return convolution;
  TORCH_CHECK(false, "[CpuNetwork] no way to compute a convolution");
}

}  // namespace

CpuNetwork::CpuNetwork(StoredSnapshot snapshot, c10::ScalarType dtype,
                       const std::vector<CpuConvolutionMaker>& makers)
    : options_(snapshot.description().network), dtype_(dtype) {
  const c10::NoGradGuard no_grad;
  NetworkFolder folder(std::move(snapshot));
  embedding_ = folder.embedding();
  const std::vector<LayerPlan>& plans = folder.plan().layers;
  layers_.resize(plans.size());
  // Weights are packed by one thread, as they will be used, so threads take whole layers.
  std::atomic<size_t> next = 0;
  for_each_on_one_thread(std::max<int64_t>(at::get_num_threads(), 1), [&](int64_t) {
    for (size_t i = next++; i < layers_.size(); i = next++) {
      const auto make = [&](const ConvolutionSpec& spec) {
        auto convolution = first_made(makers, spec);
        if (convolution->expanded_size() > 0) layers_[i].expanding.push_back(convolution.get());
        return convolution;
      };
      layers_[i].layer = make_layer(folder.block(plans[i]), passes_, make);
    }
  });
  out_conv_ = first_made(
      makers, {.weight = folder.out_conv(), .size = options_.img_resolution, .in_block = false});
  TORCH_CHECK(out_conv_->expanded_size() == 0, "[CpuNetwork] the last convolution stays ready");
  share_expanded_memory();
  release_freed_memory();  // of the stored weights
}

/// Gives the convolutions of each layer their places in memory that all layers share.
void CpuNetwork::share_expanded_memory() {
  int64_t most = 0;
  for (const NetworkLayer& layer : layers_) {
    int64_t size = 0;
    for (const CpuConvolution* convolution : layer.expanding) size += convolution->expanded_size();
    most = std::max(most, size);
  }
  if (most == 0) return;
  expanded_ = tensor_in_huge_pages(most, at::kFloat);
  for (const NetworkLayer& layer : layers_) {
    auto* place = expanded_.mutable_data_ptr<float>();
    for (CpuConvolution* convolution : layer.expanding) {
      convolution->expand_at(place);
      place += convolution->expanded_size();
    }
  }
}

}  // namespace edm2
