#include "engine/layers.h"

#include <ATen/ATen.h>

#include <utility>

namespace edm2 {
namespace {

using OwnedConvolution = std::unique_ptr<Convolution>;

class InputConvolution : public Layer {
 public:
  InputConvolution(const FoldedBlock& block, const ConvolutionMaker& make)
      : Layer(block.plan),
        conv_(make({.weight = block.conv, .size = block.plan.size, .in_block = false})) {}

 private:
  LayerOutput run(LayerOutput x, LayerOutput, const Modulations&) const override {
    return {(*conv_)(x.values), no_limit};  // [N,out,H,W]
  }

  OwnedConvolution conv_;
};

/// What all blocks have: the residual branch and attention behind the sum.
class ResidualBlock : public Layer {
 public:
  ResidualBlock(const FoldedBlock& block, const LayerPasses& passes, const ConvolutionMaker& make)
      : Layer(block.plan),
        passes_(passes),
        keep_(static_cast<float>(block.keep)),
        heads_(block.plan.num_heads),
        clip_act_(block.plan.clip_act) {
    ConvolutionSpec spec;
    spec.size = block.plan.size;
    // More than twice as many weights as an image has activations.
    spec.outweighs =
        block.res1.stored.numel() > 2 * spec.size * spec.size * block.plan.out_channels;
    const auto convolution = [&](const FoldedWeight& weight, bool upsamples = false) {
      spec.weight = weight;
      spec.upsamples = upsamples;
      return weight.defined() ? make(spec) : nullptr;
    };
    conv_res0_ = convolution(block.res0, block.plan.kind == LayerKind::upsampling_decoder_block);
    conv_res1_ = convolution(block.res1);
    conv_skip_ = convolution(block.skip);
    attn_qkv_ = convolution(block.qkv);
    attn_proj_ = convolution(block.proj);
  }

 protected:
  /// x + conv_res1(silu(c conv_res0(a))) for x = in.main, a = in.branch, with attention.
  LayerOutput add_residual_branch(BlockInput in, const Modulations& c) const {
    const Tensor x = std::move(in.main);                                           // [N,out,H,W]
    const Tensor y = conv_res0_->modulated_silu(std::exchange(in.branch, {}), c);  // [N,out,H,W]
    conv_res1_->add_to(x, y);
    if (attn_qkv_) attn_proj_->add_to(x, passes_.attend((*attn_qkv_)(x), heads_));
    return {x, clip_act_};
  }

  const LayerPasses& passes_;
  OwnedConvolution conv_skip_;  // where the channels change
  float keep_;                  // what is left of x in the sum

 private:
  OwnedConvolution conv_res0_, conv_res1_, attn_qkv_, attn_proj_;
  int64_t heads_;
  float clip_act_;
};

class EncoderBlock : public ResidualBlock {
 public:
  using ResidualBlock::ResidualBlock;

 protected:
  LayerOutput run(LayerOutput x, LayerOutput, const Modulations& c) const override {
    if (conv_skip_) {
      passes_.clip(x);
      x = {(*conv_skip_)(x.values), no_limit};  // [N,out,H,W]
    }
    BlockInput in = passes_.pixel_norm_silu(std::move(x), keep_);  // 2 x [N,out,H,W]
    return add_residual_branch(std::move(in), c);
  }
};

class DownsamplingEncoderBlock : public EncoderBlock {
 public:
  using EncoderBlock::EncoderBlock;

 private:
  LayerOutput run(LayerOutput x, LayerOutput, const Modulations& c) const override {
    return EncoderBlock::run({passes_.downsample(std::move(x)), no_limit}, {}, c);
  }
};

class DecoderBlock : public ResidualBlock {
 public:
  DecoderBlock(const FoldedBlock& block, const LayerPasses& passes, const ConvolutionMaker& make)
      : ResidualBlock(block, passes, make),
        cat_x_(static_cast<float>(block.cat_x)),
        cat_skip_(static_cast<float>(block.cat_skip)) {}

 private:
  LayerOutput run(LayerOutput x, LayerOutput skip, const Modulations& c) const override {
    const float keep = conv_skip_ ? 1 : keep_;  // the convolution has it in its weights
    BlockInput in =
        passes_.cat_silu(std::move(x), std::move(skip), cat_x_, cat_skip_, keep);  // [N,in,H,W]
    if (conv_skip_) in.main = (*conv_skip_)(in.main);                              // [N,out,H,W]
    return add_residual_branch(std::move(in), c);
  }

  float cat_x_, cat_skip_;
};

/// Its first convolution upsamples, so that the branch starts with the small image.
class UpsamplingDecoderBlock : public ResidualBlock {
 public:
  using ResidualBlock::ResidualBlock;

 private:
  LayerOutput run(LayerOutput x, LayerOutput, const Modulations& c) const override {
    BlockInput in = passes_.upsample_silu(std::move(x), keep_);  // [N,in,2H,2W], [N,in,H,W]
    return add_residual_branch(std::move(in), c);
  }
};

}  // namespace

void Layer::advance(OnTheWay& state, const Modulations& c) const {
  LayerOutput skip;
  if (plan_.takes_skip) {
    skip = std::move(state.skips.back());
    state.skips.pop_back();
  }
  state.x = run(std::move(state.x), std::move(skip), c.from(plan_.modulation));
  if (plan_.encodes()) state.skips.push_back(state.x);
}

std::unique_ptr<Layer> make_layer(const FoldedBlock& block, const LayerPasses& passes,
                                  const ConvolutionMaker& make) {
  switch (block.plan.kind) {
    case LayerKind::input_convolution:
      return std::make_unique<InputConvolution>(block, make);
    case LayerKind::encoder_block:
      return std::make_unique<EncoderBlock>(block, passes, make);
    case LayerKind::downsampling_encoder_block:
      return std::make_unique<DownsamplingEncoderBlock>(block, passes, make);
    case LayerKind::decoder_block:
      return std::make_unique<DecoderBlock>(block, passes, make);
    case LayerKind::upsampling_decoder_block:
      TORCH_CHECK(!block.skip.defined(), "[make_layer] upsampling keeps the channels");
      return std::make_unique<UpsamplingDecoderBlock>(block, passes, make);
  }
  TORCH_CHECK(false, "[make_layer] no such layer");
}

}  // namespace edm2
