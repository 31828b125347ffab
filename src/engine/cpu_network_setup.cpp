// From a snapshot to the layers of CpuNetwork: what is done once.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <atomic>

#include "core/page_tensor.h"
#include "edm2/core/platform.h"
#include "engine/cpu_network.h"

namespace edm2 {
namespace {

ConvShape conv_shape(int64_t size, int64_t padding) {
  return {.stride = 1, .pad_h = padding, .pad_w = padding, .input_size = size};
}

/// Whether the block's weights are more than twice the numbers of an image's activations.
bool weights_outweigh_images(const FoldedBlock& block, int64_t size) {
  return block.res1.stored.numel() > 2 * size * size * block.plan.out_channels;
}

}  // namespace

CpuNetwork::CpuNetwork(StoredSnapshot snapshot, c10::ScalarType dtype, EngineKind kind)
    : options_(snapshot.description().network),
      dtype_(dtype),
      winograd_(kind == EngineKind::fast && dtype == at::kFloat),
      int8_(kind == EngineKind::int8 && dtype == at::kFloat),
      limit_(options_.clip_act ? static_cast<float>(*options_.clip_act) : no_limit) {
  const c10::NoGradGuard no_grad;
  NetworkFolder folder(std::move(snapshot));
  embedding_ = folder.embedding();
  const auto &encoder = folder.plan().encoder, &decoder = folder.plan().decoder;
  layers_.resize(encoder.size() + decoder.size());
  std::vector<Tensor> embeddings(layers_.size());
  // Weights are packed by one thread, as they will be used, so threads take whole layers.
  std::atomic<size_t> next = 0;
  WeightPacker packer;
  for_each_on_one_thread(std::max<int64_t>(at::get_num_threads(), 1), [&](int64_t) {
    for (size_t i = next++; i < layers_.size(); i = next++) {
      const bool encodes = i < encoder.size();
      const FoldedBlock block =
          folder.block(encodes ? encoder[i] : decoder[i - encoder.size()], encodes);
      layers_[i] = make_layer(block, packer);
      embeddings[i] = block.embedding;
    }
  });
  out_conv_ = make_conv(folder.out_conv().tensor(), options_.img_resolution, 1);
  std::vector<Tensor> defined;
  for (size_t i = 0; i < layers_.size(); ++i) {
    if (!embeddings[i].defined()) continue;
    layers_[i].modulation = modulations_;
    modulations_ += embeddings[i].size(0);
    defined.push_back(embeddings[i]);
  }
  embeddings_ = at::cat(defined);
  share_expanded_memory();
  release_freed_memory();  // of the stored weights
}

CpuNetwork::Layer CpuNetwork::make_layer(const FoldedBlock& block, WeightPacker& packer) const {
  const int64_t size = std::stoll(block.plan.name);  // of the layer's output
  Layer layer;
  layer.plan = block.plan;
  layer.encoder = block.encoder;
  if (block.plan.is_conv) {
    layer.conv = make_conv(block.conv.tensor(), size, 1);
    return layer;
  }
  layer.phases = block.plan.resample == Resample::up;
  TORCH_CHECK(!layer.phases || !block.skip.defined(), "[CpuNetwork] upsampling keeps the channels");
  const bool fast = winograd_ && WinogradConv::wins(size, size);
  const bool compact = dtype_ == at::kFloat && weights_outweigh_images(block, size);
  const auto make = [&](std::optional<FusedConv> Layer::*conv, const FoldedWeight& weight) {
    if (!weight.defined()) return;
    const bool is_half = weight.stored.scalar_type() == at::kHalf;
    if (compact && (is_half || int8_)) {
      const auto storage = int8_ ? CompactWeights::Storage::int8 : CompactWeights::Storage::float16;
      if (auto packed = packer.pack(weight.stored.to(at::kHalf), weight.row_factors(),
                                    conv_shape(size, weight.stored.size(3) / 2), storage)) {
        layer.compact.push_back({std::move(*packed), conv, nullptr});
        return;
      }
    }
    layer.*conv = make_conv(weight.tensor(), size, weight.stored.size(3) / 2);
  };
  if (layer.phases)
    layer.res0 = make_conv(phase_weights(block.res0.tensor()), size / 2, 1);
  else if (fast)
    layer.fast_res0.emplace(block.res0.tensor());
  else
    make(&Layer::res0, block.res0);
  if (fast)
    layer.fast_res1.emplace(block.res1.tensor());
  else
    make(&Layer::res1, block.res1);
  make(&Layer::skip, block.skip);
  make(&Layer::qkv, block.qkv);
  make(&Layer::proj, block.proj);
  layer.keep = static_cast<float>(block.keep);
  layer.cat_x = static_cast<float>(block.cat_x);
  layer.cat_skip = static_cast<float>(block.cat_skip);
  return layer;
}

FusedConv CpuNetwork::make_conv(const Tensor& weight, int64_t size, int64_t padding) const {
  return {weight.to(dtype_), {}, conv_shape(size, padding), edm2::Activation::none};
}

/// Gives the compact convolutions of each layer their places in memory that all layers share.
void CpuNetwork::share_expanded_memory() {
  int64_t most = 0;
  for (const Layer& layer : layers_) {
    int64_t size = 0;
    for (const CompactConv& conv : layer.compact) size += conv.weights.size();
    most = std::max(most, size);
  }
  if (most == 0) return;
  expanded_ = tensor_in_huge_pages(most, at::kFloat);
  for (Layer& layer : layers_) {
    auto* place = expanded_.mutable_data_ptr<float>();
    for (CompactConv& conv : layer.compact) {
      conv.expanded = place;
      layer.*conv.conv = conv.weights.reading(place);
      place += conv.weights.size();
    }
  }
}

}  // namespace edm2
