/// The EDM2 network: preconditioning around a magnitude-preserving U-Net (arXiv 2312.02696, Fig.
/// 21, configuration G), trainable by libtorch's autograd.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "edm2/core/device.h"
#include "edm2/nn/denoiser.h"
#include "edm2/nn/layers.h"
#include "edm2/nn/network_options.h"
#include "edm2/nn/snapshot.h"

namespace edm2 {

struct BlockPlan;
struct UNetPlan;

/// Residual block with optional self-attention, of the encoder or of the decoder kind.
class Block {
 public:
  Block(const BlockPlan& plan, bool encoder, int64_t emb_channels, const NetworkOptions& options,
        Init init);

  /// x[N,Cin,H,W] (with `skip`: the first of the Cin channels, the others are skip's), emb[N,E] ->
  /// [N,Cout,H',W'].
  Tensor forward(Tensor x, const Tensor& skip, const Tensor& emb, const ForwardContext& context);
  void collect(const std::string& prefix, std::vector<NamedTensor>& out);

 private:
  Tensor attention(const Tensor& x, const ForwardContext& context);

  bool encoder_;
  Resample resample_;
  int64_t num_heads_;
  std::vector<double> resample_filter_;
  double dropout_, concat_balance_, res_balance_, attn_balance_;
  std::optional<double> clip_act_;

  Tensor emb_gain_;  // 0-dim
  MPConv conv_res0_, emb_linear_, conv_res1_;
  std::optional<MPConv> conv_skip_, attn_qkv_, attn_proj_;
};

/// U-Net F(x; c_noise, labels).
class UNet {
 public:
  UNet(const NetworkOptions& options, Init init);

  /// x[N,C,R,R] in the activations' dtype, noise_labels[M] float32 (M = N or 1), labels[N,K] or
  /// undefined -> [N,C,R,R].
  Tensor forward(Tensor x, const Tensor& noise_labels, const Tensor& labels,
                 const ForwardContext& context);
  void collect(const std::string& prefix, std::vector<NamedTensor>& out);

 private:
  struct EncoderLayer {
    std::string name;
    std::optional<MPConv> conv;  // the first layer
    std::optional<Block> block;  // all others
  };
  struct DecoderLayer {
    std::string name;
    bool takes_skip;
    Block block;
  };

  UNet(const NetworkOptions& options, const UNetPlan& plan, Init init);
  Tensor embed(const Tensor& noise_labels, const Tensor& labels, const ForwardContext& context);

  int64_t label_dim_;
  double label_balance_;
  Tensor out_gain_;  // 0-dim
  MPFourier emb_fourier_;
  MPConv emb_noise_;
  std::optional<MPConv> emb_label_;
  std::vector<EncoderLayer> encoder_;
  std::vector<DecoderLayer> decoder_;
  MPConv out_conv_;
};

/// The preconditioned network D(x; sigma) with its uncertainty head u(sigma), if it has one.
///
/// Construction with Init::random draws the initial weights from libtorch's default CPU generator
/// in the original's order: the same seed gives the original's weights bit for bit.
class Precond : public Denoiser {
 public:
  explicit Precond(const NetworkOptions& options, Init init = Init::random);
  /// Weights and buffers as stored, dtype included.
  explicit Precond(const Snapshot& snapshot);

  /// What forward() returns, for R = img_resolution.
  struct Output {
    Tensor denoised;  ///< [N,C,R,R] float32
    Tensor logvar;    ///< [N,1,1,1] float32, or undefined if not asked for
  };

  /// x[N,C,R,R], sigma[N] or 0-dim, labels[N,K] or undefined. Throws Error if logvar is wanted and
  /// the network has no such head.
  Output forward(const Tensor& x, const Tensor& sigma, const Tensor& labels,
                 bool return_logvar = false);

  Tensor denoise(const Tensor& x, const Tensor& sigma, const Tensor& labels) override;
  int64_t img_channels() const override { return options_.img_channels; }
  int64_t img_resolution() const override { return options_.img_resolution; }
  int64_t label_dim() const override { return options_.label_dim; }
  c10::Device device() const override;

  const NetworkOptions& options() const { return options_; }

  /// All parameters and buffers in state-dict order.
  std::vector<NamedTensor> named_tensors();
  /// Parameters alone, in the order of optimizer and EMA.
  std::vector<NamedTensor> named_parameters();
  int64_t num_parameters();

  /// Detached tensors that share the network's memory.
  StateDict state_dict();
  /// Copies values in, keeping this network's dtype and device. Throws Error on a missing or
  /// unknown name or a wrong shape.
  void load_state_dict(const StateDict& state);

  /// Moves everything; gradients are dropped.
  void to(c10::Device device);
  void to(c10::ScalarType dtype);
  void requires_grad(bool on);

  /// Precision of the activations (weights are never affected).
  Precision precision = Precision::automatic;
  /// Training mode, dropout override, observer.
  ForwardContext context;

 private:
  NetworkOptions options_;
  UNet unet_;
  std::optional<MPFourier> logvar_fourier_;
  std::optional<MPConv> logvar_linear_;
};

/// A snapshot of these weights (the network's own or averaged ones) as the original stores it:
/// float16 copies on the CPU, an RGB encoder.
Snapshot make_snapshot(const NetworkOptions& options, const StateDict& weights);
/// The same of the network's own weights.
Snapshot make_snapshot(Precond& network);

}  // namespace edm2
