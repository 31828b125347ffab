// Convolutions that keep their weights in half the memory or less.
#include <optional>
#include <utility>

#include "engine/compact_weights.h"
#include "engine/cpu_convolution.h"

namespace edm2 {
namespace {

class CompactConvolution : public CpuConvolution {
 public:
  CompactConvolution(CompactWeights weights, int64_t out_channels)
      : CpuConvolution(out_channels), weights_(std::move(weights)) {}

  void add_to(const Tensor& sum, const Tensor& x) const override { conv_->add_to(sum, x); }

  int64_t expanded_size() const override { return weights_.size(); }
  void expand_at(float* memory) override {
    expanded_ = memory;
    conv_ = weights_.reading(memory);
  }
  void expand() const override { weights_.expand(expanded_); }

 private:
  CompactWeights weights_;
  float* expanded_ = nullptr;
  std::optional<FusedConv> conv_;  // reads them there
};

}  // namespace

CpuConvolutionMaker compact_convolutions(bool int8) {
  return [int8, packer = std::make_shared<WeightPacker>()](
             const ConvolutionSpec& spec) -> std::unique_ptr<CpuConvolution> {
    const Tensor& stored = spec.weight.stored;
    if (!spec.outweighs || spec.upsamples || !(int8 || stored.scalar_type() == at::kHalf))
      return nullptr;
    const int64_t padding = stored.size(3) / 2;
    auto weights =
        packer->pack(stored.to(at::kHalf), spec.weight.row_factors(),
                     {.pad_h = padding, .pad_w = padding, .input_size = spec.size},
                     int8 ? CompactWeights::Storage::int8 : CompactWeights::Storage::float16);
    if (!weights) return nullptr;
    return std::make_unique<CompactConvolution>(std::move(*weights), stored.size(0));
  };
}

}  // namespace edm2
