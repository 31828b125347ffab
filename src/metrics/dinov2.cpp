// DINOv2 (arXiv 2304.07193): a vision transformer whose class token is the feature vector.
#include <ATen/ATen.h>

#include "edm2/core/error.h"
#include "edm2/metrics/detector.h"
#include "metrics/dinov2_preprocess.h"
#include "metrics/dinov2_weights.h"
#include "metrics/weights.h"
#include "nn/fused_layers.h"

namespace edm2 {
namespace {

constexpr int64_t size = dino_input_size;
constexpr double norm_epsilon = 1e-6;

class Dinov2 final : public Detector {
 public:
  Dinov2(const DinoWeights& weights, const DinoOptions& options)
      : Detector(options.detector),
        resize_(options.resize),
        gated_(weights.gated),
        network_(weights.name()),
        customary_(weights.is_customary()) {
    dim_ = weights.dim();
    patch_size_ = weights.patch.weight.size(3);
    if (size % patch_size_ != 0)
      throw Error("patches of " + std::to_string(patch_size_) +
                  " pixels do not fit into pictures of " + std::to_string(size));
    heads_ = options.num_heads > 0 ? options.num_heads : dim_ / 64;
    if (heads_ == 0 || dim_ % heads_ != 0 || (options.num_heads == 0 && dim_ % 64 != 0))
      throw Error("the number of attention heads of this DINOv2 is unknown (it has " +
                  std::to_string(dim_) + " dimensions, which is no multiple of 64)");
    const bool has_registers = weights.registers.defined();
    const int64_t grid = size / patch_size_,
                  tokens = 1 + (has_registers ? weights.registers.size(0) : 0) + grid * grid;
    const auto place = at::TensorOptions(device()).dtype(dtype());
    class_token_ = weights.class_token.to(place);
    if (has_registers) registers_ = weights.registers.to(place);
    positions_ =
        interpolate_positions(weights.positions, grid,
                              has_registers ? PositionResize::antialiased : PositionResize::plain)
            .to(place);
    const auto linear = [&](const DinoWeights::Linear& l, int64_t rows,
                            Activation activation = Activation::none) {
      return FusedLinear(l.weight.to(place), l.bias.to(place), rows, activation);
    };
    // A patch is a row of pixels: the convolution with its own stride is a linear layer.
    patch_ = linear({weights.patch.weight.flatten(1), weights.patch.bias}, grid * grid);
    for (const DinoWeights::Block& block : weights.blocks)
      blocks_.push_back({to_place(block.norm1), to_place(block.norm2), linear(block.qkv, tokens),
                         linear(block.proj, tokens),
                         linear(block.fc1, tokens, gated_ ? Activation::none : Activation::gelu),
                         linear(block.fc2, tokens)});
    norm_ = to_place(weights.norm);
  }

  std::string name() const override { return "DINOv2Detector"; }
  std::string network_name() const override { return "DINOv2 " + network_; }
  bool is_customary() const override { return customary_; }
  int64_t feature_dim() const override { return dim_; }
  std::string resize_method() const override {
    return resize_ == DinoResize::torch ? "bicubic antialiased 224x224 (torch)"
                                        : "bicubic 224x224 (Pillow)";
  }

 protected:
  Tensor forward(const Tensor& pixels) const override {
    const Tensor images = preprocess_for_dinov2(pixels, resize_).to(dtype());  // [N,3,224,224]
    Tensor x = patch_(patches(images)) + positions_;                           // [N,256,D]
    std::vector<Tensor> tokens = {class_token_.expand({x.size(0), 1, dim_})};
    if (registers_.defined())
      tokens.push_back(registers_.expand({x.size(0), registers_.size(0), dim_}));
    tokens.push_back(x);
    x = at::cat(tokens, 1);  // [N,257,D], or more with registers
    for (const Block& block : blocks_) {
      x = x + block.proj(attention(block.qkv(normalize(x, block.norm1))));
      x = x + block.fc2(gate(block.fc1(normalize(x, block.norm2))));
    }
    return normalize(x.select(1, 0), norm_).to(at::kFloat);  // [N,D]
  }

 private:
  struct Norm {
    Tensor weight, bias;
  };
  struct Block {
    Norm norm1, norm2;
    FusedLinear qkv, proj, fc1, fc2;
  };

  Norm to_place(const DinoWeights::Norm& norm) const {
    const auto place = at::TensorOptions(device()).dtype(dtype());
    return {norm.weight.to(place), norm.bias.to(place)};
  }

  /// [N,3,224,224] -> [N,T,3*p*p], patches from the top left, row by row.
  Tensor patches(const Tensor& images) const {
    const int64_t n = images.size(0), grid = size / patch_size_;
    return images.reshape({n, 3, grid, patch_size_, grid, patch_size_})
        .permute({0, 2, 4, 1, 3, 5})
        .reshape({n, grid * grid, 3 * patch_size_ * patch_size_});
  }

  Tensor normalize(const Tensor& x, const Norm& norm) const {
    return at::layer_norm(x, {dim_}, norm.weight, norm.bias, norm_epsilon);
  }

  /// qkv: [N,T,3*D] -> [N,T,D]
  Tensor attention(const Tensor& qkv) const {
    const int64_t n = qkv.size(0), tokens = qkv.size(1);
    const auto parts = qkv.reshape({n, tokens, 3, heads_, dim_ / heads_})
                           .permute({2, 0, 3, 1, 4})
                           .unbind(0);  // 3 of [N,heads,T,D/heads]
    return at::scaled_dot_product_attention(parts[0], parts[1], parts[2])
        .transpose(1, 2)
        .reshape({n, tokens, dim_});
  }

  /// SwiGLU; the plain MLP's GELU is computed by its first layer.
  Tensor gate(const Tensor& hidden) const {
    if (!gated_) return hidden;
    const auto halves = hidden.chunk(2, -1);
    return at::silu(halves[0]) * halves[1];
  }

  DinoResize resize_;
  bool gated_;
  std::string network_;
  bool customary_;
  int64_t dim_ = 0, patch_size_ = 0, heads_ = 0;
  Tensor class_token_;  // [D], with its position
  Tensor registers_;    // [R,D], or undefined
  Tensor positions_;    // [T,D]
  FusedLinear patch_;
  std::vector<Block> blocks_;
  Norm norm_;
};

}  // namespace

std::unique_ptr<Detector> load_dinov2(const std::filesystem::path& path,
                                      const DinoOptions& options) {
  const StateDict state = read_weights(path);
  try {
    return std::make_unique<Dinov2>(dinov2_weights(state), options);
  } catch (const Error& error) {
    throw Error(path.string() + ": " + error.what());
  }
}

}  // namespace edm2
