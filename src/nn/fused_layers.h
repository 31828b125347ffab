// Convolution and linear layers for inference: weights laid out once for the device, the
// activation function computed along with the product.
//
// On the CPU these are oneDNN's fused operators, which libtorch brings along; where it has none,
// and on other devices, the plain operators compute the same.
#pragma once

#include <functional>

#include "edm2/core/tensor.h"

namespace edm2 {

enum class Activation { none, relu, gelu };

struct ConvShape {
  int64_t stride = 1;
  int64_t pad_h = 0, pad_w = 0;
  /// Height and width of the pictures to come, for the layout of the weights.
  int64_t input_size = 0;
};

/// weight [out,in,kh,kw] in the order in which oneDNN's convolutions of such pictures read it;
/// undefined where there is no oneDNN for it.
Tensor pack_weight(const Tensor& weight, const ConvShape& shape);

/// y = activation(conv(x) + bias), with x and y in channels-last order.
class FusedConv {
 public:
  /// weight [out,in,kh,kw], bias [out] or undefined: of the type and on the device of the pictures
  /// to come.
  FusedConv(const Tensor& weight, const Tensor& bias, const ConvShape& shape,
            Activation activation);
  /// Without bias and activation, of what pack_weight() made.
  static FusedConv of_packed(Tensor packed, const ConvShape& shape);
  Tensor operator()(const Tensor& x) const;
  /// Likewise, into memory of the caller. Not with an activation.
  void write_to(const Tensor& y, const Tensor& x) const;
  /// sum += conv(x) + bias, in place. Not with an activation.
  void add_to(const Tensor& sum, const Tensor& x) const;

 private:
  FusedConv() = default;
  Tensor plain(const Tensor& x) const;

  Tensor weight_, packed_, bias_;  // weight_ or packed_
  ConvShape shape_;
  Activation activation_ = Activation::none;
};

/// conv2d for inference: x [N,Cin,H,W], w [Cout,Cin,k,k], bias [Cout] or undefined. On the CPU an
/// image comes out the same, to the last bit, whatever batch it is in and however many threads
/// compute.
Tensor inference_conv2d(const Tensor& x, const Tensor& w, const Tensor& bias, int64_t stride,
                        at::IntArrayRef padding);

/// y = activation(x W^T + b) for x [...,in].
class FusedLinear {
 public:
  FusedLinear() = default;
  /// weight [out,in], bias [out]; `rows`: how many rows x will have, for the layout.
  FusedLinear(const Tensor& weight, const Tensor& bias, int64_t rows, Activation activation);
  Tensor operator()(const Tensor& x) const;

 private:
  Tensor weight_, packed_, bias_;
  Activation activation_ = Activation::none;
};

/// Calls work(0), ... work(count - 1), each by one thread for itself: libtorch's operators inside
/// do not start more threads, so that they round in the same way whatever the number of threads.
void for_each_on_one_thread(int64_t count, const std::function<void(int64_t)>& work);

}  // namespace edm2
